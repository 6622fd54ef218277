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
    #[arg(long, env = "CAROUSEL_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

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
