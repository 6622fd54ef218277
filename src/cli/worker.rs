//! `carousel worker`: the worker alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::checks;
use crate::listener::Listener;
use crate::pipeline::{self, Pipeline};
use crate::provider::{PriceTable, Provider};
use crate::queue::{self, Queue};
use crate::supabase::Project;
use crate::supabase::storage::Storage;
use crate::{config, worker};

/// Work on jobs until asked to end
///
/// Listens for new jobs, makes their images and writes their progress. Start as many as you like: no two ever work on the same job.
/// SIGTERM or Ctrl-C drains: running images finish, the rest goes to other workers.
#[derive(Args, Clone, Debug)]
pub struct WorkerCommand {
    #[command(flatten)]
    pub(super) database: config::Database,
    #[command(flatten)]
    pub(super) supabase: config::Supabase,
    #[command(flatten)]
    pub(super) provider: config::Provider,
    #[command(flatten)]
    pub(super) worker: config::Worker,
}

impl WorkerCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        self.work(super::end_requested()).await
    }

    /// Checks everything that a job will need, then works until `shutdown`.
    pub(super) async fn work(&self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.prepare().await?.run(shutdown).await;
        Ok(())
    }

    /// A worker that has everything that a job will need.
    pub(super) async fn prepare(&self) -> anyhow::Result<worker::Worker> {
        checks::at_start(self).await?;
        let worker = self.build()?;
        if let Some(rate) = self.worker.images_per_minute {
            worker.queue.set_rate(rate).await?;
        }
        Ok(worker)
    }

    fn build(&self) -> anyhow::Result<worker::Worker> {
        let database = self.database.settings()?;
        let place = self.supabase.storage()?;
        let api = Project::new(&place.url, place.secret_key.clone(), &place.certificates)?.key_holder();
        let storage = Arc::new(Storage::new(place)?);
        let provider = Arc::new(Provider::new(self.provider.settings()?)?);
        let listener = Listener::new(database.database.clone(), queue::tls(&database.certificates)?);
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let pipeline = Pipeline::new(
            Arc::clone(&storage),
            provider,
            pipeline::Settings {
                model: self.provider.model.clone(),
                models: self.provider.models(),
                quality: self.provider.quality.clone(),
                prices: prices(self.provider.prices.as_deref())?,
                image_tries: self.worker.image_tries,
                rated: self.worker.images_per_minute.is_some(),
                calls: count(self.worker.calls),
                calls_per_job: count(self.worker.calls_per_job),
                transfers: count(self.worker.transfers),
                spool: self.worker.spool(),
            },
        )
        .with_context(|| format!("source images can't be spooled in {}", self.worker.spool().display()))?;
        let settings = worker::Settings {
            name: format!("{}:{}", host(), std::process::id()),
            jobs: count(self.worker.jobs),
            job_attempts: self.worker.job_attempts,
            lease: Duration::from_secs(self.worker.lease_seconds),
            poll: Duration::from_secs(self.worker.poll_seconds),
            grace: Duration::from_secs(self.worker.grace_seconds),
        };
        let renewals = Queue::new(&queue::Settings { connections: 1, ..database.clone() })?;
        let queue = Queue::new(&database)?;
        Ok(worker::Worker { queue, renewals, listener, storage, api, pipeline: Arc::new(pipeline), settings })
    }
}

/// The price table, with the operator's own prices in it.
pub(super) fn prices(own: Option<&str>) -> anyhow::Result<PriceTable> {
    let table = PriceTable::default();
    match own.filter(|text| !text.trim().is_empty()) {
        None => Ok(table),
        Some(text) => {
            let own = serde_json::from_str(text)
                .context("CAROUSEL_PRICES is not understood; see `carousel worker --help`")?;
            Ok(table.overridden_by(own))
        }
    }
}

fn host() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "worker".to_owned())
}
