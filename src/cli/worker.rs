//! `carousel worker`: the worker alone.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::checks;
use crate::listener::Listener;
use crate::pipeline::{self, Pipeline};
use crate::provider::Provider;
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
    pub(super) deployment: config::Deployment,
}

impl WorkerCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        self.work(super::end_requested()).await
    }

    /// Checks everything that a job will need, then works until `shutdown`.
    pub(super) async fn work(&self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        Ok(self.prepare().await?.run(shutdown).await?)
    }

    /// A worker that has everything that a job will need.
    pub(super) async fn prepare(&self) -> anyhow::Result<worker::Worker> {
        checks::at_start(&self.deployment).await?;
        let worker = self.build()?;
        if let Some(rate) = self.deployment.worker.images_per_minute {
            worker.queue.set_rate(rate).await?;
        }
        Ok(worker)
    }

    fn build(&self) -> anyhow::Result<worker::Worker> {
        let config::Deployment { database, supabase, provider, worker: limits } = &self.deployment;
        let database = database.settings()?;
        let place = supabase.storage()?;
        let api = Project::new(&place.url, place.secret_key.clone(), &place.certificates)?.key_holder();
        let storage = Arc::new(Storage::new(place)?);
        let listener = Listener::new(database.database.clone(), queue::tls(&database.certificates)?);
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let pipeline = Pipeline::new(
            Arc::clone(&storage),
            Arc::new(Provider::new(provider.settings()?)?),
            pipeline::Settings {
                model: provider.model.clone(),
                models: provider.models(),
                quality: provider.quality.clone(),
                prices: provider.price_table()?,
                image_tries: limits.image_tries,
                rated: limits.images_per_minute.is_some(),
                calls: count(limits.calls),
                calls_per_job: count(limits.calls_per_job),
                transfers: count(limits.transfers),
                spool: limits.spool(),
            },
        )
        .with_context(|| format!("source images can't be spooled in {}", limits.spool().display()))?;
        let settings = worker::Settings {
            name: format!("{}:{}", host(), std::process::id()),
            jobs: count(limits.jobs),
            job_attempts: limits.job_attempts,
            lease: Duration::from_secs(limits.lease_seconds),
            poll: Duration::from_secs(limits.poll_seconds),
            grace: Duration::from_secs(limits.grace_seconds),
        };
        let renewals = Queue::new(&queue::Settings { connections: 1, ..database.clone() })?;
        let queue = Queue::new(&database)?;
        Ok(worker::Worker { queue, renewals, listener, storage, api, pipeline: Arc::new(pipeline), settings })
    }
}

fn host() -> String {
    let name = std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "worker".to_owned())
}
