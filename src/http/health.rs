//! What watches the service asks: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::Api;
use super::problem::{PROBLEM, Problem};
use super::request::bearer;
use crate::telemetry;

/// Looks at everything that requests need; gives each thing's name with what is wrong with it.
pub type Readiness = Arc<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// Whether one thing that requests need is there.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, for the log; nothing when it is there.
    pub fault: Option<String>,
}

/// Who asks oftener gets the same answer.
const FRESH: Duration = Duration::from_secs(2);
/// What takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(10);

/// The last look at what requests need.
pub(super) type Looked = Arc<tokio::sync::Mutex<Option<(Instant, Vec<Check>)>>>;

/// Whether requests can be served.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// Whether everything is there.
    ready: bool,
    /// Each thing that requests need.
    checks: Vec<Needed>,
}

/// A thing that requests need.
#[derive(Serialize, ToSchema)]
struct Needed {
    name: &'static str,
    ready: bool,
}

/// Whether the process is there
#[utoipa::path(get, path = "/healthz", tag = "Operation",
    responses((status = 200, description = "It is.", body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests can be served
///
/// Names what is missing; the log says why.
#[utoipa::path(get, path = "/readyz", tag = "Operation",
    responses((status = 200, description = "Everything is there.", body = Ready), (status = 503, description = "Something is missing.", body = Ready)))]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Ready>) {
    let mut looked = api.looked.lock().await;
    let checks = match &*looked {
        Some((at, checks)) if at.elapsed() < FRESH => checks.clone(),
        _ => {
            let late = || vec![Check { name: "in_time", fault: Some("the checks took too long".to_owned()) }];
            let checks = timeout(PATIENCE, (api.readiness)()).await.unwrap_or_else(|_| late());
            for check in &checks {
                if let Some(fault) = &check.fault {
                    tracing::warn!(check = check.name, fault, "not ready");
                }
            }
            *looked = Some((Instant::now(), checks.clone()));
            checks
        }
    };
    let ready = checks.iter().all(|check| check.fault.is_none());
    let checks = checks.iter().map(|check| Needed { name: check.name, ready: check.fault.is_none() }).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, checks }))
}

/// Numbers for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "Operation", security((), ("metrics" = [])),
    responses(
        (status = 200, description = "The text format of Prometheus.", body = String, content_type = "text/plain"),
        (status = 401, description = "The operator has set a token, and this is not it.", body = Problem, content_type = PROBLEM)))]
pub(super) async fn metrics(State(api): State<Api>, headers: HeaderMap) -> Response {
    let wanted = api.settings.metrics_token.as_ref().map(ExposeSecret::expose_secret);
    if wanted.is_some_and(|wanted| !bearer(&headers).is_some_and(|given| same(given, wanted))) {
        return Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this is not the token of CAROUSEL_METRICS_TOKEN",
        )
        .into_response();
    }
    let text = telemetry::metrics::recorder().render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Compares without telling by its time where two texts part.
fn same(given: &str, wanted: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(given) == Sha256::digest(wanted)
}
