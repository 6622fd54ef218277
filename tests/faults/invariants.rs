//! What must hold when the dust has settled, whatever was struck.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::deployment::OPENAI_KEY;
use crate::scene::{HUSH, Scene};

/// What the faults of a test may cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Calls that may have been paid for nothing: at most those in flight when a worker was struck.
    pub again: u64,
    /// Calls that may stay without an end.
    pub open: i64,
    /// Objects without a row, which the sweep is to find.
    pub orphans: usize,
}

impl Cost {
    /// Of one call that was in flight.
    pub fn one() -> Self {
        Self { again: 1, open: 1, orphans: 1 }
    }
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub jobs: i64,
    pub images: i64,
    pub billed: u64,
    pub calls: i64,
    pub open: i64,
    pub orphans: Vec<String>,
}

/// Rows that must not be there, and what is wrong with them.
const WRONG: [(&str, &str); 7] = [
    ("a job is not over", "select to_jsonb(job) from public.image_generation_jobs job where finished_at is null"),
    ("a lease is left", "select to_jsonb(lease) from carousel_private.leases lease"),
    ("a row of the queue is left", "select to_jsonb(queue) from carousel_private.queue"),
    (
        "an image of a job that is over is not",
        "select to_jsonb(image) from public.generated_carousel_images image where status in ('pending', 'generating')",
    ),
    (
        "a job's counters or its cost are not those of its images",
        "select jsonb_build_object('job', to_jsonb(job), 'completed', completed, 'failed', failed, 'cost', cost)
         from public.image_generation_jobs job
         cross join lateral (
             select count(*) filter (where image.status = 'completed') as completed,
                 count(*) filter (where image.status = 'failed') as failed,
                 count(*) as images,
                 coalesce(sum(image.cost_usd) filter (where image.status = 'completed'), 0) as cost
             from public.generated_carousel_images image where image.job_id = job.id
         ) as image
         where (completed, failed) <> (completed_images, failed_images) or cost <> cost_usd
             or images <> total_images and (images > 0 or job.status <> 'cancelled')",
    ),
    (
        "an image was paid and recorded twice, or recorded without its call",
        "select jsonb_build_object('image', image.id, 'calls', count(call.id))
         from public.generated_carousel_images image
         left join carousel_private.provider_calls call on call.image_id = image.id and call.outcome = 'completed'
         where image.status = 'completed'
         group by image.id having count(call.id) <> 1",
    ),
    (
        "an image has no object of its own",
        "select to_jsonb(image) from public.generated_carousel_images image
         where image.status = 'completed' and 1 <> (
             select count(*) from storage.objects object where object.bucket_id = 'generated-carousels' and object.name = image.storage_path
         )",
    ),
];

/// Objects among the generated ones that no row names and nobody has written down for removal, before the sweep.
const ORPHANS: &str = "select name from storage.objects object
    where name like '%/jobs/%'
        and not exists (select from public.generated_carousel_images image where object.name in (image.storage_path, image.preview_path))
        and not exists (select from carousel_private.storage_cleanup debris where debris.path = object.name)
    order by name";

/// Everything that is wrong, in words.
pub async fn faults(scene: &Scene, cost: Cost) -> (Books, Vec<String>) {
    let mut wrong = Vec::new();
    for (what, sql) in WRONG {
        for row in scene.rows(sql, &[]).await {
            wrong.push(format!("{what}: {}", row.get::<_, serde_json::Value>(0)));
        }
    }
    let mut books = Books { billed: scene.deployment.openai.billed(), ..Books::default() };
    books.jobs = scene.count("select count(*) from public.image_generation_jobs", &[]).await;
    let calls =
        "select count(*), count(*) filter (where finished_at is null), count(*) filter (where outcome = 'completed')
                 from carousel_private.provider_calls";
    let calls = scene.rows(calls, &[]).await.remove(0);
    (books.calls, books.open, books.images) = (calls.get(0), calls.get(1), calls.get(2));
    if books.billed > u64::try_from(books.calls).unwrap_or(0) {
        wrong.push(format!("{} pictures were billed, and only {} calls were written down", books.billed, books.calls));
    }
    if books.billed > u64::try_from(books.images).unwrap_or(0) + cost.again {
        wrong.push(format!(
            "{} pictures were billed for {} images, with {} to spare",
            books.billed, books.images, cost.again
        ));
    }
    if books.open > cost.open {
        wrong.push(format!("{} calls have no end, where {} may", books.open, cost.open));
    }
    books.orphans = scene.rows(ORPHANS, &[]).await.iter().map(|row| row.get(0)).collect();
    if books.orphans.len() > cost.orphans {
        wrong.push(format!("objects that no row names, where {} may be: {:#?}", cost.orphans, books.orphans));
    }
    let swept = scene.rows("select carousel_private.sweep_objects(interval '0')", &[]).await[0].get::<_, i32>(0);
    if usize::try_from(swept) != Ok(books.orphans.len()) {
        wrong.push(format!("the sweep found {swept} objects where no row names these: {:#?}", books.orphans));
    }
    wrong.extend(digests(scene).await);
    wrong.extend(logs(scene));
    (books, wrong)
}

/// Panics with all that is wrong.
pub async fn check(scene: &Scene, cost: Cost) -> Books {
    let (books, wrong) = faults(scene, cost).await;
    if !wrong.is_empty() {
        panic!("{}\n\n{}\n{}", wrong.join("\n"), scene.state().await, tails(scene));
    }
    books
}

/// Completed images whose objects hold other bytes than their rows say.
async fn digests(scene: &Scene) -> Vec<String> {
    let mut wrong = Vec::new();
    let stack = &scene.deployment.stack;
    let images = "select storage_path, sha256, bytes from public.generated_carousel_images where status = 'completed'";
    for row in scene.rows(images, &[]).await {
        let (path, sha256, length) = (row.get::<_, &str>(0), row.get::<_, &str>(1), row.get::<_, i64>(2));
        let url = format!("{}/storage/v1/object/authenticated/generated-carousels/{path}", stack.url());
        let answer = scene.deployment.http.get(url).header("apikey", stack.secret_key()).send().await;
        let bytes = match answer {
            Ok(answer) if answer.status().is_success() => answer.bytes().await.unwrap_or_default(),
            other => {
                wrong.push(format!("{path} can't be read: {other:?}"));
                continue;
            }
        };
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if digest != sha256 || i64::try_from(bytes.len()) != Ok(length) {
            wrong.push(format!(
                "{path} holds {} bytes with digest {digest}, its row says {length} and {sha256}",
                bytes.len()
            ));
        }
    }
    wrong
}

/// Every log that a worker of this scene has written.
fn all_logs(scene: &Scene) -> HashMap<String, String> {
    let files = std::fs::read_dir(scene.deployment.folder()).expect("the folder can be listed");
    files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("worker-")))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

/// Lines that tell a secret, or that are no line of ours.
fn logs(scene: &Scene) -> Vec<String> {
    let secret = scene.deployment.stack.secret_key();
    let mut wrong = Vec::new();
    for line in all_logs(scene).values().flat_map(|log| log.lines()) {
        // A worker that was killed in the middle of a line has none after it.
        let is_json = serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object());
        let tells = [secret, OPENAI_KEY, HUSH, "carousel_worker:"].iter().any(|hidden| line.contains(hidden));
        let failed = line.contains("panicked");
        if tells || failed || !(is_json || line.starts_with("carousel: ") || line.is_empty()) {
            wrong.push(format!("a line of a worker's log: {line}"));
        }
    }
    wrong
}

/// The last lines of each worker's log.
pub fn tails(scene: &Scene) -> String {
    all_logs(scene)
        .iter()
        .map(|(name, log)| {
            let lines: Vec<_> = log.lines().collect();
            format!("== {name}\n{}\n", lines[lines.len().saturating_sub(25)..].join("\n"))
        })
        .collect()
}
