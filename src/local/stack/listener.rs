//! A router served on a port of 127.0.0.1, until it is stopped or dropped.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Takes a port; 0 lets the system choose. `option` is the one by which a person chooses another.
pub(crate) async fn listen(port: u16, option: &str) -> anyhow::Result<TcpListener> {
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

/// A router that is being served.
pub(crate) struct Served {
    /// Where, without a path.
    pub(crate) url: String,
    task: JoinHandle<()>,
    stopping: DropGuard,
}

impl Served {
    pub(crate) fn start(listener: TcpListener, router: Router) -> anyhow::Result<Self> {
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
