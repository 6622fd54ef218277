//! A worker is killed at every step, as by a machine that is gone from one moment to the next; another one takes its job up.

use crate::invariants::{Cost, check};
use crate::scene::{Request, Scene};
use crate::steps::Step;

/// Kills a worker at `step` and lets another one finish. What was finished is kept, and only what was in flight is paid again.
async fn killed_at(step: Step) {
    let scene = Scene::new().await;
    let mut first = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let reached = step.reach(&scene, &first, &request).await;
    let kept = finished(&scene).await;
    first.kill().await;
    let _second = scene.worker().await;
    reached.let_go();
    let since = std::time::Instant::now();
    let job = scene.over(request.id).await;
    println!("killed at {step:?}: over after {} ms as {job:?}", since.elapsed().as_millis());
    assert_eq!((job.status.as_str(), job.completed), ("completed", 3), "{job:?}");
    assert!(job.attempt <= 2, "{job:?}");
    assert!(finished(&scene).await.starts_with(&kept), "what was finished is not made again");
    let again = u64::from(step.is_paid_for());
    check(&scene, Cost { again, open: i64::from(step.has_open_call()), orphans: again as usize }).await;
}

/// The finished images in their order, as rows.
async fn finished(scene: &Scene) -> Vec<String> {
    let images = "select to_jsonb(image)::text from public.generated_carousel_images image where status = 'completed' order by slide";
    scene.rows(images, &[]).await.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_worker_killed_while_claiming_leaves_the_job_to_another() {
    killed_at(Step::Claiming).await;
}

#[tokio::test]
async fn a_worker_killed_while_fetching_sources_has_paid_nothing() {
    killed_at(Step::Fetching).await;
}

#[tokio::test]
async fn a_worker_killed_before_its_call_arrives_has_paid_nothing() {
    killed_at(Step::Calling).await;
}

#[tokio::test]
async fn a_worker_killed_while_the_provider_works_pays_at_most_one_call_again() {
    killed_at(Step::Generating).await;
}

#[tokio::test]
async fn a_worker_killed_while_reading_the_answer_pays_at_most_one_call_again() {
    killed_at(Step::Reading).await;
}

#[tokio::test]
async fn a_worker_killed_while_uploading_leaves_one_object_and_pays_at_most_one_call_again() {
    killed_at(Step::Uploading).await;
}

#[tokio::test]
async fn a_worker_killed_between_upload_and_record_leaves_one_object_with_a_row() {
    killed_at(Step::Uploaded).await;
}

#[tokio::test]
async fn a_worker_killed_while_recording_pays_at_most_one_call_again() {
    killed_at(Step::Recording).await;
}

#[tokio::test]
async fn a_worker_killed_while_finishing_pays_nothing_again() {
    killed_at(Step::Finishing).await;
}

#[tokio::test]
async fn a_worker_killed_while_renewing_loses_its_lease_in_time() {
    killed_at(Step::Renewing).await;
}

#[tokio::test]
async fn a_worker_killed_while_draining_leaves_the_job_to_another() {
    killed_at(Step::Draining).await;
}
