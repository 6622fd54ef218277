//! What to do about a provider or a bucket that is wrong as a whole, and not for one job.

use std::time::Duration;

use super::Pipeline;
use crate::failure::{Failure, MENDING_PAUSE, Reach};
use crate::job::Job;
use crate::provider;
use crate::queue::Lease;
use crate::supabase::{BadFile, storage};

impl Pipeline {
    /// How far a failure of the job reaches. What a model does that the job has chosen is no reason to leave the provider alone: nobody
    /// could be made to wait by somebody else's choice.
    pub(super) fn reach(&self, job: &Job, failure: &Failure) -> Reach {
        match failure.reach() {
            Reach::Provider if self.chosen_model(job).is_some() => Reach::Job,
            reach => reach,
        }
    }

    /// The job's model, when it is another than the worker's own.
    fn chosen_model<'a>(&self, job: &'a Job) -> Option<&'a str> {
        job.model.as_deref().filter(|model| *model != self.settings.model)
    }

    /// Leaves the provider alone for a while, as it wants: all of it, or only the model that the job has chosen.
    pub(super) async fn pause(&self, lease: &Lease, pause: Duration, reason: &str) -> Result<(), Failure> {
        match self.chosen_model(&lease.job) {
            Some(model) => lease.queue().pause_model(model, pause, reason).await?,
            None => lease.queue().pause_provider(pause, reason).await?,
        }
        Ok(())
    }

    /// Asks for what a bucket in doubt takes, before another picture is paid that it may refuse.
    pub(super) async fn look_at_bucket(&self, mime: &str) -> Result<(), Failure> {
        let taken = self.storage.check().await.map_err(Failure::Upload)?;
        if taken.takes(mime) {
            return Ok(());
        }
        Err(Failure::Upload(storage::Error::BadFile(BadFile::UnsupportedType {
            message: format!("{mime} is not among its types"),
        })))
    }

    /// Leaves the provider or the bucket alone until somebody may have mended it: every worker does.
    pub(super) async fn leave_alone(&self, lease: &Lease, reach: Reach, failure: &Failure) -> Result<(), Failure> {
        let bucket = reach == Reach::Bucket;
        let who = if bucket { "Storage" } else { "the provider" };
        tracing::error!(
            code = failure.code(), error = %failure, pause_s = MENDING_PAUSE.as_secs(),
            "job after job meets this: {who} is left alone"
        );
        let reason = format!("job after job meets this: {failure}{}", mend(failure));
        if bucket {
            lease.queue().pause_storage(MENDING_PAUSE, &reason).await?;
        } else {
            lease.queue().pause_provider(MENDING_PAUSE, &reason).await?;
        }
        Ok(())
    }
}

/// What an operator may do about it, where the failure itself does not say so.
fn mend(failure: &Failure) -> &'static str {
    use provider::Error as P;
    match failure {
        Failure::Provider(P::UrlRefused { .. }) => "; name the host in CAROUSEL_URL_HOSTS if you trust it",
        Failure::Provider(_) => "; check OPENAI_BASE_URL",
        Failure::Result(_) => "; check CAROUSEL_MODEL: it does not send what it is asked for",
        Failure::Upload(_) => "; `carousel doctor` looks at the bucket",
        _ => "",
    }
}
