//! Several workers: replaced under load, one of them paused for good, or lost one after the other to the same job.

use crate::invariants::{Cost, check};
use crate::refusals::{FOR_EVER, refuse};
use crate::scene::{Request, Scene};
use crate::steps::billed;

#[tokio::test]
async fn a_rolling_restart_of_three_workers_loses_nothing_and_pays_nothing_twice() {
    let scene = Scene::new().await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(scene.worker_with(&[("CAROUSEL_JOBS", "2")]).await);
    }
    let mut requests = Vec::new();
    for _ in 0..12 {
        requests.push(Request::new(&scene, 2).await);
    }
    let mut waiting = requests.iter();
    for old in &mut workers {
        for request in waiting.by_ref().take(4) {
            request.submit().await;
        }
        let next = scene.worker_with(&[("CAROUSEL_JOBS", "2")]).await;
        let mut old = std::mem::replace(old, next);
        old.ask_to_end();
        assert_eq!(old.ended().await, Some(0), "{}", old.log());
    }
    for request in &requests {
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    }
    let books = check(&scene, Cost::default()).await;
    assert_eq!((books.images, books.billed, books.calls), (24, 24, 24));
}

#[tokio::test]
async fn a_job_that_ends_its_workers_fails_with_a_code_after_its_attempts() {
    let scene = Scene::new().await;
    let attempts = [("CAROUSEL_JOB_ATTEMPTS", "2")];
    let request = Request::new(&scene, 2).await;
    scene.deployment.openai.hold();
    request.submit().await;
    for lost in 1..=2 {
        let mut worker = scene.worker_with(&attempts).await;
        billed(&scene, lost).await;
        worker.kill().await;
    }
    let _third = scene.worker_with(&attempts).await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.code.as_deref(), job.attempt), ("failed", Some("worker_lost"), 2));
    scene.deployment.openai.release();
    let books = check(&scene, Cost { again: 2, open: 2, orphans: 0 }).await;
    assert_eq!(books.billed, 2, "the third worker left it alone");
}

#[tokio::test]
async fn a_poisonous_job_keeps_what_it_had_with_its_price() {
    let scene = Scene::new().await;
    let attempts = [("CAROUSEL_JOB_ATTEMPTS", "1")];
    let mut first = scene.worker_with(&attempts).await;
    let request = Request::new(&scene, 3).await;
    let reached = crate::steps::Step::Generating.reach(&scene, &first, &request).await;
    first.kill().await;
    let _second = scene.worker_with(&attempts).await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.code.as_deref(), job.completed), ("partial", Some("worker_lost"), 1));
    reached.let_go();
    check(&scene, Cost::one()).await;
}

#[tokio::test]
async fn a_cancelled_job_whose_worker_is_lost_ends_cancelled_with_its_counters() {
    use carousel_local::openai::{ApiError, Fault};
    let scene = Scene::new().await;
    scene.deployment.openai.faults().on("Slide 1 of 3", 1, Fault::Refused(ApiError::moderation_blocked()));
    let mut first = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let stalled = scene.deployment.stack.storage().faults().stall(
        1,
        reqwest::Method::POST,
        &format!("/object/generated-carousels/{}/jobs/", request.person.id),
    );
    request.submit().await;
    stalled.holds(1).await;
    first.pause();
    request.cancel().await;
    first.kill().await;
    stalled.release();
    let _second = scene.worker().await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.completed), ("cancelled", 0), "{job:?}");
    check(&scene, Cost::one()).await;
}

#[tokio::test]
async fn the_jobs_of_a_worker_that_is_paused_for_good_are_made_by_the_other() {
    let scene = Scene::new().await;
    let first = scene.worker().await;
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(Request::new(&scene, 2).await);
    }
    scene.deployment.openai.hold();
    for request in &requests {
        request.submit().await;
    }
    billed(&scene, 4).await;
    first.pause();
    scene.deployment.openai.release();
    let _second = scene.worker().await;
    for request in &requests {
        assert_eq!(scene.over(request.id).await.status, "completed");
    }
    check(&scene, Cost { again: 4, open: 4, orphans: 4 }).await;
}

#[tokio::test]
async fn a_lost_job_whose_rows_can_not_be_written_keeps_no_other_from_being_taken_up() {
    let scene = Scene::new().await;
    let mut first = scene.worker().await;
    let (stuck, other) = (Request::new(&scene, 1).await, Request::new(&scene, 1).await);
    scene.deployment.openai.hold();
    stuck.submit().await;
    other.submit().await;
    billed(&scene, 2).await;
    first.kill().await;
    let jobs = "public.image_generation_jobs";
    let when = format!("new.id = '{}' and new.status = 'pending'", stuck.id);
    refuse(&scene, jobs, &when, "23514", FOR_EVER).await;
    scene.deployment.openai.release();
    let _second = scene.worker().await;
    assert_eq!(scene.over(other.id).await.status, "completed");
    scene.rows(&format!("drop trigger refuse on {jobs}"), &[]).await;
    assert_eq!(scene.over(stuck.id).await.status, "completed");
    check(&scene, Cost { again: 2, open: 2, orphans: 2 }).await;
}
