//! How far a failure reaches: whether it is the image's, the job's, or that of the provider or the bucket as a whole.

use super::Failure;
use crate::supabase::{BadFile, storage};
use crate::{image, provider};

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Another image may be made all the same.
    Image,
    /// The other images of the job would fail as well.
    Job,
    /// So would those of other jobs: it is the provider as it is set up.
    Provider,
    /// The same of the bucket, which takes no pictures.
    Bucket,
}

impl Failure {
    /// How far it reaches: what else would fail in the same way, and be paid for if it is paid.
    pub fn reach(&self) -> Reach {
        use provider::Error as P;
        match self {
            Self::Provider(error) => match error {
                P::QuotaSpent { .. }
                | P::BillingLimit { .. }
                | P::Unauthorized { .. }
                | P::NotFound { .. }
                | P::NotUnderstood { .. }
                | P::TooLarge { .. }
                | P::UrlRefused { .. } => Reach::Provider,
                // Both are told of the model, which is the same for all images of a job.
                P::Forbidden { .. } | P::ModelNotFound { .. } => Reach::Job,
                P::Moderation { .. }
                | P::InvalidImage { .. }
                | P::InvalidRequest { .. }
                | P::RateLimited { .. }
                | P::Overloaded { .. }
                | P::Server { .. }
                | P::Timeout { .. }
                | P::Connect { .. }
                | P::Reset { .. }
                | P::Truncated { .. }
                | P::Empty { .. }
                | P::SourceUnreadable(_) => Reach::Image,
            },
            Self::Result(error) => match error {
                image::Error::NotAnImage { .. }
                | image::Error::WrongFormat { .. }
                | image::Error::WrongSize { .. }
                | image::Error::TooManyPixels { .. } => Reach::Provider,
                image::Error::Damaged { .. } | image::Error::Unreadable(_) => Reach::Image,
            },
            // A bucket that is away is judged after the last try.
            Self::Upload(error) => match error {
                storage::Error::BadFile(BadFile::InvalidPath { .. }) | storage::Error::Io(_) => Reach::Image,
                _ => Reach::Bucket,
            },
            Self::Fetch { .. } | Self::Source { .. } | Self::Limit { .. } => Reach::Job,
            Self::Queue(_) | Self::Spent(_) | Self::Unfit { .. } | Self::Internal(_) => Reach::Image,
        }
    }
}
