//! The queue against a real PostgreSQL: who gets which job, and what a lost lease can still do.

mod billed;
mod budget;
mod claims;
mod cleanup;
mod connections;
mod endings;
mod gathered;
mod heartbeat;
mod leases;
mod listener;
mod lookups;
mod not_started;
mod published;
mod sharing;
mod spending;

use std::time::Duration;

use carousel::job::{Format, Size};
use carousel::queue::{Begun, CallId, Error, Lease, Objects, Queue, Recorded, Settings};
use carousel_support::project;
use project::Project;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(30);

fn queue(project: &Project) -> Queue {
    let database = project.worker_url().parse().expect("it is a connection string");
    Queue::new(&Settings { database, certificates: Vec::new(), connections: 4 }).expect("a pool can be made")
}

/// Inserts a job as its signed-in owner, with `more` columns and their values.
async fn insert(project: &Project, user: Uuid, more: &str) -> Uuid {
    let client = project.signed_in(user).await;
    let (columns, values) = more.split_once('=').map_or(("", ""), |(columns, values)| (columns, values));
    let comma = if columns.is_empty() { "" } else { ", " };
    let sql = format!(
        "insert into public.image_generation_jobs (prompt, source_paths{comma}{columns}) values ('a cup', array['{user}/sources/a.png']{comma}{values}) returning id"
    );
    client.query_one(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

async fn claim(queue: &Queue, slots: usize) -> Vec<Lease> {
    queue.claim_jobs(Uuid::new_v4(), slots, LEASE).await.expect("jobs can be claimed")
}

async fn text(project: &Project, job: Uuid, column: &str) -> Option<String> {
    let sql = format!("select {column}::text from public.image_generation_jobs where id = $1");
    project.owner.query_one(&sql, &[&job]).await.expect("the job is there").get(0)
}

/// Records every image of the lease as the pipeline would.
async fn make_all(lease: &Lease) {
    for image in lease.start_job().await.expect("the lease holds") {
        make(lease, image.id).await.expect("the lease holds");
    }
}

/// A picture of this name, without previews.
fn objects(name: &str) -> Objects<'_> {
    Objects { name, previews: 0 }
}

/// Begins a call, which is unlike any other by its name.
async fn begin(lease: &Lease, image: Uuid) -> Result<CallId, Error> {
    begin_as(lease, image, &format!("{}.png", Uuid::new_v4())).await
}

async fn begin_as(lease: &Lease, image: Uuid, name: &str) -> Result<CallId, Error> {
    match lease.begin_call(image, objects(name), "gpt-image-2", Some("low"), "a cup", Some(53_000)).await? {
        Begun::Call(call) => Ok(call),
        other => panic!("nothing keeps it from being made: {other:?}"),
    }
}

async fn make(lease: &Lease, image: Uuid) -> Result<(), Error> {
    let call = begin_as(lease, image, &format!("{image}.png")).await?;
    record(lease, image, call).await
}

async fn record(lease: &Lease, image: Uuid, call: CallId) -> Result<(), Error> {
    let path = format!("{}/jobs/{}/{image}.png", lease.job.user_id, lease.job.id);
    let usage = serde_json::json!({ "total_tokens": 30, "output_tokens": 10, "input_tokens_details": { "text_tokens": 5, "image_tokens": 15 } });
    let made = Recorded {
        path: &path,
        thumbhash: "dGh1bWI=",
        size: Size { width: 1024, height: 1024 },
        bytes: 3,
        format: Format::Png,
        sha256: "00",
        usage: Some(&usage),
        cost: Some(53_000),
        duration: Duration::from_millis(12),
        request_id: Some("req_1"),
    };
    lease.record_image(image, call, &made).await
}
