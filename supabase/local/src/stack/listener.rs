//! A router served on a port of 127.0.0.1, until it is stopped or dropped.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Takes a port; 0 lets the system choose. `option` is the one by which a person chooses another.
pub async fn listen(port: u16, option: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} is taken: choose another with {option}")
        }
        listener => {
            listener.with_context(|| format!("port {port} of 127.0.0.1 can't be used: choose another with {option}"))
        }
    }
}

/// `http://127.0.0.1:PORT`
pub(super) fn url(listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// The router for who asks by a name of this machine alone.
pub fn by_own_name(router: Router) -> Router {
    router.layer(middleware::from_fn(require_own_name))
}

/// Refuses a request to another name: somebody's domain that leads to this machine would make their page one of this origin. The port may be any, as
/// a tunnel has another.
async fn require_own_name(request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match request.uri().authority().cloned().or_else(|| named.parse().ok()) {
        Some(named) if is_own(&named) => next.run(request).await,
        _ => (StatusCode::MISDIRECTED_REQUEST, "this is served to 127.0.0.1 and localhost only\n").into_response(),
    }
}

fn is_own(named: &Authority) -> bool {
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|own| named.host().eq_ignore_ascii_case(own))
}

/// A router that is being served.
pub struct Served {
    /// Where, without a path.
    pub url: String,
    task: JoinHandle<()>,
    stopping: DropGuard,
}

impl Served {
    /// Serves `router` until what it returns is dropped.
    pub fn start(listener: TcpListener, router: Router) -> anyhow::Result<Self> {
        let url = url(&listener)?;
        // An answer goes out in several writes; none of them is to wait until the client has confirmed the one before (40 ms).
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "a listener of the local stack ended");
            }
        });
        Ok(Self { url, task, stopping: stop.drop_guard() })
    }

    /// Takes no more requests and gives those that run a moment to end: a client may keep its connection open for ever.
    pub(super) async fn stop(mut self) {
        drop(self.stopping);
        if tokio::time::timeout(Duration::from_secs(1), &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_only_leads_here_is_none_of_our_own() {
        let is_own = |named: &str| named.parse().is_ok_and(|named| is_own(&named));
        for own in ["127.0.0.1", "127.0.0.1:54321", "localhost:1", "LOCALHOST", "[::1]:54321"] {
            assert!(is_own(own), "{own}");
        }
        let others = [
            "evil.example:54321",
            "localhost.evil.example",
            "127.0.0.1.evil.example:54321",
            "",
            ":1",
            "localhost:1@evil",
        ];
        for other in others {
            assert!(!is_own(other), "{other}");
        }
    }
}
