//! The sample job: photos up, a row in, the rows watched through Realtime as a browser would, images down.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::board::Board;
use super::person::Person;
use super::project::Project;
use crate::client::{Change, Subscription};
use crate::image;
use crate::local::samples;

/// Realtime is a hint: without one for so long, the rows themselves are read.
const LOOK: Duration = Duration::from_secs(5);

/// Runs the sample job of the demo user and writes its images into a folder under `output`.
pub(super) async fn run(project: &Project, output: &Path) -> anyhow::Result<()> {
    let person = Person::sign_in(project).await?;
    let mut source_paths = Vec::new();
    for photo in samples::photos().context("the sample photos can't be drawn")? {
        source_paths.push(person.upload(photo.name, photo.format.mime(), photo.bytes).await?);
    }
    eprintln!("Uploaded {} photos as demo user {}", source_paths.len(), person.id);

    // Subscribed first: nothing of the job can be missed.
    let of_mine = Some(format!("user_id=eq.{}", person.id));
    let changes = ["image_generation_jobs", "generated_carousel_images"]
        .map(|table| Change { table: table.to_owned(), filter: of_mine.clone() });
    let mut changes = Subscription::open(&project.url, &project.publishable_key, &person.token, &changes).await?;

    let started = Instant::now();
    let job = person
        .submit(&json!({
            "title": "A weekend away",
            "prompt": "Turn these photos into one calm travel story.",
            "slide_prompts": ["The road out of town", "Coffee at the window", "The city at night"],
            "source_paths": source_paths,
            "aspect_ratios": ["1:1", "4:5", "9:16"],
            "variants": 2,
            "style": { "mood": "warm", "colors": ["amber", "teal"] },
        }))
        .await?;
    let id = job["id"].as_str().context("the job has no id")?.to_owned();
    eprintln!("Inserted job {id}");
    let mut board = Board::new(&job);
    for image in person.images(&id).await? {
        board.show_image(&image);
    }

    let job = loop {
        match tokio::time::timeout(LOOK, changes.next()).await {
            Ok(Some(event)) if event.table == "image_generation_jobs" && event.record["id"] == job["id"] => {
                board.show_job(&event.record);
                if is_over(&event.record) {
                    break person.job(&id).await?;
                }
            }
            Ok(Some(event)) if event.record["job_id"] == job["id"] => board.show_image(&event.record),
            Ok(Some(_)) => {}
            Ok(None) => bail!("the Realtime connection ended before the job did"),
            Err(_) => {
                let now = person.job(&id).await?;
                ensure!(!is_over(&now), "the job is {}, but Realtime did not say so", now["status"]);
            }
        }
    };
    let took = started.elapsed();
    let images = person.images(&id).await?;
    for image in &images {
        board.show_image(image);
    }
    board.close(&job);
    let folder = output.join(&id);
    let written = download(&person, &images, &folder).await?;
    println!("{written} images in {:.1} s, written to {}", took.as_secs_f64(), folder.display());
    let status = job["status"].as_str().unwrap_or_default();
    ensure!(
        status == "completed",
        "the sample job ended {status}: {}",
        job["error_message"].as_str().unwrap_or("no reason given")
    );
    Ok(())
}

fn is_over(job: &Value) -> bool {
    ["completed", "partial", "failed", "cancelled"].iter().any(|status| job["status"] == *status)
}

/// Writes the finished images into `folder`, each checked against its row: bytes, size and shape.
async fn download(person: &Person, images: &[Value], folder: &Path) -> anyhow::Result<usize> {
    tokio::fs::create_dir_all(folder).await.with_context(|| format!("{} can't be made", folder.display()))?;
    let mut names = HashSet::new();
    for image in images {
        let Some(path) = image["storage_path"].as_str() else { continue };
        let bytes = person.download(path).await?;
        let header = image::sniff(&mut std::io::Cursor::new(&bytes))?;
        let (width, height) = (u64::from(header.size.width), u64::from(header.size.height));
        ensure!(
            image["width"] == width && image["height"] == height && image["bytes"] == bytes.len(),
            "{path} is not what its row says: {} of {} bytes",
            header.size,
            bytes.len()
        );
        let ratio = image["aspect_ratio"].as_str().unwrap_or_default();
        let (across, down) = ratio
            .split_once(':')
            .and_then(|(a, b)| Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?)))
            .unwrap_or((0, 1));
        ensure!(width * down == height * across, "{path} has {} pixels, which is not {ratio}", header.size);
        let name = format!(
            "variant-{}_{}_slide-{}.{}",
            image["variant"],
            ratio.replace(':', "x"),
            image["slide"],
            header.format.extension()
        );
        tokio::fs::write(folder.join(&name), &bytes).await.with_context(|| format!("{name} can't be written"))?;
        names.insert(name);
    }
    Ok(names.len())
}
