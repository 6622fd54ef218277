//! Claims while the planner knows nothing of the jobs that wait: autovacuum looks once a minute and only after a tenth of a table has changed, and a worker that
//! has run for long keeps the plan that it made when the queue was empty.

use std::time::{Duration, Instant};

use carousel::queue::Queue;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::claims::{FINISHED, WAITING, WITHOUT_TRIGGERS};
use crate::report::{Report, percentile};
use crate::scene::{Project, Scene};

/// Jobs of one claim: the default of `CAROUSEL_JOBS`.
const SLOTS: usize = 8;
/// Claims, and INSERTs, of one case.
const TIMES: usize = 20;
/// Jobs that wait.
const DEPTH: i64 = 20_000;
/// Jobs of a project that is not new.
const PAST: i64 = 100_000;

const INSERT: &str = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
    values ($1, 'a cup', array[$1::uuid || '/sources/a.png'])";

/// Measures each case, for so many rounds.
pub async fn run(rounds: usize, scene: &Scene) -> anyhow::Result<Report> {
    let mut report = Report::new("unanalyzed", &["claim of 8 p50 ms", "max ms", "INSERT p50 ms", "max ms"]);
    for _ in 0..rounds {
        let project = scene.project("unanalyzed").await?;
        let seed = project.connect(scene).await?;
        seed.batch_execute(WITHOUT_TRIGGERS).await?;
        without_autovacuum(&seed).await?;
        let users = project.users(1000).await?;

        let queue = since_before(&project).await?;
        seed.execute(WAITING, &[&users, &DEPTH]).await?;
        report.add("new project, worker since before the jobs", &figures(&project, &queue, users[0]).await?);

        seed.batch_execute(
            "truncate carousel_private.queue, carousel_private.leases; truncate public.image_generation_jobs cascade",
        )
        .await?;
        seed.execute(FINISHED, &[&users, &PAST]).await?;
        seed.batch_execute("vacuum analyze").await?;
        let queue = since_before(&project).await?;
        seed.execute(WAITING, &[&users, &DEPTH]).await?;
        report.add("100,000 finished, worker since before the jobs", &figures(&project, &queue, users[0]).await?);
        report.add("100,000 finished, worker since now", &figures(&project, &project.queue(1)?, users[0]).await?);

        // What an analyze leaves that comes when the queue has pages and nothing in them, or while one transaction fills it.
        let empty = "update pg_class set reltuples = 0 where oid = 'carousel_private.queue'::regclass and relpages > 0";
        seed.batch_execute("analyze carousel_private.queue").await?;
        anyhow::ensure!(seed.execute(empty, &[]).await? == 1, "the queue has no pages");
        report.add(
            "100,000 finished, the queue is taken for empty",
            &figures(&project, &project.queue(1)?, users[0]).await?,
        );

        seed.batch_execute("analyze").await?;
        report.add("all analyzed", &figures(&project, &project.queue(1)?, users[0]).await?);
    }
    Ok(report)
}

/// A statistic changes only when this benchmark says so.
async fn without_autovacuum(seed: &Client) -> anyhow::Result<()> {
    for table in [
        "carousel_private.queue",
        "carousel_private.leases",
        "public.image_generation_jobs",
        "public.generated_carousel_images",
    ] {
        seed.batch_execute(&format!("alter table {table} set (autovacuum_enabled = off)")).await?;
    }
    Ok(())
}

/// A queue whose one connection keeps the plan of a claim, made while nothing waits.
async fn since_before(project: &Project) -> anyhow::Result<Queue> {
    let queue = project.queue(1)?;
    for _ in 0..10 {
        queue.claim_jobs(Uuid::nil(), SLOTS, Duration::from_secs(3600)).await?;
    }
    Ok(queue)
}

async fn figures(project: &Project, queue: &Queue, user: Uuid) -> anyhow::Result<[f64; 4]> {
    let (mut claims, mut inserts) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let since = Instant::now();
        let leases = queue.claim_jobs(Uuid::nil(), SLOTS, Duration::from_secs(3600)).await?;
        claims.push(since.elapsed().as_secs_f64() * 1000.0);
        anyhow::ensure!(leases.len() == SLOTS, "{} of {SLOTS} jobs were claimed", leases.len());
        let since = Instant::now();
        project.admin.execute(INSERT, &[&user]).await?;
        inserts.push(since.elapsed().as_secs_f64() * 1000.0);
    }
    Ok([percentile(&claims, 0.5), percentile(&claims, 1.0), percentile(&inserts, 0.5), percentile(&inserts, 1.0)])
}
