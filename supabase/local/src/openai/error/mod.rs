//! What OpenAI answers when it refuses: status, `type`, `param`, `code` and message, in its own words.
//!
//! The words were collected from the SDKs and from public issue threads; where no one has quoted them, they follow the pattern of
//! the others.

mod parameter;

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal. Its constructors are the rows of OpenAI's error table, so a test can queue each of them.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Row>);

/// The parts of a refusal.
#[derive(Clone, Debug)]
struct Row {
    status: StatusCode,
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
    message: String,
    details: Option<Value>,
    retry_after: RetryAfter,
    should_retry: Option<bool>,
}

/// How an answer says when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// It does not.
    #[default]
    Unsaid,
    /// `retry-after` in whole seconds.
    Seconds(u64),
    /// `retry-after` as an HTTP date, so long from now.
    Date(Duration),
    /// `retry-after-ms`.
    Millis(u64),
}

const REQUEST: &str = "invalid_request_error";
const USER: &str = "image_generation_user_error";

impl ApiError {
    fn new(status: u16, kind: &'static str, code: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Row {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            kind,
            param: None,
            code: code.into(),
            message: message.into(),
            details: None,
            retry_after: RetryAfter::Unsaid,
            should_retry: None,
        }))
    }

    fn on(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// The same refusal, saying when to come back.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.0.retry_after = retry_after;
        self
    }

    /// The same refusal with `x-should-retry`.
    #[must_use]
    pub fn should_retry(mut self, should: bool) -> Self {
        self.0.should_retry = Some(should);
        self
    }

    /// 400 `moderation_blocked`: the safety system refused the prompt or the picture.
    #[must_use]
    pub fn moderation_blocked() -> Self {
        let message = "Your request was rejected by the safety system. If you believe this is an error, contact us at \
                       help.openai.com and include the request ID. safety_violations=[violence].";
        Self::new(400, USER, "moderation_blocked", message)
    }

    /// [`ApiError::moderation_blocked`] with `moderation_details`.
    #[must_use]
    pub fn moderation_blocked_with_details() -> Self {
        let details = json!({ "moderation_stage": "output", "categories": ["violence"] });
        let mut error = Self::moderation_blocked();
        error.0.details = Some(details);
        error
    }

    /// 400 `invalid_image_file`: the `number`th image, counted from 1, is no picture that can be read.
    #[must_use]
    pub fn invalid_image_file(number: usize) -> Self {
        let message = format!("Invalid image file or mode for image {number}, please check your image file.");
        Self::new(400, USER, "invalid_image_file", message)
    }

    /// 400 `unsupported_file_mimetype`.
    #[must_use]
    pub fn unsupported_file_mimetype(param: &str, mime: &str) -> Self {
        let message = format!(
            "Invalid file '{param}': unsupported mimetype ('{mime}'). Supported file formats are 'image/jpeg', 'image/png', and \
             'image/webp'."
        );
        Self::new(400, REQUEST, "unsupported_file_mimetype", message).on(param)
    }

    /// 400 `missing_file_mimetype`.
    #[must_use]
    pub fn missing_file_mimetype(param: &str) -> Self {
        let message = format!(
            "Invalid file '{param}': failed to determine mimetype. Ensure you are providing the file's mimetype as part of the \
             'Content-Type' header."
        );
        Self::new(400, REQUEST, "missing_file_mimetype", message).on(param)
    }

    /// 400 for a size that the model can't make, for the reason given.
    #[must_use]
    pub fn invalid_size(size: &str, reason: &str) -> Self {
        Self::new(400, USER, "invalid_value", format!("Invalid size '{size}'. {reason}")).on("size")
    }

    /// 400 `billing_hard_limit_reached`.
    #[must_use]
    pub fn billing_hard_limit_reached() -> Self {
        Self::new(400, REQUEST, "billing_hard_limit_reached", "Billing hard limit has been reached")
    }

    /// 401: the key is not one of OpenAI's.
    #[must_use]
    pub fn invalid_api_key(shown: &str) -> Self {
        let message = format!(
            "Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
        );
        Self::new(401, REQUEST, "invalid_api_key", message)
    }

    /// 401: there is no key at all.
    #[must_use]
    pub fn missing_api_key() -> Self {
        let message = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth \
                       (i.e. Authorization: Bearer YOUR_KEY).";
        Self::new(401, REQUEST, None, message)
    }

    /// 403: the organization must be verified before it may use the model.
    #[must_use]
    pub fn organization_not_verified(model: &str) -> Self {
        let message = format!(
            "Your organization must be verified to use the model `{model}`. Please go to: \
             https://platform.openai.com/settings/organization/general and click on Verify Organization. If you just verified, it \
             can take up to 15 minutes for access to propagate."
        );
        Self::new(403, REQUEST, None, message)
    }

    /// 404 `model_not_found`.
    #[must_use]
    pub fn model_not_found(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Self::new(404, REQUEST, "model_not_found", message).on("model")
    }

    /// 404 for a model that was shut down.
    #[must_use]
    pub fn model_shut_down(model: &str) -> Self {
        let message = format!(
            "The model `{model}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations"
        );
        Self::new(404, REQUEST, "model_not_found", message)
    }

    /// 429 `rate_limit_exceeded`: too many images in this minute, the next is possible after `wait`. Only the message says so;
    /// headers are added with [`ApiError::retry_after`].
    #[must_use]
    pub fn rate_limit_exceeded(model: &str, limit: u32, requested: u32, wait: Duration) -> Self {
        let message = format!(
            "Rate limit reached for {model} (for limit gpt-image) in organization org-stand-in on input-images per min: Limit \
             {limit}, Used {limit}, Requested {requested}. Please try again in {}ms. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            wait.as_millis()
        );
        Self::new(429, "input-images", "rate_limit_exceeded", message)
    }

    /// 429 of type `insufficient_quota`: money, not speed. `code` is for example `insufficient_quota`,
    /// `credit_balance_exhausted` or `organization_spend_limit_exceeded`.
    #[must_use]
    pub fn insufficient_quota(code: &'static str) -> Self {
        let message = "You exceeded your current quota, please check your plan and billing details. For more information on this \
                       error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.";
        Self::new(429, "insufficient_quota", code, message)
    }

    /// 429 `slow_down`.
    #[must_use]
    pub fn slow_down() -> Self {
        Self::new(
            429,
            "requests",
            "slow_down",
            "Slow down: your requests are growing faster than we can scale. Try again later.",
        )
    }

    /// 500.
    #[must_use]
    pub fn server_error() -> Self {
        let message = "The server had an error while processing your request. Sorry about that! You can retry your request, or \
                       contact us through our help center at help.openai.com if the error persists.";
        Self::new(500, "server_error", None, message)
    }

    /// 503 `server_is_overloaded`.
    #[must_use]
    pub fn server_is_overloaded() -> Self {
        let message = "Our servers are currently overloaded. Please try again later.";
        Self::new(503, "service_unavailable_error", "server_is_overloaded", message)
    }

    /// What a stream reports when the generation breaks after it began.
    #[must_use]
    pub fn generation_failed() -> Self {
        Self::new(500, "image_generation_server_error", "image_generation_failed", "Image generation failed")
    }

    /// The body: `{"error": {...}}`.
    pub(super) fn body(&self) -> Value {
        let Row { message, kind, param, code, details, .. } = &*self.0;
        let mut error = json!({ "message": message, "type": kind, "param": param, "code": code });
        if let Some(details) = details {
            error["moderation_details"] = details.clone();
        }
        json!({ "error": error })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        match self.0.retry_after {
            RetryAfter::Unsaid => {}
            RetryAfter::Seconds(seconds) => set(header::RETRY_AFTER, seconds.to_string()),
            RetryAfter::Millis(millis) => set(HeaderName::from_static("retry-after-ms"), millis.to_string()),
            RetryAfter::Date(wait) => {
                set(header::RETRY_AFTER, httpdate::fmt_http_date(std::time::SystemTime::now() + wait));
            }
        }
        if let Some(should) = self.0.should_retry {
            set(HeaderName::from_static("x-should-retry"), should.to_string());
        }
        headers
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.0.status, self.headers(), Json(self.body())).into_response()
    }
}
