//! Options of the HTTP API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use secrecy::SecretString;
use url::Url;

use super::{given, named};

/// How the HTTP API is reached, and by whom.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "HTTP API")]
pub struct Http {
    /// Address at which the HTTP API listens; 0.0.0.0 in front of the port for every network
    #[arg(long, env = "CAROUSEL_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = place)]
    pub listen: String,

    /// Origins whose pages may call the HTTP API from a browser, by comma; * for all, none when empty
    #[arg(long, env = "CAROUSEL_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// Seconds that the body of a request may take, and then its answer; uploads and events have limits of their own
    #[arg(long, env = "CAROUSEL_REQUEST_SECONDS", value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub request_seconds: u64,

    /// Bearer token that /metrics asks for; anybody may read it when left out
    #[arg(long, env = "CAROUSEL_METRICS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub metrics_token: Option<SecretString>,
}

impl Http {
    /// Settings of the HTTP API.
    ///
    /// # Errors
    /// When an origin is none.
    pub fn settings(&self) -> anyhow::Result<crate::http::Settings> {
        let origins = named(&self.cors_origins).into_iter().map(|origin| {
            let known = origin == "*"
                || Url::parse(&origin).is_ok_and(|url| {
                    matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == origin
                });
            ensure!(known, "CAROUSEL_CORS_ORIGINS has {origin}, which is no origin: write for example https://app.example.com, without a slash at its end");
            origin.parse().with_context(|| format!("CAROUSEL_CORS_ORIGINS has {origin}, which no header can carry"))
        });
        Ok(crate::http::Settings {
            origins: origins.collect::<anyhow::Result<_>>()?,
            patience: Duration::from_secs(self.request_seconds),
            metrics_token: given(self.metrics_token.as_ref()).map(|token| token.to_owned().into()),
        })
    }
}

/// `HOST:PORT`. Whether there is such a host is seen when it is listened at.
fn place(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    if let Some((_, place)) = text.split_once("://") {
        return Err(format!("it is an address and no URL: write {}", place.trim_end_matches('/')));
    }
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit());
    let (host, port) = match text.rsplit_once(':') {
        Some(parts) => parts,
        None if is_number(text) => ("", text),
        None => (text, ""),
    };
    let example = if port.parse::<u16>().is_ok() { port } else { "8080" };
    if host.is_empty() {
        return Err(format!(
            "it has no host: write 127.0.0.1:{example} for this machine alone, or 0.0.0.0:{example} for every network"
        ));
    }
    if host.contains(':') {
        return Err(format!("an IPv6 address stands in brackets: write [{host}]:{example}"));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) if is_number(port) => Err(format!("{port} is no port: they go from 0 to 65535")),
        Err(_) => Err(format!("it has no port: write {host}:8080")),
    }
}
