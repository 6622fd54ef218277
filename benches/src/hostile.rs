//! What one hostile account costs the others: from somebody's acknowledged INSERT to the claim that takes the job, beside an account that has done its worst.

use std::time::{Duration, Instant};

use carousel::queue::{LOOK_UP, Queue};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::report::{Report, percentile};
use crate::scene::{Project, Scene};

/// Jobs at once: the default of `CAROUSEL_JOBS`.
const SLOTS: usize = 8;
/// Not counted: connections are made and statements prepared.
const WARM_UP: usize = 5;

/// What the account has done before, as SQL with its user as $1.
const CASES: [(&str, &str); 5] = [
    ("nobody else", "select $1::uuid"),
    (
        "10,000 jobs wait",
        "insert into public.image_generation_jobs (user_id, prompt, source_paths)
         select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'] from generate_series(1, 10000)",
    ),
    (
        "16,000 jobs of priority -100, and 1,000 of +100 due together",
        "with low as (
             insert into public.image_generation_jobs (user_id, prompt, source_paths, priority)
             select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], -100 from generate_series(1, 16000)
         )
         insert into public.image_generation_jobs (user_id, prompt, source_paths, priority, run_at)
         select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], 100, now() + interval '1 hour' from generate_series(1, 1000)",
    ),
    (
        "10,000 jobs of a model that is left alone",
        "with paused as (
             insert into carousel_private.model_pauses (model, paused_until, reason) values ('old-model', now() + interval '1 hour', 'rate_limited')
         )
         insert into public.image_generation_jobs (user_id, prompt, source_paths, model)
         select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], 'old-model' from generate_series(1, 10000)",
    ),
    (
        "10,000 jobs wait, and their rows are held",
        "insert into public.image_generation_jobs (user_id, prompt, source_paths)
         select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'] from generate_series(1, 10000)",
    ),
];

/// Measures each case in each round.
pub async fn run(rounds: usize, samples: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut report = Report::new("hostile", &["p50 ms", "p95 ms", "longest ms"]);
    for _ in 0..rounds {
        for (name, done) in CASES {
            let figures = beside(&scene, name, done, samples).await?;
            report.add(name, &[percentile(&figures, 0.5), percentile(&figures, 0.95), percentile(&figures, 1.0)]);
        }
    }
    report.finish(&scene.version().await?)
}

/// Milliseconds of many jobs of somebody else's, one after the other.
async fn beside(scene: &Scene, name: &str, done: &str, samples: usize) -> anyhow::Result<Vec<f64>> {
    let project = scene.project("hostile").await?;
    let users = project.users(2).await?;
    project.admin.execute(done, &[&users[0]]).await?;
    let holding = if name.ends_with("held") { Some(hold(&project, scene, users[0]).await?) } else { None };
    let queue = project.queue(4)?;
    let staging = tokio::spawn(stage(queue.clone()));
    let insert = project
        .admin
        .prepare("insert into public.image_generation_jobs (user_id, prompt, source_paths) values ($1, 'a cup', array[$1::uuid || '/sources/b.png']) returning id")
        .await?;
    let mut figures = Vec::new();
    for sample in 0..samples + WARM_UP {
        if sample == WARM_UP {
            // What was to come at a certain time comes now, all together.
            project
                .admin
                .execute("update carousel_private.queue set run_at = now() where turn is null and priority = 100", &[])
                .await?;
        }
        let job: Uuid = project.admin.query_one(&insert, &[&users[1]]).await?.get(0);
        let acknowledged = Instant::now();
        if let Some(took) = claimed(&queue, job, acknowledged).await? {
            figures.push(took.as_secs_f64() * 1000.0);
        }
    }
    staging.abort();
    drop(holding);
    Ok(figures.split_off(WARM_UP))
}

/// Claims as a worker with free slots does, until it has this job; what else it gets is over at once.
async fn claimed(queue: &Queue, job: Uuid, since: Instant) -> anyhow::Result<Option<Duration>> {
    let mut took = None;
    while took.is_none() {
        let leases = queue.claim_jobs(Uuid::nil(), SLOTS, Duration::from_secs(3600)).await?;
        let now = since.elapsed();
        for lease in leases {
            if lease.job.id == job {
                took = Some(now);
            }
            lease.finish_job(true, None).await?;
        }
    }
    Ok(took)
}

/// As a worker does beside its loop.
async fn stage(queue: Queue) {
    loop {
        while queue.promote_jobs().await.is_ok_and(|(more, _)| more) {}
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A transaction that holds all rows of this user.
async fn hold(project: &Project, scene: &Scene, user: Uuid) -> anyhow::Result<Client> {
    let client = project.connect(scene).await?;
    client.batch_execute(&format!("{LOOK_UP}; begin")).await?;
    client.execute("update public.image_generation_jobs set title = 'held' where user_id = $1", &[&user]).await?;
    Ok(client)
}
