//! The queue in PostgreSQL: jobs are claimed here, and every write to a claimed job is a method of its [`Lease`].
//!
//! The only user of `sql/`: each file there is one statement, run by the function of the same name. No transaction is ever open while
//! something else is waited for. It does not decide what is tried again, except that a statement which failed because the database was
//! away is sent again until it is back.

mod budget;
mod cleanup;
mod connection;
mod error;
mod gather;
mod lease;
mod ledger;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

pub use cleanup::Removal;
pub use connection::{LOOK_UP, Settings, tls};
pub use error::Error;
pub use lease::{Fault, Lease, Recorded, Renewal};
pub use ledger::{Begun, CallId, Objects};

use crate::job::Job;
use connection::Patience;

/// Calls for one image that may have been billed, since its job was last asked for: once more, and no oftener, whoever makes them.
pub const BILLED_TRIES: u32 = 2;

/// Rows that a transaction of a worker writes at most of what Realtime publishes, or one job alone with its images: Realtime reads a
/// transaction as a whole, with a query for each row and each subscription.
const MOST_ROWS: i64 = 100;

/// Jobs that one statement gives their turns at most.
const MOST_PROMOTED: i64 = 100;

/// Looks at a thousand jobs each that a claim takes to put off those of a paused model.
const MOST_PASSES: usize = 64;

/// Jobs that one claim takes at most.
pub const MOST_CLAIMED: usize = 64;

/// Connections to the database, shared by everything that reads or writes the queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    pool: deadpool_postgres::Pool,
    writes: Arc<writes::Writes>,
}

/// What a worker says of itself to the dashboard.
#[derive(Clone, Debug)]
pub struct WorkerReport<'a> {
    /// Random for each process.
    pub id: Uuid,
    /// Host and process id.
    pub name: &'a str,
    /// Jobs at once, at most.
    pub concurrency: i32,
    /// Jobs now.
    pub running: i32,
    /// `running`, `draining` or `stopped`.
    pub state: &'static str,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Jobs that wait, counted to a hundred thousand.
    pub pending: u64,
    /// Jobs that workers have.
    pub processing: u64,
    /// How long the oldest of the next thousand has been due.
    pub oldest: Duration,
    /// Connections of this pool that are in use.
    pub used: usize,
    /// Connections of this pool that are not.
    pub idle: usize,
}

/// What a worker found to do when it looked round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToDo {
    /// Some leases of others ran out.
    pub lost_leases: bool,
    /// Some objects are to be removed.
    pub removals: bool,
    /// There may be jobs to claim.
    pub jobs: bool,
    /// Time until a scheduled job is due or the provider's pause is over; zero when a job is due now.
    pub next: Option<Duration>,
}

impl Queue {
    /// Takes up to `slots` jobs, but no more than [`MOST_CLAIMED`], round the users, and leases them to `worker` for the time `lease`. Those that have
    /// chosen a model which is left alone are put off until the end of that.
    pub async fn claim_jobs(&self, worker: Uuid, slots: usize, lease: Duration) -> Result<Vec<Lease>, Error> {
        let most = slots.min(MOST_CLAIMED);
        let (mut leases, put_off) = self.claim_next(worker, most, lease).await?;
        if put_off > 0 {
            // There may be thousands of them in front of somebody else's.
            let mut passes = 0;
            while passes < MOST_PASSES && self.put_off_jobs().await? > 0 {
                passes += 1;
            }
            leases.extend(self.claim_next(worker, most - leases.len(), lease).await?.0);
        }
        Ok(leases)
    }

    /// What one claim takes, and how many jobs it has put off instead.
    async fn claim_next(&self, worker: Uuid, most: usize, lease: Duration) -> Result<(Vec<Lease>, usize), Error> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let statement = include_str!("../../sql/claim_jobs.sql");
        // Not sent again when the database goes away in mid-claim: the next wake claims anew, and what this one took runs out.
        let rows = self.once(statement, &[&worker, &lease.as_secs_f64(), &limit]).await?;
        let mut leases = Vec::with_capacity(rows.len());
        let mut put_off = 0;
        for row in &rows {
            put_off = usize::try_from(row.try_get::<_, i64>("put_off")?).unwrap_or(0);
            if let Some(token) = row.try_get("token")? {
                leases.push(Lease::new(self.clone(), job(row)?, token, row.try_get("cancel_requested")?));
            }
        }
        Ok((leases, put_off))
    }

    async fn put_off_jobs(&self) -> Result<i64, Error> {
        let row = self.once(include_str!("../../sql/put_off_jobs.sql"), &[]).await?.pop().ok_or(Error::Lost)?;
        Ok(row.try_get("jobs")?)
    }

    /// Names the one of the leases with these tokens whose job is to make room for somebody else's, if one is to: its owner has at least two more jobs
    /// at work than somebody who waits, or that one has none, and it has lasted for the time `slice`.
    pub async fn give_way(&self, tokens: &[i64], slice: Duration) -> Result<Option<i64>, Error> {
        let rows = self.once(include_str!("../../sql/give_way.sql"), &[&tokens, &slice.as_secs_f64()]).await?;
        rows.first().map(|row| Ok(row.try_get("token")?)).transpose()
    }

    /// Takes back some of the jobs whose leases ran out, and returns how many there were. The leases with the tokens `held` are the caller's own: it is
    /// alive, whatever kept it from renewing them. `alone` takes a single one, picked at random: among many there may be one whose rows can't be written.
    pub async fn rescue_jobs(&self, held: &[i64], alone: bool) -> Result<usize, Error> {
        let statement = include_str!("../../sql/rescue_jobs.sql");
        Ok(self.once(statement, &[&held, &alone, &MOST_ROWS]).await?.len())
    }

    /// Lets some scheduled jobs that are due take their turns. Returns whether there may be more of them, and the time until the next one is due.
    pub async fn promote_jobs(&self) -> Result<(bool, Option<Duration>), Error> {
        let statement = include_str!("../../sql/promote_jobs.sql");
        let row = self.once(statement, &[&MOST_PROMOTED]).await?.pop().ok_or(Error::Lost)?;
        let promoted = row.try_get::<_, i64>("promoted")?;
        let next = row.try_get::<_, Option<f64>>("next_in_seconds")?;
        Ok((promoted == MOST_PROMOTED, next.map(seconds)))
    }

    /// Prolongs the leases with these tokens by the time `lease`. A lease that does not come back is lost.
    ///
    /// Gives up after half of `lease`; a connection that has gone silent is replaced before.
    pub async fn renew_leases(&self, tokens: &[i64], lease: Duration) -> Result<Vec<Renewal>, Error> {
        let statement = include_str!("../../sql/renew_leases.sql");
        let patience = Patience { away: lease / 3, refused: Duration::ZERO };
        let rows = self.again(patience, lease / 6, statement, &[&tokens, &lease.as_secs_f64()]).await?;
        rows.iter()
            .map(|row| Ok(Renewal { token: row.try_get("token")?, cancel_requested: row.try_get("cancel_requested")? }))
            .collect()
    }

    /// Looks at how much there is to do.
    pub async fn measure_queue(&self) -> Result<Measured, Error> {
        let status = self.pool.status();
        let row = self.once(include_str!("../../sql/measure_queue.sql"), &[]).await?.pop().ok_or(Error::Lost)?;
        let count = |name: &str| row.try_get::<_, i64>(name).map(|count| u64::try_from(count).unwrap_or(0));
        Ok(Measured {
            pending: count("pending")?,
            processing: count("processing")?,
            oldest: Duration::from_secs_f64(row.try_get::<_, f64>("oldest_seconds")?.clamp(0.0, 1e9)),
            used: status.size.saturating_sub(status.available),
            idle: status.available,
        })
    }

    /// Says in `carousel_private.workers` that the worker lives, and looks for what there is to do. The leases with the tokens `held` are
    /// its own. One statement: an idle worker sends no other.
    pub async fn heartbeat(&self, report: &WorkerReport<'_>, held: &[i64]) -> Result<ToDo, Error> {
        let version = env!("CARGO_PKG_VERSION");
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&report.id, &report.name, &version, &report.concurrency, &report.running, &report.state, &held];
        let row = self.once(include_str!("../../sql/heartbeat.sql"), &values).await?.pop().ok_or(Error::Lost)?;
        Ok(ToDo {
            lost_leases: row.try_get("lost_leases")?,
            removals: row.try_get("removals")?,
            jobs: row.try_get("jobs")?,
            next: row.try_get::<_, Option<f64>>("next_in_seconds")?.map(seconds),
        })
    }
}

fn job(row: &Row) -> Result<Job, Error> {
    let style: Value = row.try_get("style")?;
    let format: Option<String> = row.try_get("output_format")?;
    Ok(Job {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        attempt: row.try_get("attempt")?,
        prompt: row.try_get("prompt")?,
        slide_prompts: row.try_get("slide_prompts")?,
        source_paths: row.try_get("source_paths")?,
        slides_from: row.try_get::<_, &str>("slides_from")?.parse()?,
        slide_sources: row.try_get::<_, Option<Json<_>>>("slide_sources")?.map(|Json(numbers)| numbers),
        style: style.as_object().cloned().unwrap_or_default(),
        variants: row.try_get("variants")?,
        model: row.try_get("model")?,
        quality: row.try_get("quality")?,
        format: format.as_deref().unwrap_or("png").parse()?,
        background: row.try_get("background")?,
        partial_previews: u8::try_from(row.try_get::<_, i32>("partial_previews")?).unwrap_or(0),
        total_images: row.try_get("total_images")?,
    })
}

fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number.clamp(0.0, 1e9))
}
