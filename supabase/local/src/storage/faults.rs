//! Faults on demand: a test says which requests are to fail, and how.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::unfold;
use tokio::sync::watch;

/// The list of faults that are still to come. Clones share it; the one that was ordered first strikes first.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Order>>>);

struct Order {
    method: Method,
    prefix: String,
    left: usize,
    fault: Fault,
}

#[derive(Clone)]
enum Fault {
    Answer(StatusCode, Bytes),
    Cut(u64),
    Stall(Stall),
}

/// Requests that are held back until [`Stall::release`].
#[derive(Clone)]
pub struct Stall {
    held: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Stall {
    /// Returns when `count` requests, counted from the beginning, have come to be held back.
    pub async fn holds(&self, count: usize) {
        // The sender lives in `self`, so waiting can't fail.
        let _ = self.held.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Lets those go on that are held back, and those that are still to come.
    pub fn release(&self) {
        self.open.send_replace(true);
    }
}

impl Faults {
    /// The next `times` requests with `method` and a path (from `/object` or `/bucket` on) that begins with `prefix` are answered
    /// with `status` and `body`, and nothing else happens.
    pub fn answer(&self, times: usize, method: Method, prefix: &str, status: StatusCode, body: &str) {
        self.order(times, method, prefix, Fault::Answer(status, Bytes::copy_from_slice(body.as_bytes())));
    }

    /// The next `times` such requests are carried out, but the connection breaks after `bytes` bytes of the answer's body; with 0,
    /// before the answer begins.
    pub fn cut(&self, times: usize, method: Method, prefix: &str, bytes: u64) {
        self.order(times, method, prefix, Fault::Cut(bytes));
    }

    /// The next `times` such requests wait, before anything of them is carried out, until they are released.
    pub fn stall(&self, times: usize, method: Method, prefix: &str) -> Stall {
        let stall = Stall { held: watch::Sender::new(0), open: watch::Sender::new(false) };
        self.order(times, method, prefix, Fault::Stall(stall.clone()));
        stall
    }

    /// Forgets every fault that has not struck yet.
    pub fn clear(&self) {
        self.orders(Vec::clear);
    }

    fn order(&self, times: usize, method: Method, prefix: &str, fault: Fault) {
        self.orders(|orders| orders.push(Order { method, prefix: prefix.to_owned(), left: times, fault }));
    }

    fn strike(&self, method: &Method, path: &str) -> Option<Fault> {
        self.orders(|orders| {
            let mut ordered = orders.iter_mut();
            let order =
                ordered.find(|order| order.method == method && path.starts_with(&order.prefix) && order.left > 0)?;
            order.left -= 1;
            Some(order.fault.clone())
        })
    }

    fn orders<T>(&self, work: impl FnOnce(&mut Vec<Order>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) async fn inject(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    match faults.strike(request.method(), request.uri().path()) {
        None => next.run(request).await,
        Some(Fault::Answer(status, body)) => {
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Some(Fault::Cut(bytes)) => {
            let (mut parts, body) = next.run(request).await.into_parts();
            // So that a client which reads little still sees that the end is missing.
            parts.headers.entry(header::CONTENT_LENGTH).or_insert(u64::MAX.into());
            Response::from_parts(parts, cut(body, bytes))
        }
        Some(Fault::Stall(stall)) => {
            stall.held.send_modify(|held| *held += 1);
            let _ = stall.open.subscribe().wait_for(|open| *open).await;
            next.run(request).await
        }
    }
}

/// The first `bytes` bytes of `body`, then an error, at which the server breaks the connection.
fn cut(body: Body, bytes: u64) -> Body {
    let chunks = body.into_data_stream();
    let begun = bytes > 0;
    Body::from_stream(unfold((chunks, bytes), move |(mut chunks, left)| async move {
        if left == 0 {
            if begun {
                // The server writes what it has when nothing more comes at once; an error in the same breath would take it back.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return Some((Err("cut on request".into()), (chunks, 0)));
        }
        let chunk: Result<Bytes, axum::BoxError> = chunks.next().await?.map_err(Into::into);
        let keep = |chunk: Bytes| chunk.slice(..chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let chunk = chunk.map(keep);
        let left = left - chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Some((chunk, (chunks, left)))
    }))
}
