//! `carousel serve`: the HTTP API and a worker in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::FutureExt;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::api::listen;
use super::worker::WorkerCommand;
use crate::checks::ready;
use crate::config;
use crate::http::{self, Door, Readiness};
use crate::queue::Queue;
use crate::supabase::Project;
use crate::supabase::storage::Storage;
use crate::telemetry::metrics;

/// Between two looks at the queue's numbers.
const MEASURE: Duration = Duration::from_secs(15);

/// Serve the HTTP API and work on jobs
///
/// One process for a small deployment; `carousel api` and `carousel worker` are its halves. The API acts with its callers' own tokens and the
/// publishable key, never with the worker's keys. SIGTERM or Ctrl-C drains both.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    worker: WorkerCommand,
    #[command(flatten)]
    http: config::Http,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let project = self.worker.deployment.supabase.project()?;
        let settings = self.http.settings()?;
        let listener = listen(&self.http).await?;
        let worker = self.worker.prepare().await?;
        project.check().await.context("the project can't be used: check SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY")?;

        let end = CancellationToken::new();
        let readiness =
            readiness(project.clone(), self.worker.deployment.database.clone(), Arc::clone(&worker.storage));
        let Door { router, tasks } = http::door(project, settings, readiness, end.clone());
        let serving = tokio::spawn(http::serve(listener, router, tasks, end.clone().cancelled_owned()));
        let measuring = tokio::spawn(measure(worker.queue.clone()));
        // Whichever of the two ends first, the other drains.
        let asked = async {
            tokio::select! {
                () = super::end_requested() => end.cancel(),
                () = end.cancelled() => {}
            }
        };
        let worked = async {
            let worked = worker.run(end.cancelled()).await;
            end.cancel();
            worked
        };
        let served = async {
            let served = serving.await;
            end.cancel();
            served
        };
        let ((), worked, served) = tokio::join!(asked, worked, served);
        measuring.abort();
        served.context("the HTTP API panicked")?;
        Ok(worked?)
    }
}

/// Looks at everything that requests and jobs need.
fn readiness(project: Project, database: config::Database, storage: Arc<Storage>) -> Readiness {
    Arc::new(move || {
        let (project, database, storage) = (project.clone(), database.clone(), Arc::clone(&storage));
        async move { ready::all(&project, &database, &storage).await }.boxed()
    })
}

/// Keeps the numbers of the queue fresh.
async fn measure(queue: Queue) {
    let mut ticks = interval(MEASURE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match queue.measure_queue().await {
            Ok(measured) => {
                metrics::queue_measured(measured.pending, measured.processing, measured.oldest);
                metrics::pool_measured(measured.used, measured.idle);
            }
            Err(error) => tracing::debug!(%error, "the queue can't be measured"),
        }
    }
}
