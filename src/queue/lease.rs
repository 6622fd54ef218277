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
use super::writes::{BeginCall, FinishJob, RecordImage, ReportProgress, StartJob};
use super::{Error, PROVIDER, Queue, STORAGE, seconds};
use crate::job::{Ending, Format, Image, Job, Size};

/// A claimed job and the permission to write it.
pub struct Lease {
    /// What is to be made.
    pub job: Job,
    queue: Queue,
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

/// What a paid call may put into the folder of its job.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// Name of the picture, never used before.
    pub name: &'a str,
    /// How many previews may stand beside it.
    pub previews: u8,
}

/// Row of `carousel_private.provider_calls` that is open while a paid call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    id: i64,
    /// How many calls for the same image may have been billed before it, whoever made them.
    pub billed: u32,
}

/// Answer to the wish to make a paid call.
#[derive(Clone, Debug)]
pub enum Begun {
    /// It is written down: go ahead.
    Call(CallId),
    /// Nothing was written: the provider is to be left alone for so long.
    Paused(Duration),
    /// Nothing was written: a limit of the job's owner is reached.
    Refused {
        /// Stable code.
        code: String,
        /// Words for the owner.
        words: String,
    },
    /// Nothing was written: the image was perhaps billed for as often as may be. How the last time ended; nobody may know.
    Spent(Option<String>),
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
    pub(super) fn new(queue: Queue, job: Job, token: i64) -> Self {
        Self { job, queue, token }
    }

    /// What the renewal names it by.
    pub fn token(&self) -> i64 {
        self.token
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

    /// Writes down that a paid call is about to be made, and what it may put into the bucket, unless [`super::BILLED_TRIES`] for this image may have
    /// been billed since its job was last asked for, or a limit of its owner is reached. `estimate` is what it may cost, in millionths of a dollar;
    /// none when the model has no price. Nothing is paid for that was not written down, and no object is made.
    pub async fn begin_call(
        &self,
        image: Uuid,
        objects: Objects<'_>,
        model: &str,
        quality: Option<&str>,
        prompt: &str,
        estimate: Option<i64>,
    ) -> Result<Begun, Error> {
        let write = BeginCall {
            under: self.under(),
            image,
            model: model.to_owned(),
            quality: quality.map(str::to_owned),
            prompt: prompt.to_owned(),
            object_name: objects.name.to_owned(),
            previews: i32::from(objects.previews),
            estimate,
        };
        let row = self.queue.writes.calls.send(&self.queue, write).await?.ok_or(Error::Lost)?;
        let pause = seconds(row.try_get("seconds")?);
        match row.try_get("id")? {
            Some(id) => {
                let billed = u32::try_from(row.try_get::<_, i64>("billed")?).unwrap_or(u32::MAX);
                Ok(Begun::Call(CallId { id, billed }))
            }
            None if !pause.is_zero() => Ok(Begun::Paused(pause)),
            None => Ok(match row.try_get("refused")? {
                Some(code) => Begun::Refused { code, words: row.try_get("words")? },
                None => Begun::Spent(row.try_get("outcome")?),
            }),
        }
    }

    /// Leaves the provider alone for the time `pause`: every worker that shares its key does. `reason` is for the dashboard.
    pub async fn pause_provider(&self, pause: Duration, reason: &str) -> Result<(), Error> {
        self.pause(PROVIDER, pause, reason).await
    }

    /// The same of Storage: a picture that it does not take is paid all the same.
    pub async fn pause_storage(&self, pause: Duration, reason: &str) -> Result<(), Error> {
        self.pause(STORAGE, pause, reason).await
    }

    /// Leaves a model alone that the job has chosen: jobs of other models go on.
    pub async fn pause_model(&self, model: &str, pause: Duration, reason: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/pause_model.sql");
        self.queue.rows(statement, &[&model, &pause.as_secs_f64(), &reason]).await?;
        Ok(())
    }

    async fn pause(&self, whom: &str, pause: Duration, reason: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/pause_provider.sql");
        self.queue.rows(statement, &[&whom, &pause.as_secs_f64(), &reason]).await?;
        Ok(())
    }

    /// Takes the next place in the row of all workers' calls, and says how long to wait for it.
    pub async fn reserve_call(&self) -> Result<Duration, Error> {
        let row = self.queue.row(include_str!("../../sql/reserve_call.sql"), &[&PROVIDER]).await?;
        Ok(seconds(row.map_or(Ok(0.0), |row| row.try_get("wait_seconds"))?))
    }

    /// Closes a call that failed and may be made again; `unbilled`: the provider is known not to have billed it. The books are kept even when the lease is lost.
    pub async fn end_call(
        &self,
        call: CallId,
        outcome: &str,
        request_id: Option<&str>,
        unbilled: bool,
    ) -> Result<(), Error> {
        let statement = include_str!("../../sql/end_call.sql");
        self.queue.row(statement, &[&call.id, &outcome, &request_id, &unbilled]).await?;
        Ok(())
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

    /// Gives the job back unfinished, for any worker to take up after `delay`, with its attempt given back. `why` is for its owner.
    pub async fn release_job(self, delay: Duration, why: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/release_job.sql");
        self.fenced(statement, &[&self.job.id, &self.token, &delay.as_secs_f64(), &why]).await
    }

    /// Runs a statement that touches a row exactly when the lease holds, and returns it.
    async fn fenced(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<(), Error> {
        self.queue.row(sql, values).await?.map(|_| ()).ok_or(Error::Lost)
    }

    fn under(&self) -> Under {
        Under { job: self.job.id, token: self.token }
    }
}
