//! The system gives no more files and connections: what is paid for is kept, and the log names what mends it.

use crate::invariants::{Cost, check};
use crate::proxy::Hold;
use crate::scene::{Request, Scene};
use crate::steps::Step;

#[tokio::test]
async fn a_worker_without_a_file_to_open_waits_and_pays_nothing_for_it() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let (begun, late) = (Request::new(&scene, 3).await, Request::new(&scene, 1).await);
    let reached = Step::Recording.reach(&scene, &worker, &begun).await;
    let most = worker.limit_files(0);
    reached.let_go();
    // The next image's call needs a connection.
    worker.says("Too many open files (os error 24); raise the limit").await;
    late.submit().await;
    scene.until("select from public.image_generation_jobs where id = $1 and status <> 'pending'", &[&late.id]).await;
    worker.limit_files(most);
    for request in [begun, late] {
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_picture_that_is_paid_for_waits_for_a_file_to_be_free() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let supabase = &scene.ways.supabase;
    supabase.catch("/1-2-", Hold::Request);
    request.submit().await;
    supabase.caught().await;
    let most = worker.limit_files(0);
    supabase.cut();
    supabase.let_go();
    // The cut, and then at least one more that has no connection.
    worker.says("\"failed\":2").await;
    worker.limit_files(most);
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    check(&scene, Cost::default()).await;
}
