//! How Storage can fail, by what it means to the one who asked.

use std::io;

use serde_json::Value;

use crate::outgoing;
use crate::supabase::refusal::{BadFile, Refusal, Why, refusal};
use crate::words::{Secrets, plain};

/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 300;

/// Why a request to Storage did not do what it should. Nothing was tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("Storage has no such object: {message}")]
    NotFound {
        /// What Storage said.
        message: String,
    },
    /// There is no such bucket, or not for this key.
    #[error(
        "Storage has no such bucket, or does not show it to the key; run `carousel migrate`, and check SUPABASE_SECRET_KEY: {message}"
    )]
    NoBucket {
        /// What Storage said.
        message: String,
    },
    /// The key may not do this.
    #[error("Storage does not allow this to the key: {message}")]
    Denied {
        /// What Storage said.
        message: String,
    },
    /// The key itself is not accepted.
    #[error("Storage does not accept the key; check SUPABASE_SECRET_KEY: {message}")]
    Unauthorized {
        /// What Storage said.
        message: String,
    },
    /// Storage can't have the file, or not there.
    #[error(transparent)]
    BadFile(#[from] BadFile),
    /// Storage, or something in front of it, can't serve now.
    #[error("Storage can't serve now (status {status}): {message}")]
    Unavailable {
        /// HTTP status, or the code in the body.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Too long a wait.
    #[error("Storage took too long: {message}")]
    Timeout {
        /// For what.
        message: String,
    },
    /// No connection; nothing was sent.
    #[error("no connection to Storage: {message}")]
    Connect {
        /// Why.
        message: String,
    },
    /// The connection was lost on the way, in either direction.
    #[error("the connection to Storage was lost: {message}")]
    Reset {
        /// How.
        message: String,
    },
    /// The local file could not be written.
    #[error("the local copy could not be written: {0}")]
    Io(#[from] io::Error),
    /// Storage answered something else than was asked for.
    #[error("Storage's answer is not understood: {message}")]
    NotUnderstood {
        /// What is wrong with it.
        message: String,
        /// The answer, where it is JSON.
        body: Option<Value>,
    },
}

impl Error {
    pub(super) fn not_understood(message: &str) -> Self {
        Self::NotUnderstood { message: message.to_owned(), body: None }
    }

    pub(super) fn silent() -> Self {
        Self::Timeout { message: "its answer began and did not go on".to_owned() }
    }
}

/// The meaning of a refusal, without the key.
pub(super) fn refused(status: u16, body: &[u8], key: &str) -> Error {
    let Refusal { why, status, message, body: json } = refusal(status, body);
    let said = message.unwrap_or_else(|| unsaid(body, json.is_some()));
    let message = Secrets { key, prompt: "" }.clean(&said, MAX_MESSAGE);
    match why {
        Why::Unauthorized => Error::Unauthorized { message },
        Why::Denied => Error::Denied { message },
        Why::NoBucket => Error::NoBucket { message },
        Why::NoObject => Error::NotFound { message },
        Why::TooLarge => BadFile::TooLarge { message }.into(),
        Why::UnsupportedType => BadFile::UnsupportedType { message }.into(),
        Why::InvalidPath => BadFile::InvalidPath { path: message }.into(),
        Why::Exists | Why::TooMany | Why::Unavailable => Error::Unavailable { status, message },
        Why::Other if (200..300).contains(&status) => {
            Error::NotUnderstood { message: "it sent something else than was asked for".to_owned(), body: json }
        }
        Why::Other => Error::NotUnderstood { message: format!("status {status}: {message}"), body: json },
    }
}

/// What a refusal without a message says.
fn unsaid(body: &[u8], is_json: bool) -> String {
    match plain(body) {
        None => "it gave no reason".to_owned(),
        Some(_) if is_json => "it gave no reason that is known".to_owned(),
        Some(words) => words,
    }
}

/// The meaning of a request that got no answer, or not all of it.
pub(super) fn lost(error: &reqwest::Error) -> Error {
    let message = outgoing::reason(error, error.url(), "CAROUSEL_SUPABASE_CA");
    if error.is_timeout() {
        Error::Timeout { message }
    } else if error.is_connect() {
        Error::Connect { message }
    } else {
        Error::Reset { message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_line_without_the_key() {
        let body = format!("bad\n\u{1b}[1m\u{202e} sb_secret_1 {}", "x".repeat(1_000));
        let Error::Unavailable { message, .. } = refused(503, body.as_bytes(), "sb_secret_1") else { panic!() };
        assert!(message.starts_with("bad [1m [key] xxx") && message.chars().count() == MAX_MESSAGE + 1, "{message}");
    }
}
