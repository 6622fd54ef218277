//! The sentence of the product: fetch the sources, edit, check, upload, record.
//!
//! Knows neither the clock of the worker nor where jobs come from. Every write goes through the lease; when that is lost, the job is left
//! as it is.

mod circuit;
mod edit;
mod gate;
mod outage;
mod prompt;
mod retry;
mod share;
mod sources;
mod spool;
mod stop;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use tokio::sync::{Notify, Semaphore};

pub use prompt::compose;
pub use stop::{Directive, Stop, StopHandle, stop};

use crate::failure::{Failure, Tried, Verdict, judge};
use crate::job::{Ending, Job};
use crate::provider::{PriceTable, Provider};
use crate::queue::{self, Fault, Lease};
use crate::supabase::storage::Storage;
use circuit::Circuit;
use edit::ImageOutcome;
use gate::{ANOTHER_WORKER, Gate, Unfinished};
use share::Share;
use spool::Spool;

/// What the pipeline may decide by itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Model for jobs that name none.
    pub model: String,
    /// Models that jobs may name besides that one.
    pub models: Vec<String>,
    /// Quality for jobs that name none.
    pub quality: String,
    /// What tokens cost.
    pub prices: PriceTable,
    /// Tries of an image.
    pub image_tries: u32,
    /// Whether calls take their places in the row that all workers share: the rate itself is in the database.
    pub rated: bool,
    /// Calls at once, over all jobs.
    pub calls: usize,
    /// Calls at once for one job.
    pub calls_per_job: usize,
    /// Pictures in memory at once.
    pub transfers: usize,
    /// Where the folder for sources is made.
    pub spool: PathBuf,
}

/// The hands, and the permits that bound what they do at once.
pub struct Pipeline {
    storage: Arc<Storage>,
    provider: Arc<Provider>,
    settings: Settings,
    spool: Spool,
    /// One for each paid call, shared by the jobs' owners.
    calls: Share,
    /// One for who waits for a place in the row that all workers share: who waits in the row stands there in the order of places, whoever comes.
    place: Share,
    /// One for each picture in memory.
    transfers: Arc<Semaphore>,
    /// One for each picture that is decoded: as many as there are cores.
    decodes: Arc<Semaphore>,
    /// What is wrong with the hands as a whole, as far as the last jobs have told.
    circuit: Circuit,
}

/// How the work on a job came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job is over.
    Ended(Ending),
    /// It was given back for another worker.
    Released,
    /// It is somebody else's, or gone: nothing was written.
    Lost,
}

impl Outcome {
    /// The outcome in one word, for labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ended(Ending::Completed) => "completed",
            Self::Ended(Ending::Partial) => "partial",
            Self::Ended(Ending::Failed) => "failed",
            Self::Ended(Ending::Cancelled) => "cancelled",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

impl Pipeline {
    /// A pipeline with these hands.
    ///
    /// # Errors
    /// When there can be no folder for sources.
    pub fn new(storage: Arc<Storage>, provider: Arc<Provider>, settings: Settings) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            spool: Spool::open(&settings.spool)?,
            calls: Share::new(settings.calls),
            place: Share::new(1),
            transfers: Arc::new(Semaphore::new(settings.transfers)),
            decodes: Arc::new(Semaphore::new(cores)),
            circuit: Circuit::new(),
            storage,
            provider,
            settings,
        })
    }

    /// Whether the job has more images than are begun at once, so that it can give way between two of them.
    pub fn is_long(&self, job: &Job) -> bool {
        usize::try_from(job.total_images).is_ok_and(|images| images > self.settings.calls_per_job)
    }

    /// Makes the images that the job still lacks, until they are made or `stop` says otherwise.
    pub async fn run(&self, lease: Lease, mut stop: Stop) -> Outcome {
        let (job, user) = (lease.job.id, lease.job.user_id);
        let gate = Gate::new(stop.clone());
        let made = tokio::select! {
            // It may be told so already.
            biased;
            directive = stop.at_once() => match directive {
                Directive::Cancel => return end(lease, true, None).await,
                Directive::Lost => return Outcome::Lost,
                _ => return release(lease, ANOTHER_WORKER).await,
            },
            made = self.make(&lease, &gate) => made,
        };
        match made {
            Ok(left) => match gate.unfinished(left) {
                None => end(lease, false, None).await,
                Some(Unfinished::Left(why)) => release(lease, why).await,
                Some(Unfinished::Spoiled { code, message }) => {
                    let fault = Fault { code, message, request_id: None };
                    end(lease, false, Some(&fault)).await
                }
            },
            // The database says no, and a row can say so.
            Err(Failure::Queue(error)) if !matches!(error, queue::Error::Refused(_)) => left_alone(&error),
            Err(failure) => {
                if let Verdict::Pause(pause) = judge(&failure, Tried::Job) {
                    return put_off(lease, pause, &failure).await;
                }
                tracing::warn!(%job, %user, code = failure.code(), error = %failure, "the job can't be done");
                let message = failure.message();
                let fault = Fault { code: failure.code(), message: &message, request_id: failure.request_id() };
                end(lease, false, Some(&fault)).await
            }
        }
    }

    /// Ends a job that may be what ends its workers, with what is made of it.
    pub async fn abandon(lease: Lease) -> Outcome {
        tracing::error!(job = %lease.job.id, user = %lease.job.user_id, attempt = lease.job.attempt, "the job is given up: its workers were lost");
        let message = "Given up: every worker that took it was lost";
        end(lease, false, Some(&Fault { code: "worker_lost", message, request_id: None })).await
    }

    /// Makes the images that the job still lacks, and says how many are left to be made.
    async fn make(&self, lease: &Lease, gate: &Gate) -> Result<usize, Failure> {
        let job = &lease.job;
        let fetch = |slides: Vec<i32>| sources::fetch(&self.storage, job, slides, &self.spool);
        let (images, sources) = if job.shares_sources() {
            // At once: the claim is the permission for both.
            let started = async { lease.start_job().await.map_err(Failure::from) };
            let fetched = async { Ok(fetch((1..).take(job.slides()).collect()).await) };
            tokio::try_join!(started, fetched)?
        } else {
            // What is made already needs no sources any more.
            let images = lease.start_job().await?;
            let fetched = fetch(images.iter().map(|image| image.slide).collect()).await;
            (images, fetched)
        };
        if images.is_empty() {
            return Ok(0);
        }
        let sources = sources?;
        // Boxed, since the work on an image is some kilobytes, and a job may have a hundred of them.
        let work = |image| -> BoxFuture<'_, _> { Box::pin(self.make_image(lease, image, &sources, gate)) };
        let mut images = stream::iter(images.into_iter().map(work)).buffer_unordered(self.settings.calls_per_job);
        let all = async {
            let (mut left, mut broken) = (0, None);
            while let Some(made) = images.next().await {
                match made {
                    Ok(ImageOutcome::Left) => left += 1,
                    Ok(ImageOutcome::Made | ImageOutcome::Failed) => gate.progress.notify_one(),
                    Err(lost @ Failure::Queue(queue::Error::Lost)) => return Err(lost),
                    // What is paid for comes to its end all the same.
                    Err(failure) => {
                        gate.spoil(&failure);
                        broken.get_or_insert(failure);
                    }
                }
            }
            broken.map_or(Ok(left), Err)
        };
        tokio::select! {
            made = all => made,
            lost = report(lease, &gate.progress) => Err(lost.into()),
        }
    }
}

/// A job's row shows progress at most so often.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// Shows that images are being made, and how many are done whenever one more is, but not oftener than once a second: each change of the
/// job's row costs every subscriber a query. Ends only when the lease is lost: what can't be shown just now is shown later.
async fn report(lease: &Lease, progress: &Notify) -> queue::Error {
    loop {
        match lease.report_progress().await {
            Ok(()) => {}
            Err(lost @ queue::Error::Lost) => return lost,
            Err(error) => tracing::warn!(job = %lease.job.id, %error, "progress can't be shown"),
        }
        tokio::time::sleep(BETWEEN_REPORTS).await;
        progress.notified().await;
    }
}

async fn end(lease: Lease, cancelled: bool, fault: Option<&Fault<'_>>) -> Outcome {
    match lease.finish_job(cancelled, fault).await {
        Ok(ending) => Outcome::Ended(ending),
        Err(error) => left_alone(&error),
    }
}

async fn release(lease: Lease, why: &str) -> Outcome {
    match lease.release_job(Duration::ZERO, why).await {
        Ok(None) => Outcome::Released,
        Ok(Some(ending)) => Outcome::Ended(ending),
        Err(error) => left_alone(&error),
    }
}

/// Gives back a job whose sources can't be had, nor anybody's: no job is begun for the time `pause`.
async fn put_off(lease: Lease, pause: Duration, failure: &Failure) -> Outcome {
    tracing::error!(job = %lease.job.id, code = failure.code(), error = %failure, ?pause, "no job is begun for a while");
    let why = match failure {
        // The path is one person's, and this stands where every operator looks.
        Failure::Fetch { error, .. } => error.to_string(),
        other => other.to_string(),
    };
    match lease.queue().pause_storage(pause, &why).await {
        Ok(()) => release(lease, "Waiting until the photos can be read").await,
        Err(error) => left_alone(&error),
    }
}

/// The job can't be written any more. When its lease has run out, whoever takes it up finds what was recorded.
fn left_alone(error: &queue::Error) -> Outcome {
    if !matches!(error, queue::Error::Lost) {
        tracing::error!(%error, "the job is left to its lease");
    }
    Outcome::Lost
}
