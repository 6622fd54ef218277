//! A whole job of one picture of 3 MB, from the acknowledged INSERT to the browser's `completed`, without the provider's own time: how long, and where it goes.

use std::time::{Duration, Instant};

use anyhow::Context;
use carousel::supabase::{Change, Subscription};
use carousel::job::{Format, Size};
use carousel_local::samples;
use carousel_local::stack::Stack;
use carousel::supabase::storage::Storage;
use serde_json::json;
use uuid::Uuid;

use crate::deployed::{InProcess, storage_settings};
use crate::marks::Marks;
use crate::report::{Report, percentile};
use crate::scene::{Project, Scene, caller};
use crate::stand_in::{StandIn, picture};

/// Not counted.
const WARM_UP: usize = 3;

const STEPS: [&str; 9] = [
    "INSERT acknowledged to job claimed",
    "claimed to request at the provider: rows of the images, source fetched, call written down",
    "request to its end: the source is sent",
    "answer to image recorded: read, checked, uploaded, recorded",
    "... of which the check (PNG decoded, hashed), alone",
    "... of which the upload, alone",
    "recorded to job finished",
    "finished to the browser's `completed`",
    "job time minus provider time, to the end in the database",
];

/// Milliseconds of each step over `samples` jobs, for so many rounds.
pub async fn run(rounds: usize, samples: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut marks = Marks::install()?;
    let project = scene.project("job").await?;
    let stack = scene.stack(&project).await?;
    let picture = picture(1024, 1024)?;
    let provider = StandIn::start(&picture, Duration::ZERO).await?;
    let storage = Storage::new(storage_settings(stack.url(), stack.secret_key())?)?;
    let user = project.users(1).await?[0];
    let [photo, ..] = tokio::task::spawn_blocking(samples::photos).await??;
    storage.upload(&format!("{user}/sources/a.jpg"), "image/jpeg", photo.bytes.into(), "no-cache").await?;
    let worker = InProcess::with_stack(&project, &stack, &provider.url)?;
    let mut browser = browser(&stack, user).await?;

    let mut report = Report::new("job", &["p50 ms", "p95 ms"]);
    for _ in 0..rounds {
        let mut steps: [Vec<f64>; STEPS.len()] = Default::default();
        for sample in 0..samples + WARM_UP {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut figures = one(&project, &mut marks, &provider, &mut browser, user).await?;
            let (check, upload) = alone(&storage, user, picture.clone()).await?;
            figures.splice(4..4, [check, upload]);
            if sample >= WARM_UP {
                steps.iter_mut().zip(figures).for_each(|(step, figure)| step.push(figure));
            }
        }
        for (name, step) in STEPS.iter().zip(steps) {
            report.add(name, &[percentile(&step, 0.5), percentile(&step, 0.95)]);
        }
    }
    worker.stop().await;
    stack.stop().await;
    report.finish(&scene.version().await?)
}

/// What the job's owner sees in a browser.
async fn browser(stack: &Stack, user: Uuid) -> anyhow::Result<Subscription> {
    let keys = stack.keys();
    let claims = json!({ "iss": keys.issuer, "aud": "authenticated", "role": "authenticated", "sub": user, "exp": 4_000_000_000_u64 });
    let jobs = Change { table: "image_generation_jobs".to_owned(), filter: None };
    Ok(caller(stack, &keys.sign(&claims)?)?.changes(&[jobs]).await?)
}

/// One job: milliseconds of the steps that are seen from outside, and of the whole.
async fn one(
    project: &Project,
    marks: &mut Marks,
    provider: &StandIn,
    browser: &mut Subscription,
    user: Uuid,
) -> anyhow::Result<Vec<f64>> {
    let insert = "insert into public.image_generation_jobs (user_id, prompt, source_paths) values ($1, 'a cup', array[$1::uuid || '/sources/a.jpg'])";
    project.admin.execute(insert, &[&user]).await?;
    let inserted = Instant::now();
    let claimed = marks.next("job claimed").await?;
    let recorded = marks.next("image recorded").await?;
    let left = marks.next("job left").await?;
    let shown = loop {
        let event = browser.next().await.context("the browser's connection has ended")?;
        match event.record["status"].as_str() {
            Some("completed") => break Instant::now(),
            Some("failed" | "partial") => anyhow::bail!("the job failed: {}", event.record),
            _ => {}
        }
    };
    let call = *provider.take_calls().last().context("the provider was called")?;
    let milliseconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1000.0;
    Ok(vec![
        milliseconds(inserted, claimed),
        milliseconds(claimed, call.arrived),
        milliseconds(call.arrived, call.read),
        milliseconds(call.answered, recorded),
        milliseconds(recorded, left),
        milliseconds(left, shown),
        milliseconds(inserted, left) - milliseconds(call.read, call.answered),
    ])
}

/// The two longest parts by themselves.
async fn alone(storage: &Storage, user: Uuid, picture: Vec<u8>) -> anyhow::Result<(f64, f64)> {
    let picture = bytes::Bytes::from(picture);
    let bytes = picture.clone();
    let since = Instant::now();
    let size = Size { width: 1024, height: 1024 };
    tokio::task::spawn_blocking(move || carousel::image::check(&bytes, Format::Png, size)).await??;
    let check = since.elapsed();
    let since = Instant::now();
    storage.upload(&format!("{user}/jobs/{}/alone.png", Uuid::new_v4()), "image/png", picture, "no-cache").await?;
    Ok((check.as_secs_f64() * 1000.0, since.elapsed().as_secs_f64() * 1000.0))
}
