//! What is wrong with the provider or the bucket as a whole: paid for as rarely as can be, and no job's fault.

use axum::http::{Method, StatusCode};
use carousel_local::openai::{ApiError, Fault};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person};

/// Images of a job; four of them are made at once.
const IMAGES: usize = 20;
const AT_ONCE: u64 = 4;

async fn submit(person: &Person<'_>, source: &str, more: Value) -> String {
    let slides: Vec<String> = (0..IMAGES).map(|slide| format!("view {slide}")).collect();
    let mut job = json!({ "prompt": "a cup", "source_paths": [source], "slide_prompts": slides });
    job.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    person.submit(&job).await
}

/// One picture that is made as it should be.
async fn succeed(person: &Person<'_>, source: &str) {
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    assert_eq!(person.over(&job).await["status"], "completed");
}

async fn end_pauses(deployment: &Deployment) {
    let end = "update carousel_private.provider_budget set paused_until = null";
    deployment.project.owner.execute(end, &[]).await.unwrap();
}

/// Who is left alone, and why; waits until somebody is.
async fn paused(deployment: &Deployment, person: &Person<'_>, job: &str) -> (String, String) {
    let row =
        person.until(job, |row| row["message"].as_str().is_some_and(|words| words.starts_with("Waiting until"))).await;
    assert_eq!((&row["status"], &row["attempt"]), (&json!("pending"), &json!(0)), "the job is given back: {row}");
    let row = "select provider, paused_reason from carousel_private.provider_budget where paused_until > now()";
    let row = deployment.project.owner.query_one(row, &[]).await.expect("somebody is left alone");
    (row.get(0), row.get(1))
}

async fn all_failed(person: &Person<'_>, job: &str, code: &str) {
    let row = person.over(job).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("failed"), &json!(code)), "{row}");
    let images = person.images(job).await;
    assert_eq!(images.len(), IMAGES);
    for image in &images {
        assert_eq!((&image["status"], &image["error_code"]), (&json!("failed"), &json!(code)), "{image}");
        assert_eq!(image["error_message"], images[0]["error_message"], "the same words for all");
    }
}

#[tokio::test]
async fn an_answer_that_no_image_could_use_is_paid_for_by_those_under_way_only() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let rows = [
        (Fault::Url, "answer_url_refused"),
        (Fault::WrongSize, "result_wrong_size"),
        (Fault::WrongFormat, "result_wrong_format"),
        (Fault::NotAnImage, "result_not_an_image"),
        (Fault::NotBase64, "answer_not_understood"),
        (Fault::Refused(ApiError::model_not_found("gpt-image-2")), "model_not_found"),
    ];
    for (fault, code) in rows {
        let before = deployment.openai.calls().len() as u64;
        deployment.openai.faults().on("", 1_000, fault);
        all_failed(&person, &submit(&person, &source, json!({})).await, code).await;
        let calls = deployment.openai.calls().len() as u64 - before;
        // An answer that is not understood may be a hiccup: it is tried once more, and nothing else meanwhile.
        assert!(calls <= AT_ONCE + u64::from(code == "answer_not_understood"), "{code}: {calls} calls");
        deployment.openai.faults().clear();
        succeed(&person, &source).await;
    }
    let paused = "select count(*) from carousel_private.provider_budget where paused_until is not null";
    let paused: i64 = deployment.project.owner.query_one(paused, &[]).await.unwrap().get(0);
    assert_eq!(paused, 0, "a success stands between");
}

#[tokio::test]
async fn a_hiccup_holds_the_others_back_and_spoils_none_of_them() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    for fault in [Fault::NotBase64, Fault::Compressed] {
        let before = deployment.openai.calls().len();
        deployment.openai.faults().next(fault);
        let job = submit(&person, &source, json!({})).await;
        assert_eq!(person.over(&job).await["status"], "completed");
        assert_eq!(deployment.openai.calls().len(), before + IMAGES + 1);
    }
}

#[tokio::test]
async fn a_provider_that_fails_job_after_job_is_left_alone_and_tried_with_one_image() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.faults().on("", 1_000, Fault::WrongSize);
    all_failed(&person, &submit(&person, &source, json!({})).await, "result_wrong_size").await;
    let first = deployment.openai.billed();

    let job = submit(&person, &source, json!({})).await;
    let (who, why) = paused(&deployment, &person, &job).await;
    assert_eq!(who, "openai");
    assert!(why.contains("CAROUSEL_MODEL"), "{why}");
    assert_eq!(deployment.openai.billed(), first + 1, "one image has told");

    // Nobody has mended it: one more image, and the job is over.
    end_pauses(&deployment).await;
    all_failed(&person, &job, "result_wrong_size").await;
    assert_eq!(deployment.openai.billed(), first + 2);

    // It is mended: the job that told so is made.
    end_pauses(&deployment).await;
    let job = submit(&person, &source, json!({})).await;
    paused(&deployment, &person, &job).await;
    deployment.openai.faults().clear();
    end_pauses(&deployment).await;
    assert_eq!(person.over(&job).await["status"], "completed");
    assert_eq!(deployment.openai.billed(), first + 3 + IMAGES as u64);
}

#[tokio::test]
async fn what_a_model_of_the_owners_choice_does_makes_nobody_wait() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    for _ in 0..3 {
        let before = deployment.openai.billed();
        deployment.openai.faults().on("", 1_000, Fault::WrongSize);
        let job = submit(&person, &source, json!({ "model": "gpt-image-2-2026-04-21" })).await;
        all_failed(&person, &job, "result_wrong_size").await;
        assert!(deployment.openai.billed() - before <= AT_ONCE);
        deployment.openai.faults().clear();
    }
    succeed(&person, &source).await;
}

#[tokio::test]
async fn a_bucket_that_takes_no_pictures_is_paid_for_once_and_looked_at_before_it_is_paid_again() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let admin = deployment.project.admin().await;
    admin.batch_execute("update storage.buckets set allowed_mime_types = '{image/webp}'").await.unwrap();
    all_failed(&person, &submit(&person, &source, json!({})).await, "storage_refused").await;
    let first = deployment.openai.billed();
    assert!(first <= AT_ONCE, "{first}");

    let job = submit(&person, &source, json!({})).await;
    let (who, why) = paused(&deployment, &person, &job).await;
    assert!(who == "storage" && why.contains("image/png") && why.contains("carousel doctor"), "{who}: {why}");
    assert_eq!(deployment.openai.billed(), first, "nothing is paid that the bucket would refuse");
    admin.batch_execute("update storage.buckets set allowed_mime_types = null").await.unwrap();
    end_pauses(&deployment).await;
    assert_eq!(person.over(&job).await["status"], "completed");
    assert_eq!(deployment.openai.billed(), first + IMAGES as u64);
}

#[tokio::test]
async fn a_bucket_whose_refusals_can_not_be_foreseen_is_tried_with_one_image() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let rows = [
        (403, "Unauthorized", "new row violates row-level security policy", "storage_denied"),
        (413, "Payload too large", "The object exceeded the maximum allowed size", "storage_refused"),
        (404, "Bucket not found", "Bucket not found", "storage_refused"),
    ];
    let faults = deployment.stack.storage();
    let jobs = format!("/object/generated-carousels/{}/jobs/", person.id);
    for (status, error, message, code) in rows {
        let refusal = json!({ "statusCode": status.to_string(), "error": error, "message": message }).to_string();
        faults.faults().answer(1_000, Method::POST, &jobs, StatusCode::BAD_REQUEST, &refusal);
        let before = deployment.openai.billed();
        all_failed(&person, &submit(&person, &source, json!({})).await, code).await;
        let first = deployment.openai.billed();
        assert!(first - before <= AT_ONCE, "{message}");
        let job = submit(&person, &source, json!({})).await;
        let (who, why) = paused(&deployment, &person, &job).await;
        assert!(who == "storage" && why.contains(message), "{who}: {why}");
        assert_eq!(deployment.openai.billed(), first + 1);
        faults.faults().clear();
        end_pauses(&deployment).await;
        assert_eq!(person.over(&job).await["status"], "completed");
    }
}

#[tokio::test]
async fn data_addresses_are_pictures() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    for (number, fault) in (1..).zip([Fault::DataAddress, Fault::DataUrl]) {
        for previews in [0, 2] {
            deployment.openai.faults().next(fault.clone());
            let job = json!({ "prompt": "a cup", "source_paths": [source], "partial_previews": previews });
            let job = person.submit(&job).await;
            assert_eq!(person.over(&job).await["status"], "completed", "{number} with {previews} previews");
        }
    }
    assert_eq!(deployment.openai.billed(), 4);
}

#[tokio::test]
async fn what_the_provider_says_to_a_chosen_model_keeps_nobody_elses_job_waiting() {
    let deployment = Deployment::new().await;
    let (mut pipeline, worker) = deployment.settings();
    pipeline.models = vec!["gpt-image-2.5-flare".to_owned()];
    let _worker = deployment.start(pipeline, worker);
    let (busy, other) = (deployment.person().await, deployment.person().await);
    let (source, others) = (busy.photo().await, other.photo().await);
    let hour = carousel_local::openai::RetryAfter::Seconds(3600);
    let limited = ApiError::rate_limit_exceeded("gpt-image-2.5-flare", 5, 1, std::time::Duration::from_secs(3600));
    let refusals = [
        ApiError::insufficient_quota("insufficient_quota"),
        ApiError::invalid_api_key("sk-..."),
        limited.retry_after(hour),
    ];
    for refusal in refusals {
        deployment.openai.faults().on("with another one", 1_000, Fault::Refused(refusal.clone()));
        let job = json!({ "prompt": "with another one", "source_paths": [source], "model": "gpt-image-2.5-flare", "aspect_ratios": ["1:1"] });
        let first = busy.submit(&job).await;
        let paused = "select count(*) from carousel_private.model_pauses where model = 'gpt-image-2.5-flare' and paused_until > now()";
        let mut looks = 0;
        while deployment.project.owner.query_one(paused, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            looks += 1;
            assert!(looks < 1_000, "{refusal:?}: {}", busy.job(&first).await);
        }
        busy.submit(&job).await;
        succeed(&other, &others).await;
        let keys = "select count(*) from carousel_private.provider_budget where paused_until > now()";
        assert_eq!(deployment.project.owner.query_one(keys, &[]).await.unwrap().get::<_, i64>(0), 0, "{refusal:?}");
        let (status, _) = busy.rest("DELETE", "image_generation_jobs?id=not.is.null", None).await;
        assert_eq!(status, 200, "{first}");
        deployment.project.owner.batch_execute("delete from carousel_private.model_pauses").await.unwrap();
        deployment.openai.faults().clear();
    }
}
