//! Many generations at once in one worker process: its memory, and what each of them takes of it.

use std::path::Path;
use std::time::{Duration, Instant};

use carousel_local::samples;
use carousel::supabase::storage::Storage;

use crate::deployed::{Program, storage_settings};
use crate::report::Report;
use crate::scene::Scene;
use crate::stand_in::{StandIn, picture};

/// Users that the generations are of, each with one photo.
const USERS: usize = 50;

/// How the worker is started.
#[derive(Clone, Copy)]
struct Case {
    words: &'static str,
    /// As the Dockerfile has it: the allocator gives large blocks back at once.
    threshold: bool,
    tls: bool,
}

const CASES: [Case; 3] = [
    Case { words: "", threshold: false, tls: false },
    Case { words: ", MALLOC_MMAP_THRESHOLD_=131072", threshold: true, tls: false },
    Case { words: ", MALLOC_MMAP_THRESHOLD_=131072, TLS", threshold: true, tls: true },
];

/// One generation a job, each a picture of 3 MB after `latency`. The worker is a process of its own; everything else is in this one.
pub async fn run(
    program: &Path,
    rounds: usize,
    generations: usize,
    latency: Duration,
    only: &str,
) -> anyhow::Result<()> {
    let mut report = Report::new(
        "in-flight",
        &["idle MB", "all in flight MB", "KB a generation", "peak MB", "processor s", "most at once", "seconds"],
    );
    let picture = picture(1024, 1024)?;
    let mut version = String::new();
    for _ in 0..rounds {
        for case in CASES {
            let name = format!("{generations} generations{}", case.words);
            if !name.contains(only) {
                continue;
            }
            let scene = Scene::start().await?;
            let figures = round(&scene, program, generations, latency, &picture, case).await?;
            report.add(&name, &figures);
            version = scene.version().await?;
        }
    }
    report.finish(&version)
}

async fn round(
    scene: &Scene,
    program: &Path,
    generations: usize,
    latency: Duration,
    picture: &[u8],
    case: Case,
) -> anyhow::Result<Vec<f64>> {
    let project = scene.project("in_flight").await?;
    let stack = scene.stack(&project).await?;
    let storage = Storage::new(storage_settings(stack.url(), stack.secret_key())?)?;
    let [photo, ..] = tokio::task::spawn_blocking(samples::photos).await??;
    let photo = bytes::Bytes::from(photo.bytes);
    let users = project.users(USERS).await?;
    for user in &users {
        storage.upload(&format!("{user}/sources/a.jpg"), "image/jpeg", photo.clone(), "no-cache").await?;
    }
    let count = generations.to_string();
    let mut more = vec![
        ("CAROUSEL_JOBS", count.clone()),
        ("CAROUSEL_CALLS", count),
        ("CAROUSEL_SPOOL", scene.folder().display().to_string()),
    ];
    if case.threshold {
        more.push(("MALLOC_MMAP_THRESHOLD_", "131072".to_owned()));
    }
    let provider = if case.tls {
        let (provider, certificate) = StandIn::encrypted(picture, latency).await?;
        let file = scene.folder().join("provider.crt");
        std::fs::write(&file, certificate)?;
        more.push(("CAROUSEL_PROVIDER_CA", file.display().to_string()));
        provider
    } else {
        StandIn::start(picture, latency).await?
    };
    let worker = Program::start(program, scene.folder(), &project, &stack, &provider.url, &more).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (idle, _) = worker.memory()?;
    let since = Instant::now();
    let insert = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
         select owner, 'a cup', array[owner || '/sources/a.jpg']
         from (select ($1::uuid[])[1 + number % cardinality($1)] as owner from generate_series(1, $2::bigint) as number) as new";
    project.admin.execute(insert, &[&users, &i64::try_from(generations)?]).await?;
    let (mut flying, mut most) = (idle, 0);
    let left = "select count(*) from public.image_generation_jobs where finished_at is null";
    loop {
        let in_flight = provider.in_flight();
        if in_flight > most {
            most = in_flight;
            flying = worker.memory()?.0;
        }
        if most > 0 && in_flight == 0 && project.admin.query_one(left, &[]).await?.get::<_, i64>(0) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seconds = since.elapsed().as_secs_f64();
    let done = "select count(*) from public.image_generation_jobs where status = 'completed'";
    let done: i64 = project.admin.query_one(done, &[]).await?.get(0);
    anyhow::ensure!(
        done == i64::try_from(generations)?,
        "{done} of {generations} jobs are completed: {}",
        worker.log()?
    );
    let (_, peak) = worker.memory()?;
    let each = (flying - idle) * 1024.0 / most as f64;
    let figures = vec![idle, flying, each, peak, worker.processor()?, most as f64, seconds];
    drop(worker);
    stack.stop().await;
    Ok(figures)
}
