//! The sample job: photos up, a row in, the rows watched through Realtime as a browser would, images down.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::stream;
use serde_json::json;
use uuid::Uuid;

use super::super::board::Board;
use super::super::download::download;
use super::person::Person;
use super::project::Project;
use crate::client::{Image, Status, follow};
use crate::image;
use crate::supabase::{Change, Subscription};
use carousel_local::samples;

/// How long Realtime may take to tell what the rows say already.
const PATIENCE: Duration = Duration::from_secs(15);

/// Runs the sample job of the demo user and writes its images into a folder under `output`.
pub(super) async fn run(project: &Project, output: &Path) -> anyhow::Result<()> {
    let Person { caller, id: user } = Person::sign_in(project).await?;
    let mut source_paths = Vec::new();
    for photo in samples::photos().context("the sample photos can't be drawn")? {
        let path = format!("{user}/sources/{}-{}", Uuid::new_v4(), photo.name);
        let length = photo.bytes.len() as u64;
        let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(photo.bytes))]);
        caller.upload(&path, photo.format.mime(), Some(length), body).await.context("a photo can't be uploaded")?;
        source_paths.push(path);
    }
    eprintln!("Uploaded {} photos as demo user {user}", source_paths.len());

    // Before the job is there: its end can't be missed.
    let jobs = Change { table: "image_generation_jobs".to_owned(), filter: Some(format!("user_id=eq.{user}")) };
    let changes = caller.changes(&[jobs]).await?;
    let started = Instant::now();
    let job = caller
        .insert_job(&json!({
            "title": "A weekend away",
            "prompt": "Turn these photos into one calm travel story.",
            "slide_prompts": ["The road out of town", "Coffee at the window", "The city at night"],
            "source_paths": source_paths,
            "aspect_ratios": ["1:1", "4:5", "9:16"],
            "variants": 2,
            "style": { "mood": "warm", "colors": ["amber", "teal"] },
        }))
        .await
        .context("the job can't be inserted")?;
    eprintln!("Inserted job {}", job.id);
    let mut board = Board::new();
    let ended = follow(&caller, job.id, |seen| board.show(&seen)).await?;
    let took = started.elapsed();
    tokio::time::timeout(PATIENCE, told_of_the_end(changes, job.id))
        .await
        .ok()
        .flatten()
        .with_context(|| format!("the job is {}, but Realtime did not say so", ended.job.status.as_str()))?;

    let files = download(&caller, &ended.images, output).await?;
    for (image, file) in ended.images.iter().filter(|image| image.storage_path.is_some()).zip(&files) {
        check(image, file)?;
    }
    let folder = output.join(job.id.to_string());
    println!("{} images in {:.1} s, written to {}", files.len(), took.as_secs_f64(), folder.display());
    ensure!(
        ended.job.status == Status::Completed,
        "the sample job ended {}: {}",
        ended.job.status.as_str(),
        ended.job.error_message.as_deref().unwrap_or("no reason given")
    );
    Ok(())
}

/// Waits for the change with which the job ends; nothing when the connection ends first.
async fn told_of_the_end(mut changes: Subscription, job: Uuid) -> Option<()> {
    loop {
        let row = changes.next().await?.record;
        if row["id"] == job.to_string() && !row["finished_at"].is_null() {
            return Some(());
        }
    }
}

/// Whether a file is a picture of the size and shape that its row says. Its bytes are checked when it is downloaded.
fn check(image: &Image, file: &PathBuf) -> anyhow::Result<()> {
    let size = image::sniff(&mut BufReader::new(std::fs::File::open(file)?))?.size;
    let stated = (image.width.unwrap_or(0), image.height.unwrap_or(0));
    ensure!(
        (i64::from(size.width), i64::from(size.height)) == (i64::from(stated.0), i64::from(stated.1)),
        "{} has {size} pixels, and its row says {}x{}",
        file.display(),
        stated.0,
        stated.1
    );
    let ratio = image.aspect_ratio;
    let (across, down) = ratio.sides().unwrap_or((size.width, size.height));
    ensure!(size.width * down == size.height * across, "{} has {size} pixels, which is not {ratio}", file.display());
    Ok(())
}
