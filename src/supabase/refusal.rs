//! What Supabase's Storage means when it refuses: the one reader of its refusals, for the worker's client and for the people's.
//!
//! Knows no request and no caller: what becomes of a refusal is for those who asked.

use serde_json::Value;

/// Why Storage refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The key or token itself is not accepted: unknown, expired, or signed by somebody else.
    Unauthorized,
    /// The key or token is known, and may not do this.
    Denied,
    /// There is no such bucket, or it does not show itself to this caller.
    NoBucket,
    /// The bucket is there, and has no such object for this caller.
    NoObject,
    /// It is there already.
    Exists,
    /// More bytes than the bucket takes.
    TooLarge,
    /// The bucket does not take files of this type.
    UnsupportedType,
    /// No object can have this path.
    InvalidPath,
    /// Storage wants fewer requests.
    TooMany,
    /// Storage, or something in front of it, can't serve now.
    Unavailable,
    /// Anything else. A 404 that is not Storage's own says nothing of an object: something else has answered.
    Other,
}

/// What is wrong with a file, or with the place where it is to be.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
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
}

/// A refusal, read.
#[derive(Debug)]
pub struct Refusal {
    /// What it means.
    pub why: Why,
    /// The status that is meant. Storage answers most refusals with 400 and has the real one in the body.
    pub status: u16,
    /// What it said, as it came; nothing when it said nothing.
    pub message: Option<String>,
    /// The answer, where it is JSON.
    pub body: Option<Value>,
}

/// Reads a refusal of Storage's.
pub fn refusal(status: u16, body: &[u8]) -> Refusal {
    let json = serde_json::from_slice::<Value>(body).ok();
    let text = |name: &str| json.as_ref().and_then(|body| body[name].as_str()).unwrap_or_default();
    let meant = json.as_ref().and_then(|body| match &body["statusCode"] {
        Value::String(code) => code.parse().ok(),
        code => code.as_u64().and_then(|code| u16::try_from(code).ok()),
    });
    let (status, said) = (meant.unwrap_or(status), text("message"));
    let why = why(status, text("code"), text("error"), said);
    let message = (!said.is_empty()).then(|| said.to_owned());
    Refusal { why, status, message, body: json }
}

/// The meaning of `status` with Storage's `code` (newer servers), `error` and `message`.
fn why(status: u16, code: &str, error: &str, message: &str) -> Why {
    let told = message.to_ascii_lowercase();
    match status {
        401 => Why::Unauthorized,
        // Before the signs of a token: this message ends with a path that a person wrote.
        400 if code == "InvalidKey"
            || matches!(error, "InvalidKey" | "Invalid key")
            || told.starts_with("invalid key") =>
        {
            Why::InvalidPath
        }
        400 | 403 if is_of_token(code) || is_of_token(error) || is_of_token(&told) => Why::Unauthorized,
        403 => Why::Denied,
        404 if code == "NoSuchBucket" || error == "Bucket not found" || told == "bucket not found" => Why::NoBucket,
        404 if code == "NoSuchKey" || error == "not_found" || told == "object not found" => Why::NoObject,
        409 => Why::Exists,
        413 => Why::TooLarge,
        415 => Why::UnsupportedType,
        429 => Why::TooMany,
        408 | 423 | 425 | 500.. => Why::Unavailable,
        _ => Why::Other,
    }
}

/// Whether words are about a token: one that can't be read has the same status as an object that may not be touched.
fn is_of_token(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["jwt", "jws", "\"exp\"", "signature", "api key"].iter().any(|sign| words.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_in_the_body_decides_and_the_words_tell_whose_fault_it_is() {
        let body = |code: &str, error: &str, message: &str| {
            serde_json::json!({ "statusCode": code, "error": error, "message": message }).to_string()
        };
        let coded = |status: &str, code: &str, message: &str| {
            serde_json::json!({ "statusCode": status, "code": code, "error": code, "message": message }).to_string()
        };
        let rows = [
            (400, body("404", "not_found", "Object not found"), Why::NoObject),
            (400, coded("404", "NoSuchKey", "Object not found"), Why::NoObject),
            (400, body("404", "Bucket not found", "Bucket not found"), Why::NoBucket),
            (400, coded("404", "NoSuchBucket", "Bucket not found"), Why::NoBucket),
            // Somebody else answers at this address.
            (404, body("404", "Not Found", "Route GET:/object/authenticated/a not found"), Why::Other),
            (404, r#"{"message":"no Route matched with those values"}"#.into(), Why::Other),
            (404, "<html>not found</html>".into(), Why::Other),
            (404, String::new(), Why::Other),
            (400, body("403", "Unauthorized", "new row violates row-level security policy"), Why::Denied),
            (400, body("403", "Unauthorized", "Invalid Compact JWS"), Why::Unauthorized),
            (400, body("403", "Unauthorized", "jwt malformed"), Why::Unauthorized),
            (400, body("403", "Unauthorized", "signature verification failed"), Why::Unauthorized),
            (400, body("403", "Unauthorized", "\"exp\" claim timestamp check failed"), Why::Unauthorized),
            (400, coded("400", "InvalidJWT", "it is none"), Why::Unauthorized),
            (400, coded("400", "InvalidSignature", "it is none"), Why::Unauthorized),
            (401, r#"{"message":"Invalid API key"}"#.into(), Why::Unauthorized),
            (400, body("413", "Payload too large", "The object exceeded the maximum allowed size"), Why::TooLarge),
            (413, String::new(), Why::TooLarge),
            (400, body("415", "invalid_mime_type", "mime type text/html is not supported"), Why::UnsupportedType),
            (400, body("400", "InvalidKey", "Invalid key: a"), Why::InvalidPath),
            // The name of somebody's file is not the news of a token.
            (400, body("400", "InvalidKey", "Invalid key: u/sources/jwt signature.png"), Why::InvalidPath),
            (400, body("409", "Duplicate", "The resource already exists"), Why::Exists),
            (400, r#"{"statusCode":429,"message":"slow"}"#.into(), Why::TooMany),
            (500, body("500", "internal", "Internal Server Error"), Why::Unavailable),
            (502, "<html>bad gateway</html>".into(), Why::Unavailable),
            (544, String::new(), Why::Unavailable),
            (400, "no json".into(), Why::Other),
            (302, String::new(), Why::Other),
            (200, "no json".into(), Why::Other),
        ];
        for (status, body, why) in rows {
            assert_eq!(refusal(status, body.as_bytes()).why, why, "{status} {body}");
        }
    }
}
