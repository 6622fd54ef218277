//! How a project can refuse its caller or fail them, by meaning.

use serde_json::Value;
use url::Url;

use crate::outgoing;
use crate::supabase::refusal::{BadFile, Refusal, Why, refusal};
use crate::words::Secrets;

/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 1_000;

/// Why a request did not do what it should. Nothing was tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project does not accept the token or the key, or wants one.
    #[error("the project does not accept the token or key: {message}")]
    Unauthorized {
        /// What it said.
        message: String,
    },
    /// The caller is known, and may not do this.
    #[error("the project does not allow this: {message}")]
    Forbidden {
        /// What it said.
        message: String,
    },
    /// There is no such row or object, or not for this caller.
    #[error("there is no such thing, or it is not yours")]
    NotFound,
    /// A rule of the schema refuses it: a row of "Refused at once" in supabase/README.md, or a constraint.
    #[error("{message}{}", .hint.as_ref().map(|hint| format!(". {hint}")).unwrap_or_default())]
    Refused {
        /// HTTP status of the refusal: 400, 403 or 429.
        status: u16,
        /// Stable code; a constraint's is its name.
        code: String,
        /// What is wrong, in the schema's own words.
        message: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// A value has a form that its column can't hold.
    #[error("a value can't be stored: {message}")]
    Invalid {
        /// What the database said of it.
        message: String,
    },
    /// It is there already.
    #[error("it is there already: {message}")]
    Conflict {
        /// What it said.
        message: String,
    },
    /// Storage can't have the file, or not there.
    #[error(transparent)]
    BadFile(#[from] BadFile),
    /// The project has none of our tables, or not our bucket.
    #[error("the project lacks the schema: run `carousel migrate` (or `supabase db push`)")]
    SchemaMissing,
    /// The project wants fewer requests.
    #[error("the project wants fewer requests: {message}")]
    TooMany {
        /// What it said.
        message: String,
    },
    /// The project can't serve now.
    #[error("the project can't serve now (status {status}): {message}")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// No connection, a lost one, or no answer in time.
    #[error("the project can't be reached: {message}")]
    Unreachable {
        /// What happened.
        message: String,
    },
    /// The project answered something else than was asked for.
    #[error("the project's answer is not understood: {message}")]
    NotUnderstood {
        /// What is wrong with it.
        message: String,
    },
}

impl Error {
    pub(crate) fn not_understood(message: impl std::fmt::Display) -> Self {
        Self::NotUnderstood { message: clean(&message.to_string()) }
    }

    pub(super) fn unreachable(error: &(dyn std::error::Error + 'static), url: Option<&Url>) -> Self {
        Self::Unreachable { message: clean(&outgoing::reason(error, url, "CAROUSEL_SUPABASE_CA")) }
    }

    pub(super) fn silent() -> Self {
        Self::Unreachable { message: "it did not answer in time".to_owned() }
    }
}

/// The meaning of a refusal by PostgREST or by the gateway in front of it.
pub(super) fn of_rows(status: u16, body: &[u8]) -> Error {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let (code, details, said) = (text("code"), text("details"), text("message"));
    let message = clean(if said.is_empty() { "it gave no reason" } else { said });
    let hint = body["hint"].as_str().map(clean);
    // Triggers of ours put a stable code where the database's own refusals have a sentence, if anything.
    let ours = !details.is_empty() && details.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    match (code, status) {
        ("23502" | "23514" | "42501" | "PT429", _) if ours => {
            Error::Refused { status, code: details.to_owned(), message, hint }
        }
        (_, 401) => Error::Unauthorized { message },
        ("PGRST116", _) | (_, 404 | 406) if code != "42P01" && code != "PGRST205" => Error::NotFound,
        ("42P01" | "PGRST205" | "PGRST204" | "42703" | "3F000", _) => Error::SchemaMissing,
        ("23505", _) => Error::Conflict { message },
        ("23514", _) => match said.rsplit('"').nth(1) {
            Some(rule) if said.contains("check constraint") => Error::Refused {
                status: 400,
                code: clean(rule),
                message: format!("this breaks the rule {}", clean(rule)),
                hint: None,
            },
            _ => Error::Invalid { message },
        },
        ("23502", _) => Error::Invalid { message },
        ("23503", _) => Error::Refused {
            status: 400,
            code: "reference_missing".to_owned(),
            message: "this names a row that is not there".to_owned(),
            hint: None,
        },
        (_, 403) => Error::Forbidden { message },
        (_, 429) => Error::TooMany { message },
        ("25006", _) => Error::Unavailable {
            status: 503,
            message: format!("its database takes no writes, perhaps for a full disk: {message}"),
        },
        // Two writers met, or a statement took too long: the same request may well work the next time.
        ("40001" | "40P01" | "55P03" | "57014", _) | (_, 500..) => Error::Unavailable { status, message },
        // The classes of values that a type can't hold.
        (code, _) if code.starts_with("22") => Error::Invalid { message },
        _ => Error::not_understood(format!("status {status} {code}: {message}")),
    }
}

/// The meaning of a refusal by Storage.
pub(super) fn of_objects(status: u16, body: &[u8]) -> Error {
    let Refusal { why, status, message, .. } = refusal(status, body);
    let message = clean(message.as_deref().unwrap_or("it gave no reason"));
    match why {
        Why::Unauthorized => Error::Unauthorized { message },
        Why::Denied => Error::Forbidden { message },
        // The schema makes the bucket.
        Why::NoBucket => Error::SchemaMissing,
        Why::NoObject => Error::NotFound,
        Why::Exists => Error::Conflict { message },
        Why::TooLarge => BadFile::TooLarge { message }.into(),
        Why::UnsupportedType => BadFile::UnsupportedType { message }.into(),
        Why::InvalidPath => BadFile::InvalidPath { path: message }.into(),
        Why::TooMany => Error::TooMany { message },
        Why::Unavailable => Error::Unavailable { status, message },
        Why::Other => Error::not_understood(format!("status {status}: {message}")),
    }
}

/// What the project said, as one line.
pub(super) fn clean(text: &str) -> String {
    Secrets::default().clean(text, MAX_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_rows_is_told_by_its_meaning() {
        let refused = |status: u16, code: &str, message: &str, details: &str| {
            let body = serde_json::json!({ "code": code, "message": message, "details": details, "hint": "mend it" });
            format!("{:?}", of_rows(status, body.to_string().as_bytes()))
        };
        let rows = [
            (401, "PGRST301", "JWT expired", "", "Unauthorized"),
            (401, "42501", "permission denied for table image_generation_jobs", "", "Unauthorized"),
            (403, "42501", "permission denied for table image_generation_jobs", "", "Forbidden"),
            (403, "42501", "source path 'x' is not in your folder", "source_path_foreign", "Refused { status: 403"),
            (429, "PT429", "you have 5 unfinished jobs", "too_many_active_jobs", "Refused { status: 429"),
            (429, "", "slow down", "", "TooMany"),
            (
                400,
                "23514",
                "the job has no prompt",
                "prompt_missing",
                "Refused { status: 400, code: \"prompt_missing\"",
            ),
            (
                400,
                "23514",
                "new row for relation \"image_generation_jobs\" violates check constraint \"quality_known\"",
                "Failing row contains (1, secret).",
                "Refused { status: 400, code: \"quality_known\", message: \"this breaks the rule quality_known\"",
            ),
            (409, "23505", "duplicate key value", "Key (id)=(1) already exists.", "Conflict"),
            (406, "PGRST116", "JSON object requested", "Results contain 0 rows", "NotFound"),
            (404, "42P01", "relation \"public.image_generation_jobs\" does not exist", "", "SchemaMissing"),
            (404, "PGRST205", "Could not find the table", "", "SchemaMissing"),
            (400, "22P02", "invalid input syntax for type uuid", "", "Invalid"),
            (500, "57014", "canceling statement due to statement timeout", "", "Unavailable"),
            (503, "PGRST000", "could not connect", "", "Unavailable"),
            (
                405,
                "25006",
                "cannot execute INSERT in a read-only transaction",
                "",
                "Unavailable { status: 503, message: \"its database takes no writes",
            ),
            (400, "PGRST100", "unexpected", "", "NotUnderstood"),
        ];
        for (status, code, message, details, expected) in rows {
            let error = refused(status, code, message, details);
            assert!(error.starts_with(expected), "{status} {code} {message}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(matches!(of_rows(502, b"<html>bad gateway</html>"), Error::Unavailable { status: 502, .. }));
    }

    #[test]
    fn a_message_is_one_short_line() {
        let body = serde_json::json!({ "message": format!("bad\n\u{1b}[1m\u{202e} {}", "x".repeat(2_000)) });
        let Error::Unavailable { message, .. } = of_rows(503, body.to_string().as_bytes()) else { panic!() };
        assert!(message.starts_with("bad [1m xxx") && message.chars().count() == MAX_MESSAGE + 1, "{message}");
    }
}
