//! What went wrong, as a stable code and words for the job's owner, how far it reaches, and the one function that decides whether to try
//! again.

mod reach;

use std::time::Duration;

pub use reach::Reach;

use crate::job::MAX_SOURCE_BYTES;
use crate::queue::{self, BILLED_TRIES};
use crate::supabase::{BadFile, storage};
use crate::{image, job, provider};

/// Why an image, or a whole job, could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The provider, or the way to it.
    #[error(transparent)]
    Provider(#[from] provider::Error),
    /// What the provider sent is not the picture that was asked for.
    #[error("the provider's picture: {0}")]
    Result(image::Error),
    /// A source could not be fetched.
    #[error("source {path}: {error}")]
    Fetch {
        /// Object in the bucket.
        path: String,
        /// What Storage said.
        error: storage::Error,
    },
    /// A source is not a picture that the provider takes.
    #[error("source {path}: {error}")]
    Source {
        /// Object in the bucket.
        path: String,
        /// What it is instead.
        error: image::Error,
    },
    /// A finished picture could not be put into the bucket.
    #[error("upload: {0}")]
    Upload(storage::Error),
    /// The database, or the lease.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The image was perhaps billed for as often as may be; nothing was sent.
    #[error("perhaps billed {BILLED_TRIES} times already, the last time with {}", .0.as_deref().unwrap_or("no end"))]
    Spent(
        /// How the last of these calls ended; nobody may know.
        Option<String>,
    ),
    /// A limit of the job's owner is reached; nothing was sent.
    #[error("{words}")]
    Limit {
        /// Stable code.
        code: String,
        /// Words for the owner.
        words: String,
    },
    /// The job asks for something that is not to be had; nothing was sent.
    #[error("{message}")]
    Unfit {
        /// Stable code.
        code: &'static str,
        /// Words for the owner.
        message: String,
    },
    /// This machine, or this program.
    #[error("internal: {0}")]
    Internal(String),
}

impl Failure {
    /// The stable code, as rows and src/worker/README.md have it.
    pub fn code(&self) -> &str {
        use provider::Error as P;
        match self {
            Self::Provider(error) => match error {
                P::Moderation { .. } => "moderation_blocked",
                P::InvalidImage { .. } => "invalid_source_image",
                P::InvalidRequest { .. } => "invalid_request",
                P::BillingLimit { .. } => "billing_limit_reached",
                P::QuotaSpent { .. } => "quota_exhausted",
                P::Unauthorized { .. } => "provider_unauthorized",
                P::Forbidden { .. } => "provider_forbidden",
                P::NotFound { .. } => "provider_not_found",
                P::ModelNotFound { .. } => "model_not_found",
                P::RateLimited { .. } => "rate_limited",
                P::Overloaded { .. } => "provider_overloaded",
                P::Server { .. } => "provider_error",
                P::Timeout { .. } => "provider_timeout",
                P::Connect { .. } => "provider_unreachable",
                P::Reset { .. } => "provider_connection_lost",
                P::Truncated { .. } => "answer_truncated",
                P::Empty { .. } => "answer_empty",
                P::NotUnderstood { .. } => "answer_not_understood",
                P::TooLarge { .. } => "answer_too_large",
                P::UrlRefused { .. } => "answer_url_refused",
                P::SourceUnreadable(_) => "internal",
            },
            Self::Result(error) => match error {
                image::Error::NotAnImage { .. } => "result_not_an_image",
                image::Error::WrongFormat { .. } => "result_wrong_format",
                image::Error::WrongSize { .. } | image::Error::TooManyPixels { .. } => "result_wrong_size",
                image::Error::Damaged { .. } => "result_damaged",
                image::Error::Unreadable(_) => "internal",
            },
            Self::Fetch { error, .. } => match error {
                storage::Error::NotFound { .. } => "source_not_found",
                storage::Error::BadFile(BadFile::TooLarge { .. }) => "source_too_large",
                storage::Error::BadFile(BadFile::InvalidPath { .. }) => "source_path_invalid",
                error => storage_code(error),
            },
            Self::Source { error, .. } => match error {
                image::Error::NotAnImage { .. } => "source_not_an_image",
                image::Error::TooManyPixels { .. } => "source_too_large",
                image::Error::Unreadable(_) => "internal",
                _ => "source_damaged",
            },
            Self::Upload(error) => storage_code(error),
            Self::Queue(_) => "database",
            Self::Spent(outcome) => outcome.as_deref().unwrap_or("worker_lost"),
            Self::Limit { code, .. } => code,
            Self::Unfit { code, .. } => code,
            Self::Internal(_) => "internal",
        }
    }

    /// The failure in words for the job's owner. What concerns only the operator stands in the log.
    pub fn message(&self) -> String {
        use provider::Error as P;
        let said = |told: &provider::Told| sentence(&told.message);
        match self {
            Self::Provider(error) => match error {
                P::Moderation { .. } => {
                    "The provider's safety system refused the prompt or the source images. Change them and try again."
                        .to_owned()
                }
                P::InvalidImage { told } => format!("The provider can't use one of the source images: {}", said(told)),
                P::InvalidRequest { told } => format!("The provider refused the request: {}", said(told)),
                P::BillingLimit { .. } | P::QuotaSpent { .. } => {
                    "The service has used up its budget at the provider. Try again later.".to_owned()
                }
                P::Unauthorized { .. } | P::Forbidden { .. } | P::NotFound { .. } => {
                    "The service is not allowed to use the provider. Its operator must mend this.".to_owned()
                }
                P::ModelNotFound { .. } => "The provider does not have this model. Choose another one.".to_owned(),
                P::RateLimited { .. } | P::Overloaded { .. } => {
                    "The provider has too much to do. Try again later.".to_owned()
                }
                P::Server { .. } => "The provider failed several times. Try again later.".to_owned(),
                P::Timeout { .. } => "The provider took too long. Try again later.".to_owned(),
                P::Connect { .. } | P::Reset { .. } => "The provider could not be reached. Try again later.".to_owned(),
                P::Empty { .. } => "The provider made no image. Try again, or change the prompt.".to_owned(),
                P::Truncated { .. } | P::NotUnderstood { .. } | P::TooLarge { .. } | P::UrlRefused { .. } => {
                    "The provider's answer could not be used. Try again later.".to_owned()
                }
                P::SourceUnreadable(_) => INTERNAL.to_owned(),
            },
            Self::Result(image::Error::Unreadable(_)) | Self::Internal(_) => INTERNAL.to_owned(),
            Self::Result(error) => format!("The provider did not send what was asked for: {error}."),
            Self::Fetch { path, error } => match error {
                storage::Error::NotFound { .. } => {
                    format!("The source image {path} is not in the bucket. Upload it and try again.")
                }
                storage::Error::BadFile(BadFile::TooLarge { .. }) => {
                    format!("The source image {path} is too large: at most {} MB.", MAX_SOURCE_BYTES >> 20)
                }
                storage::Error::BadFile(BadFile::InvalidPath { .. }) => format!("{path} is not a path in the bucket."),
                _ => "The source images could not be fetched. Try again later.".to_owned(),
            },
            Self::Source { error: image::Error::Unreadable(_), .. } => INTERNAL.to_owned(),
            Self::Source { path, error } => format!("The source image {path} can't be used: {error}."),
            Self::Upload(_) => "The finished image could not be stored. Try again later.".to_owned(),
            Self::Queue(queue::Error::Refused(_)) => {
                "The service's database refuses to keep the result. Its operator must mend this.".to_owned()
            }
            Self::Queue(_) => "The database could not be reached. Try again later.".to_owned(),
            Self::Spent(outcome) => {
                let how = match outcome {
                    None => "its worker was lost before it could be kept".to_owned(),
                    Some(code) => format!("the last time it ended with {code}"),
                };
                format!(
                    "This image was begun {BILLED_TRIES} times, each perhaps paid for, and {how}. Ask for it once more with a retry."
                )
            }
            Self::Limit { words: message, .. } | Self::Unfit { message, .. } => message.clone(),
        }
    }

    /// The provider's id of the call, for its support.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Provider(error) => error.request_id(),
            _ => None,
        }
    }

    /// Whether the provider may have billed for nothing.
    fn may_be_billed(&self) -> bool {
        match self {
            Self::Provider(error) => error.may_be_billed(),
            Self::Result(_) => true,
            _ => false,
        }
    }

    /// Whether the provider is known not to have billed the call that ended so.
    pub fn is_unbilled(&self) -> bool {
        match self {
            Self::Provider(error) => !error.may_be_billed(),
            // There was a picture, and it could not be kept.
            Self::Result(_) | Self::Upload(_) | Self::Queue(_) | Self::Internal(_) => false,
            Self::Fetch { .. } | Self::Source { .. } | Self::Spent(_) | Self::Limit { .. } | Self::Unfit { .. } => true,
        }
    }

    /// Whether the same again could go better.
    fn may_pass(&self) -> bool {
        use provider::Error as P;
        match self {
            Self::Provider(error) => {
                // The provider may forbid another try. That it wishes for one does not make money or a refusal pass.
                error.should_retry() != Some(false)
                    && matches!(
                        error,
                        P::RateLimited { .. }
                            | P::Overloaded { .. }
                            | P::Server { .. }
                            | P::Timeout { .. }
                            | P::Connect { .. }
                            | P::Reset { .. }
                            | P::Truncated { .. }
                            | P::Empty { .. }
                            | P::NotUnderstood { .. }
                    )
            }
            Self::Result(error) => matches!(error, image::Error::Damaged { .. }),
            Self::Fetch { error, .. } | Self::Upload(error) => storage_may_pass(error),
            _ => false,
        }
    }
}

const INTERNAL: &str = "Something went wrong in the service. Try again later.";
/// How long nothing is begun when somebody must mend it first: the account, a key, an address, the bucket.
pub const MENDING_PAUSE: Duration = Duration::from_secs(300);

/// What becomes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this time.
    Again(Duration),
    /// It is no job that is wrong but the account or the address at the provider, or the key for Storage: leave them alone for this time, and
    /// give the jobs back.
    Pause(Duration),
    /// The same again would fail again.
    Final,
}

/// What has failed, and how often, this time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// An image: the paid call and all that follows it.
    Image {
        /// Tries of this worker.
        failed: u32,
        /// Calls before this one that may have been billed, whoever made them.
        billed: u32,
        /// How many tries are allowed.
        most: u32,
    },
    /// The upload of a finished picture, which is paid for.
    Upload {
        /// Tries of it.
        failed: u32,
    },
    /// The download of a source, before anything is paid.
    Fetch {
        /// Tries of it.
        failed: u32,
    },
    /// A job as a whole: it is not begun anew, but put off where no job could be done.
    Job,
}

/// Before a call Storage may be away for some minutes, and after it for as long: what is paid for is offered to it oftener than a call is made.
const STORAGE_TRIES: u32 = 10;

/// Decides what is tried again, and when.
///
/// `Retry-After` is obeyed; otherwise the waits are about 1, 2, 4, ... up to 60 seconds, with jitter, so that workers that failed
/// together don't come back together.
pub fn judge(failure: &Failure, tried: Tried) -> Verdict {
    use provider::Error as P;
    let (tries, billed, most) = match tried {
        Tried::Image { failed, billed, most } => (failed, billed, most),
        Tried::Upload { failed } | Tried::Fetch { failed } => (failed, 0, STORAGE_TRIES),
        Tried::Job => (1, 0, 1),
    };
    if let Failure::Provider(
        P::QuotaSpent { .. } | P::BillingLimit { .. } | P::Unauthorized { .. } | P::NotFound { .. },
    ) = failure
    {
        return Verdict::Pause(MENDING_PAUSE);
    }
    // No job's sources can be had, and no owner is to blame.
    if let Failure::Fetch { error: storage::Error::Unauthorized { .. } | storage::Error::NoBucket { .. }, .. } = failure
    {
        return Verdict::Pause(MENDING_PAUSE);
    }
    // The picture was offered to Storage often enough; another one would be paid again.
    if matches!((failure, tried), (Failure::Upload(_), Tried::Image { .. })) {
        return Verdict::Final;
    }
    let spent = failure.may_be_billed() && billed + 1 >= BILLED_TRIES;
    if spent || tries >= most || !failure.may_pass() {
        return Verdict::Final;
    }
    let asked = match failure {
        Failure::Provider(error) => error.retry_after(),
        _ => None,
    };
    Verdict::Again(match asked {
        Some(pause) => pause + Duration::from_millis(rand::random_range(0..250)),
        None => {
            let slow_down = matches!(failure, Failure::Provider(P::RateLimited { slow_down: true, .. }));
            let slower = if slow_down { 4.0 } else { 1.0 };
            let pause = (f64::from(2_u32.saturating_pow(tries.saturating_sub(1))) * slower).min(60.0);
            Duration::from_secs_f64(pause * rand::random_range(0.5..1.0))
        }
    })
}

/// What somebody else said, as the end of a sentence of ours.
fn sentence(said: &str) -> String {
    let said = said.trim();
    if said.ends_with(['.', '!', '?']) { said.to_owned() } else { format!("{said}.") }
}

fn storage_code(error: &storage::Error) -> &'static str {
    match error {
        storage::Error::Denied { .. } | storage::Error::Unauthorized { .. } => "storage_denied",
        storage::Error::NotFound { .. }
        | storage::Error::NoBucket { .. }
        | storage::Error::BadFile(BadFile::TooLarge { .. })
        | storage::Error::BadFile(BadFile::UnsupportedType { .. })
        | storage::Error::BadFile(BadFile::InvalidPath { .. }) => "storage_refused",
        _ => "storage_unavailable",
    }
}

fn storage_may_pass(error: &storage::Error) -> bool {
    matches!(
        error,
        storage::Error::Unavailable { .. }
            | storage::Error::Timeout { .. }
            | storage::Error::Connect { .. }
            | storage::Error::Reset { .. }
            | storage::Error::NotUnderstood { .. }
            // No file to open, no room on the disk: ours to mend, and nothing of it is the owner's fault.
            | storage::Error::Io(_)
    )
}

impl From<job::Unknown> for Failure {
    fn from(error: job::Unknown) -> Self {
        Self::Unfit { code: "invalid_request", message: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
