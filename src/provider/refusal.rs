//! From an error's status, code and type to its meaning.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::error::{Error, Told};
use super::retry_after;
use crate::words::{Secrets, plain};

/// Longest message that is kept, in characters.
const MAX_MESSAGE: usize = 300;

const MODERATION: &[&str] = &[
    "moderation_blocked",
    "content_policy_violation",
    "content_filter",
    "contentFilter",
    "ResponsibleAIPolicyViolation",
];
const INVALID_IMAGE: &[&str] = &[
    "invalid_image_file",
    "invalid_image",
    "invalid_image_format",
    "unsupported_file_mimetype",
    "missing_file_mimetype",
];
const BILLING_LIMIT: &[&str] = &["billing_hard_limit_reached"];
const QUOTA_SPENT: &[&str] = &["insufficient_quota", "credit_balance_exhausted", "billing_not_active"];
const UNAUTHORIZED: &[&str] = &["invalid_api_key", "authentication_error"];
const NO_MODEL: &[&str] = &["model_not_found", "DeploymentNotFound"];
const RATE_LIMIT: &[&str] = &["rate_limit_exceeded", "rate_limit_error", "slow_down"];
const OVERLOADED: &[&str] = &["server_is_overloaded", "overloaded_error"];
const SERVER: &[&str] = &["server_error", "image_generation_server_error", "internal_error", "internal_server_error"];

/// What an answer says before its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
    /// How the body is compressed, if it is; nothing was asked for, and nothing of it can be read.
    pub(super) encoding: Option<String>,
    should_retry: Option<bool>,
    retry_after: Option<Duration>,
}

impl Head {
    pub(super) fn of(response: &Response) -> Self {
        Self::read(response.status().as_u16(), response.headers())
    }

    pub(super) fn read(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        // They stand in log lines: `to_str` lets tabs and spaces pass.
        let word = |text: &str, most: usize| {
            let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
            Some(word).filter(|word| !word.is_empty())
        };
        // Azure has a name of its own for it.
        let id = text("x-request-id").or_else(|| text("apim-request-id"));
        let encoding = text("content-encoding").filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
        Self {
            status,
            request_id: id.and_then(|id| word(id, 128)),
            encoding: encoding.and_then(|encoding| word(encoding, 32)),
            should_retry: match text("x-should-retry") {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
            retry_after: retry_after::read(headers, SystemTime::now()),
        }
    }

    /// What is known of a failure that is told in our own words.
    pub(super) fn told(&self, message: &str) -> Box<Told> {
        Box::new(Told {
            status: Some(self.status),
            code: None,
            message: message.to_owned(),
            request_id: self.request_id.clone(),
            should_retry: self.should_retry,
        })
    }
}

/// What an error's body says.
#[derive(Default)]
struct Said {
    message: Option<String>,
    /// Code, type and inner code, in this order.
    words: Vec<String>,
    details: Option<String>,
    /// Whether it says that it is about the model.
    of_model: bool,
}

impl Said {
    /// Reads `{"error": {...}}`, `{"error": "..."}`, and what other servers make of it: the members without the envelope, `{"detail": "..."}`.
    fn read(body: &Value) -> Self {
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let text = |pointer: &str| match error.pointer(pointer) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let words = ["/code", "/type", "/innererror/code", "/inner_error/code"];
        let details = error.get("moderation_details").filter(|details| !details.is_null());
        let message = error.as_str().map(str::to_owned).or_else(|| text("/message")).or_else(|| text("/detail"));
        // Not every server has a code or a parameter for it.
        let named = message.as_ref().is_some_and(|message| message.to_ascii_lowercase().contains("model"));
        Self {
            of_model: named || text("/param").as_deref() == Some("model"),
            message,
            words: words.into_iter().filter_map(text).collect(),
            details: details.map(Value::to_string),
        }
    }

    fn is(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }
}

/// The meaning of an answer whose status is no success. `body` is as much of the body as came.
pub(super) fn by_status(head: &Head, body: &[u8], secrets: Secrets<'_>) -> Error {
    let said = match serde_json::from_slice::<Value>(body) {
        Err(_) if head.encoding.is_some() => Said {
            message: head
                .encoding
                .as_ref()
                .map(|encoding| format!("it gives a reason that is compressed ({encoding})")),
            ..Said::default()
        },
        Ok(value) => Said::read(&value),
        Err(_) => Said { message: plain(body), ..Said::default() },
    };
    let message = said.message.clone().unwrap_or_else(|| "it gave no reason".to_owned());
    let told = told(head, &said, &message, secrets);
    by_code(head, &said, told, secrets).unwrap_or_else(|told| {
        let (status, retry_after) = (head.status, head.retry_after);
        match status {
            300..=399 => Error::NotFound { told: head.told("it answers with a redirect, which is not followed") },
            404 if said.of_model => Error::ModelNotFound { told },
            // Nothing of the request was looked at: there is no such place.
            404 | 405 | 410 => Error::NotFound { told },
            401 => Error::Unauthorized { told },
            403 => Error::Forbidden { told },
            // Conflicts and requests that came too slowly: nothing was made, and another try may do.
            408 | 409 | 425 => Error::Server { status, retry_after, may_be_billed: false, told },
            429 => Error::RateLimited { retry_after, slow_down: false, told },
            503 => Error::Overloaded { retry_after, told },
            500.. => Error::Server { status, retry_after, may_be_billed: true, told },
            _ => Error::InvalidRequest { told },
        }
    })
}

/// The meaning of an error that comes in a successful answer, or in an event of its stream.
pub(super) fn in_success(head: &Head, body: &Value, secrets: Secrets<'_>) -> Error {
    let said = Said::read(body);
    let message = said.message.clone().unwrap_or_else(|| "it says that it failed, and not why".to_owned());
    let told = told(head, &said, &message, secrets);
    by_code(head, &said, told, secrets).unwrap_or_else(|told| {
        if said.is(&["invalid_request_error"]) { Error::InvalidRequest { told } } else { Error::NotUnderstood { told } }
    })
}

fn told(head: &Head, said: &Said, message: &str, secrets: Secrets<'_>) -> Box<Told> {
    let mut told = head.told(&secrets.clean(message, MAX_MESSAGE));
    told.code = said.words.first().map(|code| secrets.clean(code, MAX_MESSAGE).chars().take(64).collect());
    told
}

/// The meaning by code and type, which are surer than the status; gives `told` back when they mean nothing.
fn by_code(head: &Head, said: &Said, told: Box<Told>, secrets: Secrets<'_>) -> Result<Error, Box<Told>> {
    let (status, retry_after) = (head.status, head.retry_after);
    let spent = |word: &String| word.ends_with("_spend_limit_exceeded");
    Ok(if said.is(MODERATION) {
        Error::Moderation { details: said.details.as_ref().map(|details| secrets.clean(details, MAX_MESSAGE)), told }
    } else if said.is(INVALID_IMAGE) {
        Error::InvalidImage { told }
    } else if said.is(BILLING_LIMIT) {
        Error::BillingLimit { told }
    } else if said.is(QUOTA_SPENT) || said.words.iter().any(spent) {
        // Before the rate: a spent quota comes with status 429 and at times with its code, too.
        Error::QuotaSpent { told }
    } else if said.is(UNAUTHORIZED) {
        Error::Unauthorized { told }
    } else if said.is(NO_MODEL) {
        Error::ModelNotFound { told }
    } else if said.is(RATE_LIMIT) {
        Error::RateLimited { retry_after, slow_down: said.is(&["slow_down"]), told }
    } else if said.is(OVERLOADED) {
        Error::Overloaded { retry_after, told }
    } else if said.is(SERVER) && status != 503 {
        Error::Server { status, retry_after, may_be_billed: true, told }
    } else {
        return Err(told);
    })
}
