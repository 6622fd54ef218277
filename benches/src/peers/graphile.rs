//! graphile_worker, the Rust one.

use std::time::{Duration, Instant};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RefetchDelayConfig, TaskHandler, WorkerContext, WorkerOptions,
};
use serde::{Deserialize, Serialize};

use super::{begin, begins, until_done};
use crate::pick_up::Sample;
use crate::queue_alone::SLOTS;
use crate::scene::connect;

#[derive(Deserialize, Serialize)]
struct Noop {}

impl TaskHandler for Noop {
    const IDENTIFIER: &'static str = "noop";

    async fn run(self, _: WorkerContext) -> impl IntoTaskHandlerResult {
        begin();
        Ok::<(), String>(())
    }
}

fn options(url: &str, local_queue: bool, connections: usize) -> WorkerOptions {
    let options = WorkerOptions::default()
        .database_url(url)
        .max_pg_conn(connections as u32)
        .concurrency(SLOTS)
        .listen_os_shutdown_signals(false)
        .define_job::<Noop>();
    if !local_queue {
        return options;
    }
    // Without a delay its idle queue fetches without a pause; one notification ends the delay.
    let delay = RefetchDelayConfig::default().with_duration(Duration::from_secs(1)).with_max_abort_threshold(1);
    options
        .local_queue(LocalQueueConfig::default().with_size(500).with_refetch_delay(delay))
        .complete_job_batch_delay(Duration::ZERO)
}

pub(super) async fn pick_up(url: &str, local_queue: bool, samples: usize) -> anyhow::Result<Vec<f64>> {
    let worker = options(url, local_queue, 10).init().await?;
    let utils = worker.create_utils();
    let mut begins = begins();
    let running = tokio::spawn(async move { drop(worker.run().await) });
    let mut measured = Sample::new(samples);
    while measured.wanted().await {
        utils.add_job(Noop {}, JobSpec::default()).await?;
        let acknowledged = Instant::now();
        measured.took(acknowledged, begins.recv().await);
    }
    running.abort();
    Ok(measured.figures())
}

pub(super) async fn drain(url: &str, local_queue: bool, jobs: usize, connections: usize) -> anyhow::Result<f64> {
    let worker = options(url, local_queue, connections).init().await?;
    let client = connect(url).await?;
    client
        .execute(
            "select count(graphile_worker.add_job('noop', '{}'::json)) from generate_series(1, $1::bigint)",
            &[&i64::try_from(jobs)?],
        )
        .await?;
    let begins = begins();
    let since = Instant::now();
    let running = tokio::spawn(async move { drop(worker.run().await) });
    let done = until_done(url, since, begins, jobs, "select count(*) from graphile_worker._private_jobs").await;
    running.abort();
    done
}
