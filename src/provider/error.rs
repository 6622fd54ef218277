//! How an edit can fail, by what it means to the one who asked for it.

use std::fmt;
use std::io;
use std::time::Duration;

/// What is known about a failure beside its meaning. Safe to log and to store: it holds neither key nor prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// The provider's own code or type for it.
    pub code: Option<String>,
    /// What the provider said, or what happened: one line of at most some 300 characters.
    pub message: String,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
    /// What the provider's `x-should-retry` header says.
    pub should_retry: Option<bool>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let status = self.status.map(|status| format!("status {status}"));
        let request = self.request_id.as_ref().map(|id| format!("request {id}"));
        let details: Vec<_> = [status, self.code.clone(), request].into_iter().flatten().collect();
        if details.is_empty() { Ok(()) } else { write!(f, " ({})", details.join(", ")) }
    }
}

/// Which patience came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For a connection.
    Connect,
    /// For the next byte, in either direction.
    Silence,
    /// For the whole edit.
    Total,
}

/// Why there is no image. Nothing was tried again: that is the caller's decision.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields that all variants share are described at `Told`")]
pub enum Error {
    /// The provider refuses this prompt or these sources.
    #[error("the provider's moderation refused this: {told}")]
    Moderation {
        /// What it objected to, as JSON, cut like a message.
        details: Option<String>,
        told: Box<Told>,
    },
    /// A source is nothing that the provider can work with.
    #[error("the provider can't use a source image: {told}")]
    InvalidImage { told: Box<Told> },
    /// The provider refuses the request as it stands, for example its size.
    #[error("the provider refused the request: {told}")]
    InvalidRequest { told: Box<Told> },
    /// The account's own spending limit is reached.
    #[error("the provider's billing limit is reached; raise it in the account's settings: {told}")]
    BillingLimit { told: Box<Told> },
    /// The account has no money left: waiting does not help.
    #[error("the provider's quota is spent; add credit to the account: {told}")]
    QuotaSpent { told: Box<Told> },
    /// The key is wrong.
    #[error("the provider does not accept the key; check OPENAI_API_KEY: {told}")]
    Unauthorized { told: Box<Told> },
    /// The key may not do this, for example because the organization is not verified for the model.
    #[error("the provider does not allow this to the key; verify the organization for the model: {told}")]
    Forbidden { told: Box<Told> },
    /// There are no edits at this address.
    #[error(
        "nothing makes images at the provider's address; check OPENAI_BASE_URL, which ends in /v1 at OpenAI: {told}"
    )]
    NotFound { told: Box<Told> },
    /// The provider does not have this model, or not any more.
    #[error("the provider does not have this model; choose another one: {told}")]
    ModelNotFound { told: Box<Told> },
    /// Too many requests.
    #[error("the provider wants fewer requests: {told}")]
    RateLimited {
        /// How long the provider wants to be left alone, at most [`MAX_RETRY_AFTER`](super::MAX_RETRY_AFTER).
        retry_after: Option<Duration>,
        /// Whether it asks for a lower rate, and not only for a pause.
        slow_down: bool,
        told: Box<Told>,
    },
    /// The provider has too much to do.
    #[error("the provider is overloaded: {told}")]
    Overloaded {
        /// How long the provider wants to be left alone.
        retry_after: Option<Duration>,
        told: Box<Told>,
    },
    /// The provider failed.
    #[error("the provider failed: {told}")]
    Server {
        /// HTTP status.
        status: u16,
        /// How long the provider wants to be left alone.
        retry_after: Option<Duration>,
        /// Whether the edit may have been made and billed all the same.
        may_be_billed: bool,
        told: Box<Told>,
    },
    /// Too long a wait.
    #[error("the provider took too long: {told}")]
    Timeout {
        /// For what.
        what: Wait,
        /// Whether the provider had the whole request, and so may bill it.
        may_be_billed: bool,
        told: Box<Told>,
    },
    /// No connection; nothing was sent.
    #[error("no connection to the provider: {told}")]
    Connect { told: Box<Told> },
    /// The connection was lost before an answer.
    #[error("the connection to the provider was lost: {told}")]
    Reset {
        /// Whether the provider had the whole request, and so may bill it.
        may_be_billed: bool,
        told: Box<Told>,
    },
    /// The answer breaks off. The edit was made, and billed.
    #[error("the provider's answer breaks off: {told}")]
    Truncated { told: Box<Told> },
    /// The answer is one to an edit, with no image in it. It may have been billed.
    #[error("the provider made no image: {told}")]
    Empty { told: Box<Told> },
    /// The answer is no answer to an edit. The edit may have been made, and billed.
    #[error("the provider's answer is not understood: {told}")]
    NotUnderstood { told: Box<Told> },
    /// The answer is larger than configuration allows. The edit was made, and billed.
    #[error("the provider's answer is too large: {told}")]
    TooLarge { told: Box<Told> },
    /// The image lies at an address that configuration does not allow. The edit was made, and billed.
    #[error("the provider gave an address instead of an image; allow its host if you trust it: {told}")]
    UrlRefused { told: Box<Told> },
    /// A spooled source could not be read; nothing that could be billed was sent.
    #[error("a spooled source could not be read: {0}")]
    SourceUnreadable(io::Error),
}

impl Error {
    /// What is known beside the meaning; nothing when the failure was not the provider's.
    pub fn told(&self) -> Option<&Told> {
        match self {
            Self::Moderation { told, .. }
            | Self::InvalidImage { told }
            | Self::InvalidRequest { told }
            | Self::BillingLimit { told }
            | Self::QuotaSpent { told }
            | Self::Unauthorized { told }
            | Self::Forbidden { told }
            | Self::NotFound { told }
            | Self::Empty { told }
            | Self::ModelNotFound { told }
            | Self::RateLimited { told, .. }
            | Self::Overloaded { told, .. }
            | Self::Server { told, .. }
            | Self::Timeout { told, .. }
            | Self::Connect { told }
            | Self::Reset { told, .. }
            | Self::Truncated { told }
            | Self::NotUnderstood { told }
            | Self::TooLarge { told }
            | Self::UrlRefused { told } => Some(told),
            Self::SourceUnreadable(_) => None,
        }
    }

    /// The provider's id of the request, when an answer named one.
    pub fn request_id(&self) -> Option<&str> {
        self.told()?.request_id.as_deref()
    }

    /// HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.told()?.status
    }

    /// What the provider itself says about trying again, when it says something.
    pub fn should_retry(&self) -> Option<bool> {
        self.told()?.should_retry
    }

    /// How long the provider wants to be left alone, when it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Overloaded { retry_after, .. }
            | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the edit may have been made and billed although there is no image.
    pub fn may_be_billed(&self) -> bool {
        match self {
            Self::Server { may_be_billed, .. }
            | Self::Timeout { may_be_billed, .. }
            | Self::Reset { may_be_billed, .. } => *may_be_billed,
            Self::Truncated { .. }
            | Self::Empty { .. }
            | Self::NotUnderstood { .. }
            | Self::TooLarge { .. }
            | Self::UrlRefused { .. } => true,
            _ => false,
        }
    }
}
