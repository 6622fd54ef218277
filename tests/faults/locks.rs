//! A client holds rows that the worker wants to write: the job that they are of waits, and no other.

use crate::invariants::{Cost, check};
use crate::scene::{Request, Scene};
use crate::steps::Step;

#[tokio::test]
async fn rows_that_a_client_holds_keep_nobody_else_waiting() {
    let scene = Scene::new().await;
    let worker = scene.worker_with(&[("CAROUSEL_DATABASE_CONNECTIONS", "1"), ("CAROUSEL_LEASE_SECONDS", "30")]).await;
    let held = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &worker, &held).await;
    let client = scene.deployment.project.admin().await;
    for hold in [
        "begin".to_owned(),
        format!("select from public.image_generation_jobs where id = '{}' for update", held.id),
        format!("select from public.generated_carousel_images where job_id = '{}' for update", held.id),
    ] {
        client.batch_execute(&hold).await.unwrap();
    }
    reached.let_go();
    worker.says("55P03").await;
    let other = Request::new(&scene, 2).await;
    other.submit().await;
    let job = scene.over(other.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    assert_eq!(scene.job(held.id).await.status, "processing");
    client.batch_execute("rollback").await.unwrap();
    let job = scene.over(held.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}\n{}", worker.log());
    check(&scene, Cost::default()).await;
}
