//! The permission to write one job: every method is fenced by the lease's token in SQL, and fails with [`Error::Lost`] once the lease
//! is somebody else's.
//!
//! The token, and not the job's attempt, is the fence: an interrupted job gets its attempt back, so an attempt's number can come twice;
//! a token can't.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::gather::{Gather, Under};
use super::ledger::CallId;
use super::writes::{FinishJob, RecordImage, ReportProgress, StartJob};
use super::{Error, Queue};
use crate::job::{Ending, Format, Image, Job, Size};

/// A claimed job and the permission to write it.
pub struct Lease {
    /// What is to be made.
    pub job: Job,
    /// Whether its owner did not want it any more when it was claimed.
    pub cancel_requested: bool,
    pub(super) queue: Queue,
    token: i64,
}

/// Outcome of a renewal: the lease with this token holds for another while.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// Which lease.
    pub token: i64,
    /// Whether the owner wants the job cancelled.
    pub cancel_requested: bool,
}

/// A finished image, as its row tells it.
#[derive(Debug)]
pub struct Recorded<'a> {
    /// Object in the bucket.
    pub path: &'a str,
    /// Placeholder, base64.
    pub thumbhash: &'a str,
    /// Width and height in pixels.
    pub size: Size,
    /// Length of the object.
    pub bytes: usize,
    /// File format.
    pub format: Format,
    /// Digest of the object, hex.
    pub sha256: &'a str,
    /// Tokens, as the provider wrote them.
    pub usage: Option<&'a Value>,
    /// Millionths of a dollar; none when the model has no price.
    pub cost: Option<i64>,
    /// From the call's start until now.
    pub duration: Duration,
    /// The provider's id of the call.
    pub request_id: Option<&'a str>,
}

/// Why an image or a job failed, for its row.
#[derive(Clone, Debug)]
pub struct Fault<'a> {
    /// Stable code.
    pub code: &'a str,
    /// Words for a person.
    pub message: &'a str,
    /// The provider's id of the call.
    pub request_id: Option<&'a str>,
}

impl Lease {
    pub(super) fn new(queue: Queue, job: Job, token: i64, cancel_requested: bool) -> Self {
        Self { job, cancel_requested, queue, token }
    }

    /// What the renewal names it by.
    pub fn token(&self) -> i64 {
        self.token
    }

    /// Where it was claimed: for what is written down whoever holds the job.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Shows the job as being worked on, with a row for each of its images. Returns those that are to be made.
    pub async fn start_job(&self) -> Result<Vec<Image>, Error> {
        let write = StartJob { under: self.under(), images: self.job.total_images };
        let row = self.queue.writes.starts.send(&self.queue, write).await?.ok_or(Error::Lost)?;
        let (ids, ratios): (Vec<Uuid>, Vec<&str>) = (row.try_get("ids")?, row.try_get("aspect_ratios")?);
        let (variants, slides): (Vec<i32>, Vec<i32>) = (row.try_get("variants")?, row.try_get("slides")?);
        let places = variants.into_iter().zip(slides);
        ids.into_iter()
            .zip(places)
            .zip(ratios)
            .map(|((id, (variant, slide)), ratio)| Ok(Image { id, variant, slide, ratio: ratio.parse()? }))
            .collect()
    }

    /// Shows that images are being made, and the counters as the image rows have them.
    pub async fn report_progress(&self) -> Result<(), Error> {
        let write = ReportProgress(self.under());
        self.queue.writes.reports.send(&self.queue, write).await?.map(|_| ()).ok_or(Error::Lost)
    }

    /// Shows a partial preview on the image's row.
    pub async fn record_preview(&self, image: Uuid, path: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/record_preview.sql");
        self.fenced(statement, &[&self.job.id, &self.token, &image, &path]).await
    }

    /// Records a finished image and its call in one statement.
    pub async fn record_image(&self, image: Uuid, call: CallId, made: &Recorded<'_>) -> Result<(), Error> {
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let write = RecordImage {
            under: self.under(),
            image,
            call: call.id,
            path: made.path.to_owned(),
            thumbhash: made.thumbhash.to_owned(),
            width: number(made.size.width),
            height: number(made.size.height),
            bytes: i64::try_from(made.bytes).unwrap_or(i64::MAX),
            mime: made.format.mime(),
            sha256: made.sha256.to_owned(),
            usage: made.usage.cloned(),
            cost: made.cost,
            duration_ms: i32::try_from(made.duration.as_millis()).unwrap_or(i32::MAX),
            request_id: made.request_id.map(str::to_owned),
        };
        self.queue.writes.images.send(&self.queue, write).await?.map(|_| ()).ok_or(Error::Lost)
    }

    /// Records that an image can't be made; `call` is the paid call that told so, when there was one, and whether it is known not to have
    /// been billed.
    pub async fn record_failure(
        &self,
        image: Uuid,
        call: Option<(CallId, bool)>,
        fault: &Fault<'_>,
    ) -> Result<(), Error> {
        let (call, unbilled) = call.map_or((None, false), |(call, unbilled)| (Some(call.id), unbilled));
        let statement = include_str!("../../sql/record_failure.sql");
        let values: [&(dyn ToSql + Sync); 8] =
            [&self.job.id, &self.token, &image, &call, &fault.code, &fault.message, &fault.request_id, &unbilled];
        self.fenced(statement, &values).await
    }

    /// Ends the job and gives the lease back. What its images are decides how it ended; `fault` ends those that were not made.
    pub async fn finish_job(self, cancelled: bool, fault: Option<&Fault<'_>>) -> Result<Ending, Error> {
        let write = FinishJob {
            under: self.under(),
            cancelled,
            code: fault.map(|fault| fault.code.to_owned()),
            words: fault.map(|fault| fault.message.to_owned()),
        };
        // Ends images as well, which may mean to wait for who marks one of them: not while other jobs are held.
        let alone = cancelled || fault.is_some();
        let row = if alone {
            Gather::send_alone(&self.queue, write).await?
        } else {
            self.queue.writes.ends.send(&self.queue, write).await?
        };
        match row.ok_or(Error::Lost)?.try_get("status")? {
            "completed" => Ok(Ending::Completed),
            "partial" => Ok(Ending::Partial),
            "cancelled" => Ok(Ending::Cancelled),
            _ => Ok(Ending::Failed),
        }
    }

    /// Gives the job back unfinished, for any worker to take up after `delay`, with its attempt given back. `why` is for its owner. A job that its owner
    /// does not want any more is ended instead: how it ended.
    pub async fn release_job(self, delay: Duration, why: &str) -> Result<Option<Ending>, Error> {
        let statement = include_str!("../../sql/release_job.sql");
        let row = self.queue.row(statement, &[&self.job.id, &self.token, &delay.as_secs_f64(), &why]).await?;
        match row.ok_or(Error::Lost)?.try_get("cancelled")? {
            true => self.finish_job(true, None).await.map(Some),
            false => Ok(None),
        }
    }

    /// Runs a statement that touches a row exactly when the lease holds, and returns it.
    async fn fenced(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(), Error> {
        self.queue.row(sql, values).await?.map(|_| ()).ok_or(Error::Lost)
    }

    pub(super) fn under(&self) -> Under {
        Under { job: self.job.id, token: self.token }
    }
}
