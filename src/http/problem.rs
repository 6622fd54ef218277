//! What is told when a request fails: a problem document (RFC 9457) with a stable `code`.
//!
//! The words are ours or the schema's own, never those of a database, a parser of the project's or a crate.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::supabase::{BadFile, Error};

/// Media type of problem documents.
pub(super) const PROBLEM: &str = "application/problem+json";

/// A failed request, as RFC 9457 writes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// The status in words.
    pub(super) title: &'static str,
    /// The HTTP status.
    pub(super) status: u16,
    /// What went wrong, for programs: stable.
    #[schema(example = "prompt_missing")]
    pub(super) code: String,
    /// What went wrong, for people.
    pub(super) detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), code: code.to_owned(), detail: detail.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request is malformed; `detail` says where.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// A value is of the right kind, and yet nothing that its column can hold; `detail` says why.
    pub(super) fn value_invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "value_invalid", detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing, or it is not yours")
    }

    pub(super) fn busy() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the server has its hands full")
            .hint("Send the request again in some seconds.")
    }

    pub(super) fn too_many_requests() -> Self {
        let detail = "you have too many requests of this kind under way, or answers that were not read yet";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed; its log says how")
    }

    pub(super) fn body_too_large(limit: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("the body has more than {limit}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut answer = (status, [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM))], body).into_response();
        let header = match status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS if self.code == "too_many_requests" => Some((RETRY_AFTER, "1")),
            StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "5")),
            _ => None,
        };
        answer.headers_mut().extend(header.map(|(name, value)| (name, HeaderValue::from_static(value))));
        answer
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthorized { message } => {
                tracing::debug!(message, "a token was not accepted");
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "the project does not accept the access token")
                    .hint("Send `Authorization: Bearer` with the access token of a signed-in person; sign in again when it is old.")
            }
            Error::Forbidden { message } => {
                tracing::debug!(message, "a request was not allowed");
                Self::new(StatusCode::FORBIDDEN, "forbidden", "the project does not allow this")
            }
            Error::NotFound => Self::not_found(),
            Error::Refused { status, code, message, hint } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                Self { hint, ..Self::new(status, &code, message) }
            }
            Error::Invalid { message } => {
                tracing::debug!(message, "a value can't be stored");
                Self::value_invalid("a value is nothing that its column can hold")
            }
            Error::Conflict { message } => {
                tracing::debug!(message, "a request met what is there already");
                Self::new(StatusCode::CONFLICT, "already_exists", "it is there already")
            }
            Error::BadFile(BadFile::TooLarge { .. }) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", "a file is larger than the bucket takes")
            }
            Error::BadFile(BadFile::UnsupportedType { .. }) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "file_type_not_supported",
                "the bucket does not take files of this type",
            ),
            Error::BadFile(BadFile::InvalidPath { path }) => Self::new(
                StatusCode::BAD_REQUEST,
                "source_path_invalid",
                format!("no object can have the path `{path}`"),
            ),
            Error::TooMany { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "the project wants fewer requests")
            }
            error @ (Error::SchemaMissing | Error::Unavailable { .. } | Error::Unreachable { .. }) => {
                tracing::warn!(%error, "the project can't be used");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "project_unavailable", "the project can't be used now")
                    .hint("Send the request again in some seconds.")
            }
            error @ Error::NotUnderstood { .. } => {
                tracing::error!(%error, "the project answers something else than was asked for");
                Self::new(StatusCode::BAD_GATEWAY, "project_not_understood", "the project's answer is not understood")
            }
        }
    }
}

/// How any request can fail that acts for a person.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it describes answers and is never one")]
pub(super) enum Failures {
    /// The request is malformed, or a rule refuses it: see `code`.
    #[response(status = 400, content_type = PROBLEM)]
    BadRequest(#[to_schema] Problem),
    /// There is no access token, or none that the project accepts.
    #[response(status = 401, content_type = PROBLEM)]
    Unauthorized(#[to_schema] Problem),
    /// The person may not do this.
    #[response(status = 403, content_type = PROBLEM)]
    Forbidden(#[to_schema] Problem),
    /// The project wants fewer requests, or a limit of this person's is reached.
    #[response(status = 429, content_type = PROBLEM)]
    TooMany(#[to_schema] Problem),
    /// The server failed.
    #[response(status = 500, content_type = PROBLEM)]
    Internal(#[to_schema] Problem),
    /// The project's answer is not understood.
    #[response(status = 502, content_type = PROBLEM)]
    BadGateway(#[to_schema] Problem),
    /// The project, or this server, can't serve now.
    #[response(status = 503, content_type = PROBLEM)]
    Unavailable(#[to_schema] Problem),
}

/// How a request for one row can fail besides.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it describes an answer and is never one")]
pub(super) enum Missing {
    /// There is no such row, or it is another person's.
    #[response(status = 404, content_type = PROBLEM)]
    NotFound(#[to_schema] Problem),
}

/// How a request with a body can fail besides.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "it describes answers and is never one")]
pub(super) enum BadBody {
    /// The body did not come in time.
    #[response(status = 408, content_type = PROBLEM)]
    TooSlow(#[to_schema] Problem),
    /// The body is too large.
    #[response(status = 413, content_type = PROBLEM)]
    TooLarge(#[to_schema] Problem),
    /// The body is of a type that is not taken.
    #[response(status = 415, content_type = PROBLEM)]
    UnsupportedType(#[to_schema] Problem),
}
