//! A worker is paused for longer than its lease, as by a machine that sleeps, and woken when another has done its work: it only seemed
//! dead, and now it must not write.

use crate::invariants::{Cost, check};
use crate::scene::{Request, Scene};
use crate::steps::{Reached, Step};

/// Pauses a worker at `step` until another one has finished its job, then wakes it.
async fn stopped_at(step: Step) {
    let scene = Scene::new().await;
    let first = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let mut reached = Some(step.reach(&scene, &first, &request).await);
    first.pause();
    if step == Step::Claiming {
        // No statement waits for a row for longer than half a second, and another worker's start may take as long.
        reached.take().into_iter().for_each(Reached::let_go);
        scene.until("select from carousel_private.leases", &[]).await;
    }
    let _second = scene.worker().await;
    reached.into_iter().for_each(Reached::let_go);
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.completed, job.attempt), ("completed", 3, 2), "{job:?}");
    let before = scene.state().await;
    first.wake();
    first.says("job left").await;
    assert_eq!(scene.state().await, before, "a late write has touched a row");
    let again = u64::from(step.is_paid_for());
    check(&scene, Cost { again, open: i64::from(step.has_open_call()), orphans: again as usize }).await;
}

#[tokio::test]
async fn a_worker_woken_after_its_claim_was_lost_writes_nothing() {
    stopped_at(Step::Claiming).await;
}

#[tokio::test]
async fn a_worker_woken_with_its_sources_writes_nothing() {
    stopped_at(Step::Fetching).await;
}

#[tokio::test]
async fn a_worker_woken_with_a_late_answer_writes_nothing() {
    stopped_at(Step::Generating).await;
}

#[tokio::test]
async fn a_worker_woken_with_a_late_upload_makes_no_second_object_for_its_image() {
    stopped_at(Step::Uploading).await;
}

#[tokio::test]
async fn a_worker_woken_while_it_records_begins_no_other_image() {
    stopped_at(Step::Recording).await;
}

#[tokio::test]
async fn a_worker_whose_network_was_frozen_writes_nothing_when_it_is_back() {
    let scene = Scene::new().await;
    let first = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &first, &request).await;
    for way in scene.ways.each() {
        way.set(crate::proxy::Mode::Frozen);
    }
    let ways = scene.ways().await;
    let _second = scene.worker_over(&ways, &[]).ready().await;
    reached.let_go();
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 2), "{job:?}");
    let before = scene.state().await;
    for way in scene.ways.each() {
        way.set(crate::proxy::Mode::Open);
    }
    first.says("job left").await;
    assert_eq!(scene.state().await, before, "a late write has touched a row");
    check(&scene, Cost::one()).await;
}

#[tokio::test]
async fn a_worker_that_takes_up_again_what_it_had_lost_keeps_it() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &worker, &request).await;
    worker.pause();
    scene.until("select from carousel_private.leases where leased_until < now()", &[]).await;
    // Somebody takes the job away who has no room for it.
    let database = scene.deployment.project.worker_url().parse().expect("it is a connection string");
    let settings = carousel::queue::Settings { database, certificates: Vec::new(), connections: 1 };
    let queue = carousel::queue::Queue::new(&settings).expect("a pool can be made");
    assert_eq!(queue.rescue_jobs(&[], false).await.expect("jobs can be rescued"), 1);
    worker.wake();
    // The first work on it ends after the second has begun: its call is still held.
    worker.says("\"attempt\":2").await;
    reached.let_go();
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 2), "{job:?}\n{}", worker.log());
    check(&scene, Cost::one()).await;
}
