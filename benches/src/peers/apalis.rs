//! apalis with its PostgreSQL storage.

use std::time::Instant;

use ::apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use futures::stream;

use super::{begin, begins, until_done};
use crate::pick_up::Sample;
use crate::queue_alone::SLOTS;

const QUEUE: &str = "noop";

async fn handle(_: u32) -> Result<(), BoxDynError> {
    begin();
    Ok(())
}

async fn storage(url: &str, batch: usize) -> anyhow::Result<PostgresStorage<u32>> {
    let pool = PgPool::connect(url).await?;
    PostgresStorage::setup(&pool).await?;
    Ok(PostgresStorage::new(&pool).with_config(Config::default().queue(QUEUE).batch_size(batch)))
}

pub(super) async fn pick_up(url: &str, batch: usize, samples: usize) -> anyhow::Result<Vec<f64>> {
    let storage = storage(url, batch).await?;
    let mut inserts = storage.clone();
    let mut begins = begins();
    let measured = async {
        let mut measured = Sample::new(samples);
        while measured.wanted().await {
            inserts.push(1).await?;
            let acknowledged = Instant::now();
            measured.took(acknowledged, begins.recv().await);
        }
        Ok(measured.figures())
    };
    beside_a_worker(storage, measured).await
}

pub(super) async fn drain(url: &str, batch: usize, jobs: usize) -> anyhow::Result<f64> {
    let storage = storage(url, batch).await?;
    let mut inserts = storage.clone();
    for _ in 0..jobs.div_ceil(1000) {
        inserts.push_stream(&mut stream::iter(vec![1_u32; 1000])).await?;
    }
    let jobs = jobs.div_ceil(1000) * 1000;
    let done =
        until_done(url, Instant::now(), begins(), jobs, "select count(*) from apalis.jobs where status <> 'Done'");
    beside_a_worker(storage, done).await
}

/// What `measured` comes to while a worker runs.
async fn beside_a_worker<T>(
    storage: PostgresStorage<u32>,
    measured: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let worker = WorkerBuilder::new("bench")
        .backend(storage.with_pubsub())
        .concurrency(SLOTS)
        .parallelize(tokio::spawn)
        .build(handle);
    tokio::select! {
        ended = worker.run() => anyhow::bail!("the worker has ended: {ended:?}"),
        measured = measured => measured,
    }
}
