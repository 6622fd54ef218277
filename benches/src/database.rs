//! What jobs cost the database: statements, transactions, WAL, and changes that Realtime pushes.

use std::time::Duration;

use carousel::supabase::{Change, Subscription};
use carousel_local::samples;
use carousel::supabase::storage::Storage;
use serde_json::json;

use crate::deployed::{InProcess, storage_settings};
use crate::idle::{log_statements, statements};
use crate::marks::Marks;
use crate::queue_alone;
use crate::report::Report;
use crate::scene::{Project, Scene, caller};
use crate::stand_in::{StandIn, picture};

/// Jobs of each shape.
const JOBS: usize = 10;

/// Counts for jobs of several shapes, and for a thousand jobs without pictures.
pub async fn run() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut marks = Marks::install()?;
    let project = scene.project("database").await?;
    let stack = scene.stack(&project).await?;
    let provider = StandIn::start(&picture(1024, 1024)?, Duration::from_secs(2)).await?;
    let storage = Storage::new(storage_settings(stack.url(), stack.secret_key())?)?;
    let user = project.users(1).await?[0];
    let [photo, ..] = tokio::task::spawn_blocking(samples::photos).await??;
    storage.upload(&format!("{user}/sources/a.jpg"), "image/jpeg", photo.bytes.into(), "no-cache").await?;
    log_statements(&project).await?;
    let worker = InProcess::with_stack(&project, &stack, &provider.url)?;
    let keys = stack.keys();
    let claims = json!({ "iss": keys.issuer, "aud": "authenticated", "role": "authenticated", "sub": user, "exp": 4_000_000_000_u64 });
    let token = keys.sign(&claims)?;
    let changes = ["image_generation_jobs", "generated_carousel_images"]
        .map(|table| Change { table: table.to_owned(), filter: None });
    let mut browser = caller(&stack, &token)?.changes(&changes).await?;

    let mut report = Report::new("database", &["statements an image", "WAL KB an image", "Realtime changes an image"]);
    let insert = "insert into public.image_generation_jobs (user_id, prompt, source_paths, variants, slide_prompts)
        values ($1, 'a cup', array[$1::uuid || '/sources/a.jpg'], $2, $3)";
    for (variants, slides) in
        [(1, vec![]), (2, vec!["one", "two", "three"]), (4, vec!["one", "two", "three", "four", "five"])]
    {
        let images = slides.len().max(1) * usize::try_from(variants)?;
        let (log, wal) = (scene.postgres_log()?.len(), wal(&project).await?);
        let mut events = 0;
        for _ in 0..JOBS {
            project.admin.execute(insert, &[&user, &variants, &slides]).await?;
            marks.next("job left").await?;
            events += heard(&mut browser).await;
        }
        let all = (JOBS * images) as f64;
        let counted = statements(&scene.postgres_log()?[log..]);
        let written = wal_since(&project, wal).await?;
        let name = format!("a job of {images} image{}", if images == 1 { "" } else { "s" });
        report.add(&name, &[counted.values().sum::<usize>() as f64 / all, written / 1024.0 / all, events as f64 / all]);
        for (statement, times) in counted {
            eprintln!("  {:.2} an image: {statement}", times as f64 / all);
        }
    }
    worker.stop().await;
    let users = project.users(10).await?;
    let before = wal(&project).await?;
    project.jobs(&users, 1000).await?;
    let inserted = wal_since(&project, before).await?;
    let (log, before) = (scene.postgres_log()?.len(), wal(&project).await?);
    queue_alone::drain(&project.queue(4)?, queue_alone::SLOTS).await?;
    let worked = wal_since(&project, before).await?;
    let counted: usize = statements(&scene.postgres_log()?[log..]).values().sum();
    report.add("1,000 jobs of 1 image, inserted", &[f64::NAN, inserted / 1024.0 / 1000.0, f64::NAN]);
    report.add(
        "1,000 jobs of 1 image, worked on, Storage not counted",
        &[counted as f64 / 1000.0, worked / 1024.0 / 1000.0, f64::NAN],
    );
    stack.stop().await;
    report.finish(&scene.version().await?)
}

/// The changes that come until the job's last one, and a moment after it.
async fn heard(browser: &mut Subscription) -> usize {
    let mut events = 0;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(1500), browser.next()).await {
        events += 1;
    }
    events
}

async fn wal(project: &Project) -> anyhow::Result<String> {
    Ok(project.admin.query_one("select pg_current_wal_insert_lsn()::text", &[]).await?.get(0))
}

async fn wal_since(project: &Project, before: String) -> anyhow::Result<f64> {
    let sql = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::text::pg_lsn)::float8";
    Ok(project.admin.query_one(sql, &[&before]).await?.get(0))
}
