//! Connections: each is served until it is closed, or the end is asked for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

/// How long a connection may take for the head of a request, and wait for the next one.
const HEAD: Duration = Duration::from_secs(30);
/// What the last answers may take.
const PARTING: Duration = Duration::from_secs(30);

/// Serves until `end` resolves. Then no connection is taken any more, requests that are under way are answered, and tasks that go on without one end.
pub async fn serve(listener: TcpListener, router: Router, tasks: TaskTracker, end: impl Future<Output = ()>) {
    let mut end = pin!(end);
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // A connection that was lost again costs nothing; no file descriptor left gets better only with time.
                    tracing::debug!(%error, "a connection can't be taken");
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // An answer in small pieces, as events are, waits for no acknowledgement.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let mut server = http1::Builder::new();
        let connection =
            server.timer(TokioTimer::new()).header_read_timeout(HEAD).serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tasks.close();
    let parting = async {
        connections.shutdown().await;
        tasks.wait().await;
    };
    if timeout(PARTING, parting).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}
