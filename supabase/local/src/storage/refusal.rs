//! Why a request is refused, and the answer that the real server gives for it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio_postgres::error::SqlState;

/// A refusal by meaning. On the wire nearly all of them are HTTP 400 with the code that is meant in the body.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Bucket not found")]
    NoSuchBucket,
    #[error("Object not found")]
    NoSuchObject,
    #[error("{0}")]
    NoRoute(String),
    /// The real server has it, this one has not.
    #[error("{0}")]
    NotHere(String),
    #[error("{0}")]
    Denied(String),
    /// What is there already, as the body's `code` has it.
    #[error("The resource already exists")]
    Duplicate(&'static str),
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty,
    #[error("The related resource does not exist")]
    NoRelated,
    #[error("mime type {0} is not supported")]
    MimeType(String),
    #[error("The {0} exceeded the maximum allowed size")]
    TooLarge(&'static str),
    #[error("Invalid key: {0}")]
    Key(String),
    #[error("Bucket name invalid")]
    BucketName,
    #[error("{0}")]
    Token(String),
    #[error("Invalid signature")]
    Signature,
    #[error("invalid range provided")]
    Range,
    #[error("{0}")]
    NoContent(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Database(String),
    #[error("Internal server error")]
    Broken(String),
}

impl Refusal {
    /// The status that is meant, then `error` and `code` of the body.
    fn parts(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NoSuchBucket => (404, "Bucket not found", "NoSuchBucket"),
            Self::NoSuchObject => (404, "not_found", "NoSuchKey"),
            Self::NoRoute(_) => (404, "Not Found", "NotFound"),
            Self::NotHere(_) => (501, "NotImplemented", "NotImplemented"),
            Self::Denied(_) => (403, "Unauthorized", "AccessDenied"),
            Self::Duplicate(what) => (409, "Duplicate", what),
            Self::BucketNotEmpty => (409, "ResourceNotEmpty", "ResourceNotEmpty"),
            Self::NoRelated => (404, "InvalidRequest", "InvalidRequest"),
            Self::MimeType(_) => (415, "invalid_mime_type", "InvalidMimeType"),
            Self::TooLarge(_) => (413, "Payload too large", "EntityTooLarge"),
            Self::Key(_) => (400, "InvalidKey", "InvalidKey"),
            Self::BucketName => (400, "Invalid Input", "InvalidBucketName"),
            Self::Token(_) => (400, "InvalidJWT", "InvalidJWT"),
            Self::Signature => (400, "InvalidSignature", "InvalidSignature"),
            Self::Range => (416, "invalid_range", "InvalidRange"),
            Self::NoContent(_) => (400, "InvalidRequest", "InvalidRequest"),
            Self::Invalid(_) => (400, "Error", "InvalidRequest"),
            Self::Database(_) => (500, "DatabaseError", "DatabaseError"),
            Self::Broken(_) => (500, "InternalError", "InternalError"),
        }
    }
}

impl Refusal {
    /// The same, with a word of its own for what is there already.
    pub(super) fn or_duplicate(self, code: &'static str) -> Self {
        if let Self::Duplicate(_) = self { Self::Duplicate(code) } else { self }
    }

    /// A list in the body with so many items, where one to a thousand are taken.
    pub(super) fn check_items(field: &str, items: usize) -> Result<(), Self> {
        match items {
            0 => Err(Self::Invalid(format!("body/{field} must NOT have fewer than 1 items"))),
            1..=1000 => Ok(()),
            _ => Err(Self::Invalid(format!("body/{field} must NOT have more than 1000 items"))),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (meant, error, code) = self.parts();
        if let Self::Broken(cause) = &self {
            tracing::error!(cause, "the local Storage failed");
        }
        let status = match self {
            Self::Database(_) | Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoRoute(_) => StatusCode::NOT_FOUND,
            Self::NotHere(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Range => StatusCode::RANGE_NOT_SATISFIABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let body =
            json!({ "statusCode": meant.to_string(), "error": error, "code": code, "message": self.to_string() });
        (status, Json(body)).into_response()
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            return Self::Broken(error.to_string());
        };
        match answer.code() {
            &SqlState::INSUFFICIENT_PRIVILEGE if answer.message().contains("row-level security") => {
                Self::Denied("new row violates row-level security policy".to_owned())
            }
            &SqlState::INSUFFICIENT_PRIVILEGE => Self::Denied(answer.message().to_owned()),
            &SqlState::UNIQUE_VIOLATION => Self::Duplicate("ResourceAlreadyExists"),
            &SqlState::FOREIGN_KEY_VIOLATION => Self::NoRelated,
            code => Self::Database(format!("database error, code: {}", code.code())),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Refusal {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::Invalid(rejection.body_text())
    }
}
