//! The database has no connection to give any more: a worker has what it needs before its first claim, and claims nothing it couldn't keep.

use crate::invariants::{Cost, check};
use crate::process::Worker;
use crate::scene::{Request, Scene};

const OURS: &str = "from pg_stat_activity where datname = current_database() and usename = 'carousel_worker'";

/// A worker with one connection for its writes, which has looked round once.
async fn worker(scene: &Scene) -> Worker {
    let worker = scene.worker_with(&[("CAROUSEL_DATABASE_CONNECTIONS", "1")]).await;
    scene.until("select from carousel_private.workers", &[]).await;
    scene.until(&format!("select {OURS} and query like 'listen %'"), &[]).await;
    worker
}

/// Lets the database give no more connections to anybody but the superuser; or as many as they like again.
async fn limit(scene: &Scene, most: i32) {
    let database = &scene.deployment.project.database;
    scene.rows(&format!("alter database {database} connection limit {most}"), &[]).await;
}

/// Inserts a job for which the API would need a connection.
async fn insert(scene: &Scene, request: &Request<'_>) {
    let insert = "insert into public.image_generation_jobs (id, user_id, prompt, source_paths)
        select $1, $2::uuid, 'a cup', array[name] from storage.objects where name like $2::uuid::text || '/sources/%'";
    scene.rows(insert, &[&request.id, &request.person.id]).await;
}

#[tokio::test]
async fn leases_are_renewed_although_no_connection_is_to_be_had_any_more() {
    let scene = Scene::new().await;
    let request = Request::new(&scene, 1).await;
    let worker = worker(&scene).await;
    limit(&scene, 0).await;
    scene.deployment.openai.hold();
    insert(&scene, &request).await;
    scene.until("select from carousel_private.leases where leased_until > leased_at + interval '4 seconds'", &[]).await;
    scene.deployment.openai.release();
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}\n{}", worker.log());
    check(&scene, Cost::default()).await;
    limit(&scene, -1).await;
}

#[tokio::test]
async fn no_job_is_claimed_while_its_lease_could_not_be_renewed() {
    let scene = Scene::new().await;
    let (first, second) = (Request::new(&scene, 1).await, Request::new(&scene, 1).await);
    let worker = worker(&scene).await;
    // So that it is known which connection renews.
    scene.deployment.openai.hold();
    insert(&scene, &first).await;
    let renewing = format!("{OURS} and query like '-- Prolongs the leases%'");
    scene.until(&format!("select {renewing}"), &[]).await;
    scene.deployment.openai.release();
    assert_eq!(scene.over(first.id).await.status, "completed");
    limit(&scene, 0).await;
    scene.rows(&format!("select pg_terminate_backend(pid, 5000) {renewing}"), &[]).await;
    insert(&scene, &second).await;
    worker.says("no jobs are claimed").await;
    assert_eq!(scene.job(second.id).await.status, "pending");
    limit(&scene, -1).await;
    let job = scene.over(second.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}\n{}", worker.log());
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_worker_that_finds_no_room_at_its_start_waits_for_it_before_it_claims() {
    let scene = Scene::new().await;
    let request = Request::new(&scene, 1).await;
    // The API has its own connection by now, which it is asked by at the start.
    request.person.rest("GET", "image_generation_jobs?select=id&limit=1", None).await;
    // Enough for the checks, which are made one after the other, and not for all that a worker keeps.
    let database = &scene.deployment.project.database;
    let busy = scene.count("select count(*) from pg_stat_activity where datname = current_database()", &[]).await;
    scene.rows(&format!("alter database {database} connection limit {}", busy + 2), &[]).await;
    let worker = scene.worker_over(&scene.ways, &[]);
    // The one that listens is looked for at the same time as the others: any of them may be without room.
    worker.says("53300").await;
    insert(&scene, &request).await;
    assert_eq!(scene.job(request.id).await.status, "pending");
    limit(&scene, -1).await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}\n{}", worker.log());
    check(&scene, Cost::default()).await;
}
