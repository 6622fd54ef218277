//! Refusals in the two shapes of the real auth server: clients that name API version 2024-01-01 get the newer.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;

const VERSION_HEADER: &str = "x-supabase-api-version";
const VERSION: &str = "2024-01-01";

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    pub(super) code: &'static str,
    message: String,
}

impl Refusal {
    /// `code` is one of the documented error codes.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(status).expect("statuses are written in this module's callers");
        Self { status, code, message: message.into() }
    }

    pub(super) fn credentials() -> Self {
        Self::new(400, "invalid_credentials", "Invalid login credentials")
    }

    pub(super) fn user_not_found() -> Self {
        Self::new(404, "user_not_found", "User not found")
    }
}

/// What PostgreSQL refuses is told without its words: a trigger of the project may have failed.
impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        tracing::warn!(error = %error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string), "auth's database");
        Self::new(500, "unexpected_failure", "Database error saving or reading a user")
    }
}

impl From<deadpool_postgres::PoolError> for Refusal {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        tracing::warn!(%error, "auth has no connection to its database");
        Self::new(500, "unexpected_failure", "Database error finding a connection")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the refusal that a handler left in the shape that the request's API version asks for.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let newer = request
        .headers()
        .get(VERSION_HEADER)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value >= VERSION);
    let mut response = next.run(request).await;
    if let Some(Refusal { status, code, message }) = response.extensions_mut().remove::<Refusal>() {
        let mut body = if newer {
            json!({ "code": code, "message": message })
        } else {
            json!({ "code": status.as_u16(), "error_code": code, "msg": message })
        };
        if code == "weak_password" {
            body["weak_password"] = json!({ "reasons": ["length"] });
        }
        response = (status, Json(body)).into_response();
        response.headers_mut().insert("x-sb-error-code", HeaderValue::from_static(code));
        if newer {
            response.headers_mut().insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
        }
    }
    response
}
