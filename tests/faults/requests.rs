//! What an owner may want while a worker is at it: cancel, delete, retry.

use std::time::{Duration, Instant};

use carousel_local::openai::{ApiError, Fault, RetryAfter};

use crate::invariants::{Cost, check};
use crate::scene::{Request, Scene, soon};
use crate::steps::Step;

#[tokio::test]
async fn a_job_cancelled_at_any_step_drops_its_call_and_keeps_what_is_finished() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let steps = [Step::Fetching, Step::Calling, Step::Generating, Step::Reading, Step::Uploading, Step::Uploaded];
    for step in steps {
        let request = Request::new(&scene, 3).await;
        let reached = step.reach(&scene, &worker, &request).await;
        let since = Instant::now();
        request.cancel().await;
        soon("the call is dropped", scene.ways.provider.unused()).await;
        let dropped = since.elapsed();
        let job = scene.over(request.id).await;
        println!("cancelled at {step:?}: call dropped after {dropped:?}, job over after {:?}", since.elapsed());
        let finished = i32::from(step != Step::Fetching);
        assert_eq!((job.status.as_str(), job.completed), ("cancelled", finished), "{step:?}: {job:?}");
        // Nothing was let go before it was over: the worker waited for nobody.
        reached.let_go();
    }
    // Every step but the first has one call in flight, and the last two an upload.
    check(&scene, Cost { again: 4, open: 5, orphans: 2 }).await;
}

#[tokio::test]
async fn a_job_cancelled_while_it_waits_for_its_next_try_does_not_wait() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let limited = ApiError::rate_limit_exceeded("gpt-image-2", 5, 1, Duration::from_secs(50));
    let limited = Fault::Refused(limited.retry_after(RetryAfter::Seconds(50)));
    scene.deployment.openai.faults().on("Slide 2 of 3", 1, limited);
    let request = Request::new(&scene, 3).await;
    request.submit().await;
    worker.says("an image is tried again").await;
    request.cancel().await;
    let job = soon("the job is over", scene.over(request.id)).await;
    assert_eq!((job.status.as_str(), job.completed), ("cancelled", 1));
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_job_deleted_at_any_step_is_left_and_its_objects_go() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    for (jobs, step) in (1..).zip([Step::Fetching, Step::Generating, Step::Uploading]) {
        let request = Request::new(&scene, 3).await;
        let reached = step.reach(&scene, &worker, &request).await;
        request.delete().await;
        soon("the call is dropped", scene.ways.provider.unused()).await;
        let left = async {
            while worker.log().matches("job left").count() < jobs {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("the worker leaves the job", left).await;
        reached.let_go();
    }
    let next = Request::new(&scene, 1).await;
    next.submit().await;
    assert_eq!(scene.over(next.id).await.status, "completed", "the worker goes on");
    scene.until("select from carousel_private.storage_cleanup having count(*) = 0", &[]).await;
    let books = check(&scene, Cost { again: 4, open: 2, orphans: 1 }).await;
    let objects = scene.count("select count(*) from storage.objects where name like '%/jobs/%'", &[]).await;
    assert_eq!(objects, 1 + books.orphans.len() as i64, "what had a row is gone");
}

#[tokio::test]
async fn a_retry_whose_worker_is_killed_makes_only_what_had_failed() {
    let scene = Scene::new().await;
    let mut first = scene.worker().await;
    scene.deployment.openai.faults().on("Slide 2 of 3", 1, Fault::Refused(ApiError::moderation_blocked()));
    let request = Request::new(&scene, 3).await;
    request.submit().await;
    assert_eq!(scene.over(request.id).await.status, "partial");
    let kept = "select jsonb_agg(to_jsonb(image) order by slide)::text from public.generated_carousel_images image where slide <> 2";
    let before: String = scene.rows(kept, &[]).await[0].get(0);
    scene.deployment.openai.hold();
    request.retry().await;
    crate::steps::billed(&scene, 3).await;
    first.kill().await;
    scene.deployment.openai.release();
    let _second = scene.worker().await;
    assert_eq!(scene.over(request.id).await.status, "completed");
    assert_eq!(scene.rows(kept, &[]).await[0].get::<_, String>(0), before, "the others were not touched");
    check(&scene, Cost::one()).await;
}
