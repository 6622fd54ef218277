//! What idle workers cost when there is a job: every one of them hears the INSERT's notification and claims, and one finds the job.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio_postgres::Client;

use crate::deployed::{InProcess, processor};
use crate::marks::Marks;
use crate::report::{Report, percentile};
use crate::scene::Scene;

/// The last is what the server's 200 connections let: one that listens and one that claims for each worker.
const WORKERS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 96];

/// Not counted: connections are made and statements prepared.
const WARM_UP: usize = 10;

const INSERT: &str = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
    values ($1, 'a cup', array[$1::uuid || '/sources/a.png'])";

const COLUMNS: [&str; 7] = [
    "pick-up p50 ms",
    "p95 ms",
    "PostgreSQL: processor ms an INSERT",
    "of which to notify",
    "workers: processor ms an INSERT",
    "INSERTs a second that fill a core with PostgreSQL",
    "PostgreSQL: processor ms an INSERT, one right after the other",
];

/// Measures each number of workers in turn, for so many rounds of so many `inserts`: each when all workers are idle, then one right after the other.
pub async fn run(rounds: usize, inserts: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut marks = Marks::install()?;
    let mut report = Report::new("wake", &COLUMNS);
    for _ in 0..rounds {
        for workers in WORKERS {
            let figures = measure(&scene, &mut marks, workers, inserts).await?;
            report.add(&format!("{workers} idle worker{}", if workers == 1 { "" } else { "s" }), &figures);
        }
    }
    report.finish(&scene.version().await?)
}

async fn measure(scene: &Scene, marks: &mut Marks, workers: usize, inserts: usize) -> anyhow::Result<[f64; 7]> {
    let project = scene.project("wake").await?;
    let user = project.users(1).await?[0];
    let watch = Watch { client: project.connect(scene).await? };
    let running = InProcess::idle(&project, workers).await?;
    watch.until_all_listen(workers).await?;
    let insert = project.admin.prepare(INSERT).await?;
    let mut pick_ups = Vec::new();
    let mut before = watch.spent().await?;
    for number in 0..inserts + WARM_UP {
        watch.until_calm().await?;
        if number == WARM_UP {
            before = watch.spent().await?;
        }
        project.admin.execute(&insert, &[&user]).await?;
        let acknowledged = Instant::now();
        let began = marks.next("job claimed").await?.saturating_duration_since(acknowledged);
        marks.next("job left").await?;
        if number >= WARM_UP {
            pick_ups.push(began.as_secs_f64() * 1000.0);
        }
    }
    watch.until_calm().await?;
    let after = watch.spent().await?;
    let each = after.since(&before, inserts);

    for _ in 0..inserts {
        project.admin.execute(&insert, &[&user]).await?;
    }
    for _ in 0..inserts {
        marks.next("job left").await?;
    }
    watch.until_calm().await?;
    let at_once = watch.spent().await?.since(&after, inserts);
    join_all(running.into_iter().map(InProcess::stop)).await;
    Ok([
        percentile(&pick_ups, 0.5),
        percentile(&pick_ups, 0.95),
        each.postgres,
        each.to_notify,
        each.workers,
        1000.0 / each.postgres,
        at_once.postgres,
    ])
}

/// Looks at the server from a connection that is not counted.
struct Watch {
    client: Client,
}

/// Milliseconds of processor time that were spent so far, or for one INSERT.
struct Spent {
    /// All processes of the server but the postmaster, which only starts them, and the one that watches.
    postgres: f64,
    /// Of those the ones that listen.
    to_notify: f64,
    /// This process: the workers, and the client that inserts.
    workers: f64,
}

impl Spent {
    fn since(&self, before: &Self, inserts: usize) -> Self {
        let each = |of: fn(&Self) -> f64| (of(self) - of(before)) / inserts as f64;
        Self { postgres: each(|of| of.postgres), to_notify: each(|of| of.to_notify), workers: each(|of| of.workers) }
    }
}

impl Watch {
    async fn until_all_listen(&self, workers: usize) -> anyhow::Result<()> {
        let listening =
            "select count(*) from pg_stat_activity where usename = 'carousel_worker' and query like 'listen%'";
        while self.client.query_one(listening, &[]).await?.get::<_, i64>(0) < i64::try_from(workers)? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.until_calm().await
    }

    /// Returns when no worker has asked for anything in two looks.
    async fn until_calm(&self) -> anyhow::Result<()> {
        let last = "select max(state_change)::text from pg_stat_activity where usename = 'carousel_worker'
            having bool_and(state = 'idle')";
        let mut seen = None;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now: Option<String> = self.client.query_opt(last, &[]).await?.and_then(|row| row.get(0));
            if now.is_some() && now == seen {
                return Ok(());
            }
            seen = now;
        }
    }

    async fn spent(&self) -> anyhow::Result<Spent> {
        let processes =
            "select pid, coalesce(query like 'listen%', false) from pg_stat_activity where pid <> pg_backend_pid()";
        let (mut postgres, mut to_notify) = (0.0, 0.0);
        for row in self.client.query(processes, &[]).await? {
            let (pid, listens): (i32, bool) = (row.get(0), row.get(1));
            // In nanoseconds. A process that has ended meanwhile is a short-lived helper of the server.
            let line = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
            let spent = line.split_whitespace().next().and_then(|spent| spent.parse::<f64>().ok()).unwrap_or(0.0) / 1e6;
            postgres += spent;
            if listens {
                to_notify += spent;
            }
        }
        Ok(Spent { postgres, to_notify, workers: processor(std::process::id())? * 1000.0 })
    }
}
