//! What is kept of every request: an id that its answer carries, a line in the log, two numbers.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::telemetry::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Observes a request. Its path is told as the route has it: no id becomes a label, and no query gets into the log.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = given(request.headers()).unwrap_or_else(|| Uuid::new_v4().to_string());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, %method, route);
    let mut answer = next.run(request).instrument(span.clone()).await;
    let (status, took) = (answer.status().as_u16(), started.elapsed());
    metrics::request_answered(method.as_str(), &route, status, took);
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match status {
        500.. => tracing::warn!(request_id = %id, %method, route, status, ms, "request failed"),
        _ => tracing::debug!(request_id = %id, %method, route, status, ms, "request answered"),
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// An id that something in front has given, if it is one that may stand in a log.
fn given(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_';
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}
