//! The queues that carousel is compared with, in the same run and on the same server. Each may use as many connections and works on as many jobs at once.

mod apalis;
mod graphile;
mod node;
mod pgmq;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use self::pgmq::Reader;
use crate::scene::{Scene, connect};

/// A peer in one of its modes.
#[derive(Clone, Copy)]
pub enum Peer {
    GraphileWorker { local_queue: bool },
    Apalis { batch: usize },
    Pgmq { reader: Reader },
    Node(&'static str),
}

pub const ALL: [Peer; 8] = [
    Peer::GraphileWorker { local_queue: false },
    Peer::GraphileWorker { local_queue: true },
    Peer::Apalis { batch: 50 },
    Peer::Pgmq { reader: Reader::Polls },
    Peer::Pgmq { reader: Reader::IsNotified },
    Peer::Node("graphile-worker"),
    Peer::Node("graphile-worker, local queue"),
    Peer::Node("pg-boss"),
];

impl Peer {
    fn name(self) -> String {
        match self {
            Self::GraphileWorker { local_queue: false } => "graphile_worker 0.14 (Rust)".to_owned(),
            Self::GraphileWorker { local_queue: true } => "graphile_worker 0.14 (Rust), local queue of 500".to_owned(),
            Self::Apalis { batch } => format!("apalis-postgres 1.0, NOTIFY, batches of {batch}"),
            Self::Pgmq { reader: Reader::Polls } => "pgmq 1.13, read_with_poll, one by one".to_owned(),
            Self::Pgmq { reader: Reader::IsNotified } => "pgmq 1.13, NOTIFY, batches of 50".to_owned(),
            Self::Node("graphile-worker") => "graphile-worker 0.18 (Node)".to_owned(),
            Self::Node("pg-boss") => "pg-boss 12.38 (Node), NOTIFY, batches of 50".to_owned(),
            Self::Node(_) => "graphile-worker 0.18 (Node), local queue of 500".to_owned(),
        }
    }

    /// Samples a round for those with which `wanted` would take minutes.
    fn samples(self, wanted: usize) -> usize {
        match self {
            // It misses a wake now and then, and finds the job half a minute later.
            Self::Apalis { .. } => wanted.min(30),
            // Each takes a good part of its 100 ms.
            Self::Pgmq { reader: Reader::Polls } => wanted.min(200),
            _ => wanted,
        }
    }

    /// Jobs a round for those with which `wanted` would take minutes.
    fn jobs(self, wanted: usize) -> usize {
        match self {
            // It drains at its concurrency a poll interval, however many there are.
            Self::GraphileWorker { local_queue: false } => wanted.min(1000),
            _ => wanted,
        }
    }

    /// One round of picking up single jobs: the row's name, and milliseconds.
    pub async fn pick_up(self, scene: &Scene, samples: usize) -> anyhow::Result<(String, Vec<f64>)> {
        let url = scene.database("peer").await?;
        let fewer = self.samples(samples);
        let figures = match self {
            Self::GraphileWorker { local_queue } => graphile::pick_up(&url, local_queue, fewer).await,
            Self::Apalis { batch } => apalis::pick_up(&url, batch, fewer).await,
            Self::Pgmq { reader } => pgmq::pick_up(&url, reader, fewer).await,
            Self::Node(peer) => node::pick_up(peer, &url, fewer).await,
        };
        Ok((self.row(samples, fewer, "samples"), figures?))
    }

    /// The row's name, and jobs a second.
    pub async fn drain(self, scene: &Scene, jobs: usize, connections: usize) -> anyhow::Result<(String, f64)> {
        let url = scene.database("peer").await?;
        let fewer = self.jobs(jobs);
        let rate = match self {
            Self::GraphileWorker { local_queue } => graphile::drain(&url, local_queue, fewer, connections).await,
            Self::Apalis { batch } => apalis::drain(&url, batch, fewer).await,
            Self::Pgmq { reader } => pgmq::drain(&url, reader, fewer, connections).await,
            Self::Node(peer) => node::drain(peer, &url, fewer, connections).await,
        };
        Ok((self.row(jobs, fewer, "jobs"), rate?))
    }

    /// Its name, and how many it had when they are fewer than what the others had.
    fn row(self, all: usize, fewer: usize, of_what: &str) -> String {
        if fewer < all { format!("{} ({fewer} {of_what})", self.name()) } else { self.name() }
    }
}

/// Where handlers say that they began: peers build their handlers themselves, so it is no argument.
static BEGAN: Mutex<Option<UnboundedSender<Instant>>> = Mutex::new(None);

/// Hears of handlers that begin from now on.
fn begins() -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    *BEGAN.lock().expect("nothing panics with this lock") = Some(sender);
    receiver
}

/// The first line of a handler.
fn begin() {
    let now = Instant::now();
    if let Some(sender) = &*BEGAN.lock().expect("nothing panics with this lock") {
        let _ = sender.send(now);
    }
}

/// Waits until `jobs` handlers began and `sql` counts none that is left. Returns jobs a second.
async fn until_done(
    url: &str,
    since: Instant,
    mut begins: UnboundedReceiver<Instant>,
    jobs: usize,
    sql: &str,
) -> anyhow::Result<f64> {
    for _ in 0..jobs {
        begins.recv().await;
    }
    let client = connect(url).await?;
    while client.query_one(sql, &[]).await?.get::<_, i64>(0) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(jobs as f64 / since.elapsed().as_secs_f64())
}
