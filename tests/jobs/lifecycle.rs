//! Beginnings and ends: templates, cancel, retry, delete, several workers, drain.

use std::collections::HashSet;
use std::time::Duration;

use carousel::worker;
use serde_json::json;

use crate::deployment::Deployment;

#[tokio::test]
async fn a_template_fills_what_a_job_leaves_out() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let first = person.submit(&json!({ "prompt": "a cup", "source_paths": [source], "aspect_ratios": ["4:5"] })).await;
    let template = person.over(&first).await["template_id"].clone();
    let second = person.submit(&json!({ "template_id": template, "prompt": "another cup" })).await;
    let job = person.over(&second).await;
    assert_eq!(
        (&job["status"], &job["source_paths"], &job["aspect_ratios"]),
        (&json!("completed"), &json!([source]), &json!(["4:5"]))
    );
    let (_, templates) = person.rest("GET", "image_generation_templates", None).await;
    assert_eq!((templates.as_array().unwrap().len(), &templates[0]["use_count"]), (1, &json!(2)));
}

#[tokio::test]
async fn the_sources_of_a_deleted_template_leave_the_bucket_unless_a_job_names_them() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let (named, unnamed) = (person.photo().await, person.photo().await);
    person.submit(&json!({ "prompt": "a cup", "source_paths": [named] })).await;
    let template = json!({ "name": "both", "source_paths": [named, unnamed] });
    assert_eq!(person.rest("POST", "image_generation_templates", Some(&template)).await.0, 201);
    assert_eq!(person.rest("DELETE", "image_generation_templates?name=not.is.null", None).await.0, 200);
    let admin = deployment.project.admin().await;
    admin.batch_execute("update carousel_private.storage_cleanup set due_at = now()").await.unwrap();
    let _worker = deployment.worker();
    let waiting = "select count(*) from carousel_private.storage_cleanup";
    while admin.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let left = "select array_agg(name) from storage.objects where name like '%/sources/%'";
    assert_eq!(admin.query_one(left, &[]).await.unwrap().get::<_, Vec<String>>(0), [named]);
}

#[tokio::test]
async fn a_running_job_is_cancelled_and_keeps_what_is_finished() {
    let deployment = Deployment::new().await;
    let (mut pipeline, worker) = deployment.settings();
    pipeline.calls_per_job = 1;
    let _worker = deployment.start(pipeline, worker);
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.hold();
    let job = person
        .submit(&json!({ "prompt": "a cup", "slide_prompts": ["one", "two", "three"], "source_paths": [source] }))
        .await;
    deployment.openai.reached(1).await;
    deployment.openai.release();
    deployment.openai.hold();
    deployment.openai.reached(2).await;
    let wish = json!({ "cancel_requested_at": "2026-01-01T00:00:00Z" });
    let (status, _) = person.rest("PATCH", &format!("image_generation_jobs?id=eq.{job}"), Some(&wish)).await;
    assert_eq!(status, 200);
    let row = person.over(&job).await;
    assert_eq!(row["status"], "cancelled");
    let statuses: Vec<_> = person.images(&job).await.iter().map(|image| image["status"].clone()).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == "completed").count() as i64,
        row["completed_images"].as_i64().unwrap()
    );
    assert!(statuses.iter().any(|status| *status == "cancelled"), "{statuses:?}");
    assert_eq!(deployment.openai.calls().len(), 2, "the third image was never begun");
}

#[tokio::test]
async fn a_deleted_job_stops_and_its_objects_go() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let done = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    person.over(&done).await;
    let path = person.images(&done).await[0]["storage_path"].as_str().unwrap().to_owned();
    deployment.openai.hold();
    let running = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    deployment.openai.reached(2).await;
    let (status, _) = person.rest("DELETE", &format!("image_generation_jobs?id=in.({done},{running})"), None).await;
    assert_eq!(status, 200);
    deployment.openai.release();
    // The worker is free again: another job is made, and the deleted one left nothing.
    let next = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    assert_eq!(person.over(&next).await["status"], "completed");
    let admin = deployment.project.admin().await;
    let count = async |sql: &str| admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    while count("select count(*) from carousel_private.storage_cleanup").await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let left = "select count(*) from storage.objects where name like '%/jobs/%'";
    assert_eq!(count(left).await, 1, "only the last job's image is left");
    let gone = admin.query_one("select count(*) from storage.objects where name = $1", &[&path]).await.unwrap();
    assert_eq!(gone.get::<_, i64>(0), 0);
    assert_eq!(count("select count(*) from carousel_private.leases").await, 0);
}

#[tokio::test]
async fn two_workers_share_many_jobs_and_never_work_on_the_same_one() {
    let deployment = Deployment::new().await;
    let workers = [deployment.worker(), deployment.worker()];
    let person = deployment.person().await;
    let source = person.photo().await;
    let rows: Vec<_> =
        (0..20).map(|number| json!({ "prompt": format!("cup {number}"), "source_paths": [source] })).collect();
    let (status, inserted) = person.rest("POST", "image_generation_jobs", Some(&json!(rows))).await;
    assert_eq!(status, 201, "{inserted}");
    let jobs: Vec<String> =
        inserted.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    for job in &jobs {
        assert_eq!(person.over(job).await["status"], "completed");
    }
    let calls = deployment.openai.calls();
    let prompts: HashSet<_> = calls.iter().map(|call| call.prompt().to_owned()).collect();
    assert_eq!((calls.len(), prompts.len()), (20, 20), "each image was paid once");
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_draining_worker_finishes_its_image_and_gives_the_rest_back() {
    let deployment = Deployment::new().await;
    let (mut pipeline, settings) = deployment.settings();
    pipeline.calls_per_job = 1;
    let mut first = deployment.start(pipeline, settings);
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.hold();
    let job = person
        .submit(&json!({ "prompt": "a cup", "slide_prompts": ["one", "two", "three"], "source_paths": [source] }))
        .await;
    deployment.openai.reached(1).await;
    first.ask_to_drain();
    let admin = deployment.project.admin().await;
    while admin.query("select from carousel_private.workers where state = 'draining'", &[]).await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    deployment.openai.release();
    first.drain().await;
    let row = person.job(&job).await;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("pending"), &json!(0)), "given back, with its attempt");
    let made = person.images(&job).await.iter().filter(|image| image["status"] == "completed").count();
    assert_eq!((made, deployment.openai.calls().len()), (1, 1), "the image that ran is finished, no other begun");

    let _second = deployment.worker();
    assert_eq!(person.over(&job).await["status"], "completed");
    assert_eq!(deployment.openai.calls().len(), 3, "nothing was paid twice");
}

#[tokio::test]
async fn what_is_still_running_after_the_grace_period_is_given_back() {
    let deployment = Deployment::new().await;
    let (pipeline, mut settings) = deployment.settings();
    settings.grace = std::time::Duration::ZERO;
    let worker = deployment.start(pipeline, settings);
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.hold();
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    deployment.openai.reached(1).await;
    worker.drain().await;
    assert_eq!(person.job(&job).await["status"], "pending");
    assert_eq!(person.images(&job).await[0]["status"], "pending");
    deployment.openai.release();
    let _second = deployment.worker();
    assert_eq!(person.over(&job).await["status"], "completed");
    let open = "select count(*) from carousel_private.provider_calls where finished_at is null";
    let open: i64 = deployment.project.owner.query_one(open, &[]).await.unwrap().get(0);
    assert_eq!(open, 1, "the call that was given up shows as perhaps paid for nothing");
}

#[tokio::test]
async fn a_scheduled_job_starts_by_itself_when_it_is_due() {
    let deployment = Deployment::new().await;
    let (pipeline, mut settings) = deployment.settings();
    // The look every few seconds must not be what finds it.
    settings.poll = std::time::Duration::from_secs(3600);
    let _worker = deployment.start(pipeline, settings);
    let person = deployment.person().await;
    let source = person.photo().await;
    let soon = "now() + interval '700 milliseconds'";
    let at: String = deployment.project.owner.query_one(&format!("select ({soon})::text"), &[]).await.unwrap().get(0);
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source], "run_at": at })).await;
    let row = person.over(&job).await;
    assert_eq!(row["status"], "completed");
    assert!(row["started_at"].as_str() >= row["run_at"].as_str(), "{row}");
}

#[tokio::test]
async fn a_worker_whose_renewals_have_ended_claims_no_more_and_says_why() {
    let deployment = Deployment::new().await;
    let (pipeline, settings) = deployment.settings();
    // No clock ticks every third of nothing: the task panics.
    let mut worker = deployment.start(pipeline, worker::Settings { lease: Duration::ZERO, ..settings });
    let ended = worker.ended().await.expect_err("it can't go on");
    assert_eq!(ended.name, "the renewal of leases");
    assert!(ended.how.contains("panicked"), "{ended}");
    let workers = "select state from carousel_private.workers";
    assert_eq!(deployment.project.owner.query_one(workers, &[]).await.unwrap().get::<_, String>(0), "stopped");
}
