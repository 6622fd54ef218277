//! How the project and the provider are reached: through a proxy, but never to this machine, and by certificates of an authority of one's own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use crate::acting::{json, person, refused};
use crate::deployment::Deployment;
use crate::doctor::{doctor, examined};
use crate::submit::photo;

/// What talks to the project or the provider, by the doctor's checks.
const CALLS: [&str; 6] = ["bucket", "secret_key_rows", "publishable_key_rows", "realtime", "one_project", "provider"];

/// A proxy that leads names, which nobody else knows, to servers of this machine.
struct Proxy {
    address: SocketAddr,
    /// Heads of the first request on each connection.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn new(names: Vec<(&'static str, SocketAddr)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&proxy.asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, names.clone(), Arc::clone(&asked)));
            }
        });
        proxy
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, names: Vec<(&'static str, SocketAddr)>, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    asked.lock().unwrap().push(text.clone());
    let target = text.split(' ').nth(1).unwrap().trim_start_matches("http://").to_owned();
    let Some((_, address)) = names.iter().find(|(name, _)| target.starts_with(name)) else {
        return drop(stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await);
    };
    let mut server = TcpStream::connect(address).await.unwrap();
    if text.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    } else {
        server.write_all(&head).await.unwrap();
    }
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}

/// Address of a server, from its URL.
fn address(url: &str) -> SocketAddr {
    let url: url::Url = url.parse().unwrap();
    (std::net::Ipv4Addr::LOCALHOST, url.port().unwrap()).into()
}

/// A TLS server in front of another one, and the file with its certificate, which nobody has signed.
async fn gateway(deployment: &Deployment) -> (SocketAddr, PathBuf) {
    let names = ["127.0.0.1".to_owned(), "project.example".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (place, behind) = (listener.local_addr().unwrap(), address(deployment.stack.url()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // Who does not trust it goes away in the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    let file = deployment.folder().join("gateway.crt");
    std::fs::write(&file, cert.pem()).unwrap();
    (place, file)
}

/// What the doctor says of these checks.
async fn told(command: Command, checks: &[&str]) -> Vec<(String, String)> {
    let (_, findings) = examined(command).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| checks.contains(&finding["check"].as_str().unwrap()))
        .map(|finding| (text(&finding["verdict"]), text(&finding["detail"])))
        .collect();
    assert_eq!(told.len(), checks.len(), "{findings:#?}");
    told
}

async fn all_pass(command: Command, checks: &[&str]) {
    for (verdict, detail) in told(command, checks).await {
        assert_eq!(verdict, "passed", "{detail}");
    }
}

#[tokio::test]
async fn this_machine_is_never_reached_through_a_proxy() {
    let deployment = Deployment::new().await;
    let proxy = Proxy::new(vec![]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 1);
    let me = deployment.person().await;
    for (variable, host) in [("HTTP_PROXY", "127.0.0.1"), ("http_proxy", "localhost"), ("ALL_PROXY", "127.0.0.1")] {
        let own = |command: &mut Command| {
            command.env(variable, format!("http://{}", proxy.address)).env("NO_PROXY", "somewhere.example");
            command.env("SUPABASE_URL", deployment.stack.url().replace("127.0.0.1", host));
        };
        let mut examination = doctor(&deployment);
        own(&mut examination);
        all_pass(examination, &CALLS).await;
        let mut submit = person(&me, &["submit", file.to_str().unwrap(), "-p", "calm", "--json"]);
        own(&mut submit);
        json(submit, 0).await;
    }
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn everything_else_goes_through_the_proxy_with_its_user_and_its_password() {
    let deployment = Deployment::new().await;
    let project = address(deployment.stack.url());
    let provider = address(&deployment.stack.openai_url().unwrap());
    let proxy = Proxy::new(vec![("project.example", project), ("provider.example", provider)]).await;
    let through = |command: &mut Command| {
        command
            .env("HTTP_PROXY", format!("http://me:hidden@{}", proxy.address))
            .env("SUPABASE_URL", "http://project.example")
            .env("OPENAI_BASE_URL", "http://provider.example/v1");
    };
    let mut examination = doctor(&deployment);
    through(&mut examination);
    all_pass(examination, &CALLS).await;
    let asked = proxy.asked();
    for begin in [
        "GET http://project.example/storage/v1/bucket",
        "GET http://project.example/rest/v1/",
        "CONNECT project.example:80 ",
        "GET http://provider.example/v1/models",
    ] {
        assert!(asked.iter().any(|head| head.starts_with(begin)), "{begin}: {asked:#?}");
    }
    // me:hidden
    let secret = "proxy-authorization: basic bwu6aglkzgvu";
    assert!(asked.iter().all(|head| head.to_ascii_lowercase().contains(secret)), "{asked:#?}");

    let folder = tempfile::tempdir().unwrap();
    let file = photo(folder.path(), "a.png", 1);
    let me = deployment.person().await;
    let mut submit = person(&me, &["submit", file.to_str().unwrap(), "-p", "calm", "--json"]);
    through(&mut submit);
    json(submit, 0).await;
    let asked = proxy.asked().split_off(asked.len());
    for begin in ["POST http://project.example/storage/v1/object/", "POST http://project.example/rest/v1/"] {
        assert!(asked.iter().any(|head| head.starts_with(begin)), "{begin}: {asked:#?}");
    }
    // What is excepted is looked for without it.
    let mut excepted = person(&me, &["jobs", "list"]);
    through(&mut excepted);
    excepted.env("NO_PROXY", "other.example, project.example");
    let before = proxy.asked().len();
    let error = refused(excepted, 1).await;
    assert!(error.contains("can't be reached") && !error.contains("proxy"), "{error}");
    assert_eq!(proxy.asked().len(), before);
}

#[tokio::test]
async fn an_error_names_the_proxy_and_nothing_secret_of_it() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    for (variable, scheme) in [("HTTP_PROXY", "http"), ("HTTPS_PROXY", "https"), ("all_proxy", "https")] {
        let through = |command: &mut Command| {
            command
                .env(variable, "http://me:hidden@127.0.0.1:1")
                .env("SUPABASE_URL", format!("{scheme}://project.example"))
                .env("OPENAI_BASE_URL", format!("{scheme}://provider.example/v1"));
        };
        let words = format!("through the proxy http://127.0.0.1:1 from {variable}");
        let mut examination = doctor(&deployment);
        through(&mut examination);
        for (verdict, detail) in told(examination, &CALLS).await {
            assert!(verdict != "passed" && detail.contains(&words) && !detail.contains("hidden"), "{detail}");
        }
        let mut list = person(&me, &["jobs", "list"]);
        through(&mut list);
        let error = refused(list, 1).await;
        assert!(error.contains(&words) && !error.contains("hidden") && !error.contains("KEY"), "{error}");
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_for_the_project_where_it_is_named() {
    let deployment = Deployment::new().await;
    let (gateway, file) = gateway(&deployment).await;
    let proxy = Proxy::new(vec![("project.example", gateway)]).await;
    let project = &CALLS[..5];
    let examination = |url: String| {
        let mut command = doctor(&deployment);
        command.env("SUPABASE_URL", url);
        command
    };
    let direct = format!("https://{gateway}");
    for (verdict, detail) in told(examination(direct.clone()), project).await {
        assert!(verdict != "passed" && detail.contains("CAROUSEL_SUPABASE_CA"), "{detail}");
    }
    for variable in ["CAROUSEL_SUPABASE_CA", "SSL_CERT_FILE"] {
        let mut command = examination(direct.clone());
        command.env(variable, &file);
        all_pass(command, project).await;
        let mut through = examination("https://project.example".to_owned());
        through.env(variable, &file).env("HTTPS_PROXY", format!("http://{}", proxy.address));
        all_pass(through, project).await;
    }
    assert!(proxy.asked().iter().all(|head| head.starts_with("CONNECT project.example:443 ")), "{:?}", proxy.asked());
}

#[tokio::test]
async fn the_shared_file_of_authorities_is_trusted_for_all_and_told_when_it_is_none() {
    let deployment = Deployment::new().await;
    let (_, file) = gateway(&deployment).await;
    let trusts = ["database_ca", "supabase_ca", "provider_ca"];
    let mut command = doctor(&deployment);
    command.env("SSL_CERT_FILE", &file);
    for (verdict, detail) in told(command, &trusts).await {
        assert!(
            verdict == "passed" && detail.contains("1 certificates") && detail.contains("SSL_CERT_FILE"),
            "{detail}"
        );
    }
    let mut command = doctor(&deployment);
    command.env("SSL_CERT_FILE", "/nowhere/bundle.crt");
    for (verdict, detail) in told(command, &trusts).await {
        assert!(verdict == "failed" && detail.contains("SSL_CERT_FILE names /nowhere/bundle.crt"), "{detail}");
    }
}
