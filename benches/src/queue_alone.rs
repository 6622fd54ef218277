//! Jobs a second when the work does nothing and every promise is kept: lease, fence, a row for each image, books, progress.

use std::time::{Duration, Instant};

use carousel::job::{Format, Size};
use carousel::queue::{Begun, Error, Lease, MOST_CLAIMED, Objects, Queue, Recorded};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::floor;
use crate::report::Report;
use crate::scene::Scene;

/// Jobs at once, for everybody.
pub const SLOTS: usize = 50;
/// As a worker is set up whose jobs take minutes.
const MANY_SLOTS: usize = 500;
/// Users that the jobs are of.
const USERS: usize = 50;

/// Measures all contenders, in turn, for so many rounds.
pub async fn run(rounds: usize, jobs: usize, connections: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut report = Report::new("queue", &["jobs a second", "x floor, one by one"]);
    for _ in 0..rounds {
        let floor = floor::drain(&scene, jobs, 1, connections).await?;
        report.add("bare floor, one by one", &[floor, 1.0]);
        let batches = floor::drain(&scene, jobs, SLOTS as i64, connections).await?;
        report.add("bare floor, batches of 50", &[batches, batches / floor]);
        for (name, slots) in [("carousel", SLOTS), ("carousel, 500 jobs at once", MANY_SLOTS)] {
            let ours = ours(&scene, jobs, connections, slots).await?;
            report.add(name, &[ours, ours / floor]);
        }
        #[cfg(feature = "peers")]
        for peer in crate::peers::ALL {
            let (name, theirs) = peer.drain(&scene, jobs, connections).await?;
            report.add(&name, &[theirs, theirs / floor]);
        }
    }
    report.finish(&scene.version().await?)
}

async fn ours(scene: &Scene, jobs: usize, connections: usize, slots: usize) -> anyhow::Result<f64> {
    let project = scene.project("queue").await?;
    let users = project.users(USERS).await?;
    project.jobs(&users, jobs).await?;
    project.admin.batch_execute("vacuum analyze").await?;
    let since = Instant::now();
    drain(&project.queue(connections)?, slots).await?;
    let took = since.elapsed().as_secs_f64();
    let done = "select count(*) from public.image_generation_jobs where status = 'completed'";
    let done: i64 = project.admin.query_one(done, &[]).await?.get(0);
    anyhow::ensure!(done == i64::try_from(jobs)?, "{done} of {jobs} jobs are completed");
    Ok(jobs as f64 / took)
}

/// Works as the worker does until nothing is left: claims for its free slots whenever one becomes free.
pub async fn drain(queue: &Queue, slots: usize) -> anyhow::Result<()> {
    let worker = Uuid::new_v4();
    let mut tasks: JoinSet<Result<(), Error>> = JoinSet::new();
    let mut promising = true;
    loop {
        let free = (slots - tasks.len()).min(MOST_CLAIMED);
        if promising && free > 0 {
            let leases = queue.claim_jobs(worker, free, Duration::from_secs(30)).await?;
            promising = leases.len() == free;
            for lease in leases {
                tasks.spawn(work(lease));
            }
            continue;
        }
        let Some(ended) = tasks.join_next().await else { return Ok(()) };
        ended??;
        promising = true;
        // What has ended meanwhile is one claim with it.
        while let Some(ended) = tasks.try_join_next() {
            ended??;
        }
    }
}

/// What the pipeline writes for a job of one image, without fetching, calling and uploading.
async fn work(lease: Lease) -> Result<(), Error> {
    let images = lease.start_job().await?;
    for image in images {
        // As in the pipeline, where the report of progress goes beside the first call.
        let begun = lease.begin_call(
            image.id,
            Objects { name: "1-1-1x1-0123456789abcdef.png", previews: 0 },
            "gpt-image-2",
            Some("medium"),
            "a cup",
            Some(53_000),
        );
        let (Begun::Call(call), ()) = tokio::try_join!(begun, lease.report_progress())? else { continue };
        let path = format!("{}/jobs/{}/1-1-1x1-0123456789abcdef.png", lease.job.user_id, lease.job.id);
        let made = Recorded {
            path: &path,
            thumbhash: "dGh1bWI=",
            size: Size { width: 1024, height: 1024 },
            bytes: 3 << 20,
            format: Format::Png,
            sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            usage: None,
            cost: Some(53_000),
            duration: Duration::from_millis(12),
            request_id: Some("req_1"),
        };
        lease.record_image(image.id, call, &made).await?;
    }
    lease.finish_job(false, None).await?;
    Ok(())
}
