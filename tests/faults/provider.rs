//! The provider resets, refuses in storms, or is away: what was not billed is paid once, and what was billed at most twice.

use std::time::Duration;

use carousel_local::openai::{ApiError, Fault, RetryAfter};

use crate::invariants::{Cost, check};
use crate::proxy::{Hold, Mode};
use crate::scene::{Request, Scene};
use crate::steps::{Step, billed};

#[tokio::test]
async fn what_was_lost_before_it_was_billed_is_paid_once() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let faults = [Fault::ResetEarly, Fault::HtmlPage(502), Fault::Refused(ApiError::server_is_overloaded())];
    for fault in faults {
        let told = format!("{fault:?}");
        scene.deployment.openai.faults().on("Slide 2 of 3", 1, fault);
        let request = Request::new(&scene, 3).await;
        request.submit().await;
        assert_eq!(scene.over(request.id).await.status, "completed", "{told}");
    }
    let request = Request::new(&scene, 3).await;
    let reached = Step::Calling.reach(&scene, &worker, &request).await;
    scene.ways.provider.cut();
    reached.let_go();
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    assert_eq!(check(&scene, Cost::default()).await.calls, 16, "each try has its row, and its end");
}

#[tokio::test]
async fn what_was_lost_after_it_was_billed_is_paid_once_more() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let faults = [Fault::ResetLate, Fault::ResetMidBody, Fault::Truncated];
    for (again, fault) in (1..).zip(faults) {
        let told = format!("{fault:?}");
        scene.deployment.openai.faults().on("Slide 2 of 3", 1, fault);
        let request = Request::new(&scene, 3).await;
        request.submit().await;
        assert_eq!(scene.over(request.id).await.status, "completed", "{told}");
        check(&scene, Cost { again, ..Cost::default() }).await;
    }
    for (again, step) in (4..).zip([Step::Generating, Step::Reading]) {
        let request = Request::new(&scene, 3).await;
        let reached = step.reach(&scene, &worker, &request).await;
        scene.ways.provider.cut();
        reached.let_go();
        assert_eq!(scene.over(request.id).await.status, "completed", "{step:?}");
        check(&scene, Cost { again, ..Cost::default() }).await;
    }
}

#[tokio::test]
async fn a_storm_of_429_over_three_workers_ends_with_every_image_paid_once() {
    let scene = Scene::new().await;
    let limited = ApiError::rate_limit_exceeded("gpt-image-2", 5, 1, Duration::from_millis(100));
    let limited = Fault::Refused(limited.retry_after(RetryAfter::Millis(100)));
    scene.deployment.openai.faults().on("", 25, limited);
    let storm = [("CAROUSEL_IMAGE_TRIES", "20"), ("CAROUSEL_CALLS_PER_JOB", "4"), ("CAROUSEL_JOBS", "2")];
    let _workers = [scene.worker_with(&storm).await, scene.worker_with(&storm).await, scene.worker_with(&storm).await];
    let mut requests = Vec::new();
    for _ in 0..6 {
        requests.push(Request::new(&scene, 3).await);
    }
    for request in &requests {
        request.submit().await;
    }
    for request in &requests {
        assert_eq!(scene.over(request.id).await.status, "completed");
    }
    // The place for the shared budget: here it will be seen that all three slowed down.
    let books = check(&scene, Cost::default()).await;
    assert_eq!((books.images, books.billed, books.calls), (18, 18, 43));
}

#[tokio::test]
async fn a_provider_that_is_away_for_a_while_is_waited_for() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let provider = &scene.ways.provider;
    let request = Request::new(&scene, 3).await;
    provider.catch("Slide 2 of 3", Hold::Request);
    request.submit().await;
    provider.caught().await;
    provider.go_away();
    provider.let_go();
    worker.says("an image is tried again").await;
    provider.set(Mode::Slow(Duration::from_millis(5)));
    assert_eq!(scene.over(request.id).await.status, "completed");
    billed(&scene, 3).await;
    check(&scene, Cost::default()).await;
}
