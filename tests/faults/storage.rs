//! Storage is away, slow, or lies: what may pass is tried again, and a picture that was paid for is not lost.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::invariants::{Cost, check};
use crate::proxy::{Hold, Mode};
use crate::scene::{Request, Scene};

const BUSY: &str = r#"{"statusCode":"503","error":"SlowDown","message":"later"}"#;
const PAGE: &str = "<html><body><center><h1>502 Bad Gateway</h1></center></body></html>";

#[tokio::test]
async fn what_storage_refuses_or_breaks_for_a_moment_is_done_again_and_paid_once() {
    let scene = Scene::new().await;
    let _worker = scene.worker_with(&[("CAROUSEL_JOBS", "20")]).await;
    let faults = scene.deployment.stack.storage().faults();
    let mut requests = Vec::new();
    for number in 0..10 {
        let request = Request::new(&scene, 1).await;
        let sources = format!("/object/authenticated/generated-carousels/{}/sources/", request.person.id);
        let images = format!("/object/generated-carousels/{}/jobs/", request.person.id);
        let (get, post) = (Method::GET, Method::POST);
        match number {
            0 => faults.answer(2, get, &sources, StatusCode::SERVICE_UNAVAILABLE, BUSY),
            1 => faults.answer(2, get, &sources, StatusCode::BAD_GATEWAY, PAGE),
            2 => faults.cut(2, get, &sources, 100),
            3 => faults.cut(1, get, &sources, 0),
            // Answered before the body was read, as Storage does.
            4 => faults.answer(2, post, &images, StatusCode::SERVICE_UNAVAILABLE, BUSY),
            5 => faults.answer(2, post, &images, StatusCode::BAD_GATEWAY, PAGE),
            // It says that all is well, and is not Storage.
            6 => faults.answer(2, post, &images, StatusCode::OK, PAGE),
            // Carried out, and not confirmed.
            7 => faults.cut(2, post, &images, 0),
            8 => faults.answer(1, post, &images, StatusCode::TOO_MANY_REQUESTS, BUSY),
            _ => faults.answer(1, post, &images, StatusCode::GATEWAY_TIMEOUT, ""),
        }
        request.submit().await;
        requests.push(request);
    }
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(scene.over(request.id).await.status, "completed", "fault {number}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_finished_picture_outlives_the_absence_of_storage() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let supabase = &scene.ways.supabase;
    supabase.catch("/1-2-", Hold::Request);
    request.submit().await;
    supabase.caught().await;
    supabase.go_away();
    supabase.let_go();
    // The cut, and then at least one more while it is away: what that is called is a matter of who is quicker.
    worker.says("\"failed\":2").await;
    // Back, and slow.
    supabase.set(Mode::Slow(Duration::from_millis(20)));
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn objects_of_a_deleted_job_go_although_storage_was_away() {
    let scene = Scene::new().await;
    let _worker = scene.worker().await;
    let request = Request::new(&scene, 2).await;
    request.submit().await;
    assert_eq!(scene.over(request.id).await.status, "completed");
    let faults = scene.deployment.stack.storage().faults();
    faults.answer(1, Method::DELETE, "/object/generated-carousels", StatusCode::SERVICE_UNAVAILABLE, BUSY);
    request.delete().await;
    let tried = "select from carousel_private.storage_cleanup where attempts = 1 having count(*) = 2";
    scene.until(tried, &[]).await;
    // As if the pause before the next try were over.
    scene.rows("update carousel_private.storage_cleanup set due_at = now()", &[]).await;
    scene.until("select from carousel_private.storage_cleanup having count(*) = 0", &[]).await;
    assert_eq!(scene.count("select count(*) from storage.objects where name like '%/jobs/%'", &[]).await, 0);
    assert_eq!(check(&scene, Cost { again: 2, ..Cost::default() }).await.jobs, 0);
}

/// What the real Storage says at both addresses of an object: with a token that it does not take, and without a bucket.
const NO_BUCKET: &str =
    r#"{"statusCode":"404","error":"Bucket not found","code":"NoSuchBucket","message":"Bucket not found"}"#;
const NO_TOKEN: &str =
    r#"{"statusCode":"403","error":"Unauthorized","code":"AccessDenied","message":"Invalid Compact JWS"}"#;
const OLD_TOKEN: &str =
    r#"{"statusCode":"403","error":"Unauthorized","message":"\"exp\" claim timestamp check failed"}"#;

#[tokio::test]
async fn a_key_that_storage_no_longer_takes_and_a_bucket_that_is_gone_let_jobs_wait_and_blame_no_owner() {
    let scene = Scene::new().await;
    let _worker = scene.worker().await;
    let faults = scene.deployment.stack.storage().faults();
    let resume = "update carousel_private.provider_budget set paused_until = null, paused_reason = null";
    for (said, named) in
        [(NO_TOKEN, "SUPABASE_SECRET_KEY"), (OLD_TOKEN, "SUPABASE_SECRET_KEY"), (NO_BUCKET, "carousel migrate")]
    {
        // Without `authenticated` a bad token is nobody's, to whom a private bucket is not there.
        faults.answer(100, Method::GET, "/object/generated-carousels/", StatusCode::BAD_REQUEST, NO_BUCKET);
        faults.answer(100, Method::GET, "/object/authenticated/", StatusCode::BAD_REQUEST, said);
        let request = Request::new(&scene, 1).await;
        request.submit().await;
        scene
            .until(
                "select from carousel_private.provider_budget where paused_until > now() + interval '4 minutes'",
                &[],
            )
            .await;
        let waits =
            "select from public.image_generation_jobs where id = $1 and status = 'pending' and error_code is null";
        scene.until(waits, &[&request.id]).await;
        let why = scene.rows("select paused_reason from carousel_private.provider_budget", &[]).await;
        let why: String = why[0].get(0);
        assert!(why.contains(named) && !why.contains(&request.person.id.to_string()), "{why}");
        faults.clear();
        scene.rows(resume, &[]).await;
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{said}: {job:?}");
    }
    check(&scene, Cost::default()).await;
}
