//! How other machines are reached: through the proxy that the environment names, and trusting whom the operator trusts.
//!
//! The one home of HTTP clients, of the connections of websockets and of TLS. This machine is never reached through a proxy, whatever the environment says.
//!
//! Not responsible for what is sent, nor for trying again. Weakness: of proxies it speaks HTTP alone, no SOCKS; and a websocket does not go through a
//! proxy that is itself reached by TLS.

use std::error::Error;
use std::{env, fmt, io};

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::words::innermost;

/// What no proxy is asked for, in the words of `NO_PROXY`.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1,::ffff:127.0.0.0/104";
/// Longest head of a proxy's answer.
const MAX_HEAD: usize = 8 << 10;

/// A client for HTTP, to which limits and headers may be added. It follows no redirect: a key goes where it belongs, and not where an answer says.
///
/// # Errors
/// When one of the certificates can't be trusted.
pub fn client(certificates: &[CertificateDer<'static>]) -> reqwest::Result<ClientBuilder> {
    let mut client = Client::builder()
        .user_agent(concat!("carousel/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // Asked for below, with our own exceptions.
        .no_proxy();
    let except = NoProxy::from_string(&excepted());
    if let Some(proxy) = named(false).and_then(|(_, address)| Proxy::http(address).ok()) {
        client = client.proxy(proxy.no_proxy(except.clone()));
    }
    if let Some(proxy) = named(true).and_then(|(_, address)| Proxy::https(address).ok()) {
        client = client.proxy(proxy.no_proxy(except));
    }
    for certificate in certificates {
        client = client.add_root_certificate(Certificate::from_der(certificate)?);
    }
    Ok(client)
}

/// TLS with verified certificates: the public authorities', and these.
///
/// # Errors
/// When one of these can't be trusted.
pub fn tls(certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in certificates {
        roots.add(certificate.clone())?;
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A connection on which a websocket to `url` can begin.
///
/// # Errors
/// When nobody is there, or the proxy does not lead there.
pub async fn connect(url: &Url) -> io::Result<TcpStream> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(io::Error::other("the address names no host"));
    };
    let Some(Through { proxy, .. }) = Through::to(url) else {
        return TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    };
    let (Some("http"), Some(place)) = (proxy.uri().scheme_str(), proxy.uri().host()) else {
        return Err(io::Error::other("a websocket goes through a proxy at an http:// address only"));
    };
    let mut stream = TcpStream::connect((place.trim_matches(['[', ']']), proxy.uri().port_u16().unwrap_or(80))).await?;
    let secret = proxy.basic_auth().and_then(|secret| secret.to_str().ok());
    let secret = secret.map(|secret| format!("proxy-authorization: {secret}\r\n")).unwrap_or_default();
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n{secret}\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what comes after the head is the other side's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(stream),
        Some("407") => Err(io::Error::other("it wants a user and a password")),
        _ => Err(io::Error::other(format!("it answers {}", head.lines().next().unwrap_or_default()))),
    }
}

/// What a failed request comes down to: the innermost cause, which alone says what happened, and what mends it; with the proxy, where one stands
/// before `url`. `authority` is the variable that names further certificates to trust.
pub fn reason(error: &(dyn Error + 'static), url: Option<&Url>, authority: &str) -> String {
    let said = innermost(error).to_string();
    let mend = if said.contains("UnknownIssuer") {
        format!("; if it is signed by an authority of your own, name its certificate in {authority} or SSL_CERT_FILE")
    } else if said.starts_with("Too many open files") {
        "; raise the limit: ulimit -n, systemd's LimitNOFILE".to_owned()
    } else {
        String::new()
    };
    match url.and_then(Through::to) {
        Some(proxy) => format!("{said}, {proxy}{mend}"),
        None => said + &mend,
    }
}

/// The proxy that a request goes through.
struct Through {
    variable: &'static str,
    proxy: Intercept,
}

impl Through {
    /// The one for requests to `url`; none for this machine, for what `NO_PROXY` names, and where the environment has none.
    fn to(url: &Url) -> Option<Self> {
        let is_secure = matches!(url.scheme(), "https" | "wss");
        let (variable, address) = named(is_secure)?;
        let scheme = if is_secure { "https" } else { "http" };
        let target = format!("{scheme}://{}:{}", url.host_str()?, url.port_or_known_default()?);
        let target: Uri = target.parse().ok()?;
        let proxy = Matcher::builder().all(address).no(excepted()).build().intercept(&target)?;
        Some(Self { variable, proxy })
    }
}

/// Without the user and the password that its address may have.
impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.proxy.uri().to_string();
        write!(f, "through the proxy {} from {}", address.trim_end_matches('/'), self.variable)?;
        match self.proxy.uri().scheme_str() {
            Some("http" | "https") => Ok(()),
            _ => f.write_str(" (a proxy is spoken to at http:// and https:// addresses only)"),
        }
    }
}

/// The variable that names the proxy, and what it says.
fn named(is_secure: bool) -> Option<(&'static str, String)> {
    if is_secure {
        setting(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    } else {
        setting(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
    }
}

/// What is reached without a proxy.
fn excepted() -> String {
    let more = setting(&["NO_PROXY", "no_proxy"]).map(|(_, list)| list);
    [THIS_MACHINE.to_owned()].into_iter().chain(more).collect::<Vec<_>>().join(",")
}

/// The first of these variables that says something.
fn setting(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = env::var(name).ok()?.trim().to_owned();
        (!value.is_empty()).then_some((*name, value))
    })
}
