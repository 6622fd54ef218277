//! How Storage can fail, by what it means to the one who asked.

use std::io;

use serde_json::Value;

/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 300;

/// Why a request to Storage did not do what it should. Nothing was tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object or bucket, or not for this key.
    #[error("Storage has no such object or bucket: {message}")]
    NotFound {
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
    /// More bytes than the bucket, or the caller, takes.
    #[error("the file is too large: {message}")]
    TooLarge {
        /// Whose limit it is.
        message: String,
    },
    /// The bucket does not take files of this type.
    #[error("the bucket does not take this type of file: {message}")]
    UnsupportedType {
        /// What Storage said.
        message: String,
    },
    /// No object can have this path.
    #[error("no object can have the path `{path}`")]
    InvalidPath {
        /// The path, its unusual characters escaped, or what Storage said of it.
        path: String,
    },
    /// The bucket can be read by everyone who knows a path.
    #[error("the bucket {bucket} is public; make it private (Storage in the dashboard, or `carousel migrate`)")]
    PublicBucket {
        /// The bucket.
        bucket: String,
    },
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

/// The meaning of a refusal. Storage answers most of them with status 400 and has the real code in the body.
pub(super) fn refused(status: u16, body: &[u8], key: &str) -> Error {
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = |name: &str| json.as_ref().and_then(|body| body[name].as_str()).unwrap_or("").to_owned();
    let code = json.as_ref().and_then(|body| match &body["statusCode"] {
        Value::String(code) => code.parse().ok(),
        code => code.as_u64().and_then(|code| u16::try_from(code).ok()),
    });
    let (code, word, said) = (code.unwrap_or(status), text("error"), text("message"));
    let message = clean(&if said.is_empty() { words(body, json.is_some()) } else { said.clone() }, key);
    // A token that can't be read has the same code as an object that may not be touched.
    let told = format!("{word} {said}").to_ascii_lowercase();
    let token = ["jwt", "jws", "signature", "api key"].iter().any(|sign| told.contains(sign));
    match code {
        200..300 => {
            Error::NotUnderstood { message: "it sent something else than was asked for".to_owned(), body: json }
        }
        401 => Error::Unauthorized { message },
        400 | 403 if token => Error::Unauthorized { message },
        403 => Error::Denied { message },
        404 => Error::NotFound { message },
        413 => Error::TooLarge { message },
        415 => Error::UnsupportedType { message },
        400 if word == "InvalidKey" || word == "Invalid key" || said.starts_with("Invalid key") => {
            Error::InvalidPath { path: message }
        }
        408 | 409 | 423 | 425 | 429 | 500.. => Error::Unavailable { status: code, message },
        _ => Error::NotUnderstood { message: format!("status {code}: {message}"), body: json },
    }
}

/// What a refusal without a message says.
fn words(body: &[u8], is_json: bool) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim_start() {
        "" => "it gave no reason".to_owned(),
        page if page.starts_with('<') => "it answers with a web page".to_owned(),
        _ if is_json => "it gave no reason that is known".to_owned(),
        text => text.to_owned(),
    }
}

/// One line without the key, and without what could forge a log line or turn its direction.
fn clean(text: &str, key: &str) -> String {
    let invisible = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let words = text.split(|letter: char| letter.is_whitespace() || invisible(letter));
    let line = words.filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    let line = if key.is_empty() { line } else { line.replace(key, "[key]") };
    line.chars().take(MAX_MESSAGE).collect()
}

/// The meaning of a request that got no answer, or not all of it.
pub(super) fn lost(error: &reqwest::Error) -> Error {
    // The outer causes name the address, the innermost one says what happened.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message = cause.to_string();
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
    fn the_code_in_the_body_decides() {
        let body = |code: &str, word: &str, said: &str| {
            format!(r#"{{"statusCode":"{code}","error":"{word}","message":"{said}"}}"#)
        };
        let rows = [
            (400, body("404", "not_found", "Object not found"), "NotFound"),
            (400, body("404", "Bucket not found", "Bucket not found"), "NotFound"),
            (400, body("403", "Unauthorized", "new row violates row-level security policy"), "Denied"),
            (400, body("403", "Unauthorized", "Invalid Compact JWS"), "Unauthorized"),
            (401, r#"{"message":"Invalid API key"}"#.into(), "Unauthorized"),
            (400, body("413", "Payload too large", "The object exceeded the maximum allowed size"), "TooLarge"),
            (413, String::new(), "TooLarge"),
            (400, body("415", "invalid_mime_type", "mime type text/html is not supported"), "UnsupportedType"),
            (400, body("400", "InvalidKey", "Invalid key: a"), "InvalidPath"),
            (400, body("409", "Duplicate", "The resource already exists"), "Unavailable"),
            (400, r#"{"statusCode":429,"message":"slow"}"#.into(), "Unavailable"),
            (500, body("500", "internal", "Internal Server Error"), "Unavailable"),
            (502, "<html>bad gateway</html>".into(), "Unavailable"),
            (544, String::new(), "Unavailable"),
            (400, "no json".into(), "NotUnderstood"),
            (302, String::new(), "NotUnderstood"),
        ];
        for (status, body, expected) in rows {
            let error = refused(status, body.as_bytes(), "key");
            assert!(format!("{error:?}").starts_with(expected), "{status} {body}: {error:?}");
        }
    }

    #[test]
    fn a_message_is_one_short_line_without_the_key() {
        let body = format!("bad\n\u{1b}[1m\u{202e} sb_secret_1 {}", "x".repeat(1_000));
        let Error::Unavailable { message, .. } = refused(503, body.as_bytes(), "sb_secret_1") else { panic!() };
        assert!(message.starts_with("bad [1m [key] xxx") && message.len() == MAX_MESSAGE, "{message}");
    }
}
