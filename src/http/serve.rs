//! Connections: each is served until it is closed, reads too slowly, or the end is asked for.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::pace::{PATIENCE, Pace, Paced};

/// How long a connection may take for the head of a request, and wait for the next one.
const HEAD: Duration = Duration::from_secs(30);
/// What the last answers may take.
const PARTING: Duration = Duration::from_secs(30);
/// Connections at once. The next ones wait in the system's queue.
const CONNECTIONS: usize = 3_000;
/// What is kept of a connection's bytes before somebody asks for them; no head is longer.
const BUFFER: usize = 32 << 10;

/// Serves until `end` resolves. Then no connection is taken any more, requests that are under way are answered, and tasks that go on without one end.
pub async fn serve(listener: TcpListener, router: Router, tasks: TaskTracker, end: impl Future<Output = ()>) {
    serve_at_once(CONNECTIONS, listener, router, tasks, end).await;
}

async fn serve_at_once(
    most: usize,
    listener: TcpListener,
    router: Router,
    tasks: TaskTracker,
    end: impl Future<Output = ()>,
) {
    let mut end = pin!(end);
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(most));
    loop {
        let (place, stream) = tokio::select! {
            () = &mut end => break,
            taken = accept(&listener, &places) => match taken {
                Ok(taken) => taken,
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
        let connection = server
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Paced::new(stream, Pace::new(PATIENCE))), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
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

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(OwnedSemaphorePermit, TcpStream)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((place, listener.accept().await?.0))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Asks on an open connection, and reads the answer.
    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        answered(stream).await;
    }

    async fn answered(stream: &mut TcpStream) {
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            answer.push(stream.read_u8().await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_connection_too_many_waits_until_another_is_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let place = listener.local_addr().unwrap();
        let router = Router::new().fallback(|| async { "here" });
        let serving = tokio::spawn(serve_at_once(2, listener, router, TaskTracker::new(), pending()));
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(place).await.unwrap();
            ask(&mut stream).await;
            open.push(stream);
        }
        let mut third = TcpStream::connect(place).await.unwrap();
        third.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        for _ in 0..100 {
            ask(&mut open[0]).await;
        }
        assert!(third.try_read(&mut [0; 1]).is_err(), "it is not served beside the two");
        open.pop();
        answered(&mut third).await;
        serving.abort();
    }
}
