//! What the provider does wrong, and what becomes of the image: each row of its errors, by the code that the owner sees.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use carousel_local::openai::{ApiError, Fault, RetryAfter};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person};

/// Runs a job of one image with these faults waiting, and returns its row and its image's.
async fn run(person: &Person<'_>, source: &str, faults: Vec<Fault>, more: Value) -> (Value, Value) {
    for fault in faults {
        person.deployment.openai.faults().next(fault);
    }
    let mut job = json!({ "prompt": "a cup", "source_paths": [source] });
    job.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let job = person.submit(&job).await;
    let row = person.over(&job).await;
    (row, person.images(&job).await.remove(0))
}

#[tokio::test]
async fn what_is_final_fails_the_image_at_once_with_its_code() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let rows = [
        (Fault::Refused(ApiError::moderation_blocked()), "moderation_blocked"),
        (Fault::Refused(ApiError::moderation_blocked_with_details()), "moderation_blocked"),
        (Fault::Refused(ApiError::invalid_image_file(1)), "invalid_source_image"),
        (
            Fault::Refused(ApiError::unsupported_file_mimetype("image", "application/octet-stream")),
            "invalid_source_image",
        ),
        (Fault::Refused(ApiError::missing_file_mimetype("image")), "invalid_source_image"),
        (Fault::Refused(ApiError::invalid_size("1x1", "too small")), "invalid_request"),
        (Fault::Refused(ApiError::organization_not_verified("gpt-image-2")), "provider_forbidden"),
        (Fault::Refused(ApiError::model_not_found("gpt-image-2")), "model_not_found"),
        (Fault::Refused(ApiError::model_shut_down("gpt-image-1")), "model_not_found"),
        (Fault::ErrorWith200(ApiError::moderation_blocked()), "moderation_blocked"),
        (Fault::NotAnImage, "result_not_an_image"),
        (Fault::WrongSize, "result_wrong_size"),
        (Fault::WrongFormat, "result_wrong_format"),
        (Fault::Url, "answer_url_refused"),
    ];
    for (number, (fault, code)) in rows.into_iter().enumerate() {
        let told = format!("{fault:?}");
        let (job, image) = run(&person, &source, vec![fault], json!({})).await;
        assert_eq!((&job["status"], &image["status"]), (&json!("failed"), &json!("failed")), "{told}");
        assert_eq!((&image["error_code"], &job["error_code"]), (&json!(code), &json!(code)), "{told}");
        let words = image["error_message"].as_str().unwrap();
        assert!(words.len() > 20 && words.ends_with('.'), "words for a person: {words}");
        assert_eq!(deployment.openai.calls().len(), number + 1, "{told} is not tried again");
    }
    let open = "select count(*) from carousel_private.provider_calls where finished_at is null";
    assert_eq!(
        deployment.project.owner.query_one(open, &[]).await.unwrap().get::<_, i64>(0),
        0,
        "every call is closed"
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_the_job_completes() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let limited =
        |retry| ApiError::rate_limit_exceeded("gpt-image-2", 5, 1, Duration::from_millis(300)).retry_after(retry);
    let rows = [
        Fault::Refused(limited(RetryAfter::Millis(100))),
        Fault::Refused(limited(RetryAfter::Seconds(1))),
        Fault::Refused(limited(RetryAfter::Unsaid)),
        Fault::Refused(ApiError::slow_down()),
        Fault::Refused(ApiError::server_error()),
        Fault::RefusedLate(ApiError::server_error()),
        Fault::Refused(ApiError::server_is_overloaded()),
        Fault::HtmlPage(502),
        Fault::ResetEarly,
        Fault::ResetLate,
        Fault::ResetMidBody,
        Fault::Truncated,
        Fault::NoData,
    ];
    for fault in rows {
        let told = format!("{fault:?}");
        let before = deployment.openai.calls().len();
        let (job, image) = run(&person, &source, vec![fault], json!({})).await;
        assert_eq!((&job["status"], &image["status"]), (&json!("completed"), &json!("completed")), "{told}: {image}");
        assert_eq!(deployment.openai.calls().len(), before + 2, "{told} is tried once more");
    }
    let calls = "select count(*) filter (where outcome = 'completed'), count(*) from carousel_private.provider_calls where finished_at is not null";
    let calls = deployment.project.owner.query_one(calls, &[]).await.unwrap();
    assert_eq!((calls.get::<_, i64>(0), calls.get::<_, i64>(1)), (13, 26), "each failed call is closed with its code");
}

#[tokio::test]
async fn a_spent_account_pauses_the_workers_and_burns_no_job() {
    let faults = [
        (ApiError::billing_hard_limit_reached(), "billing_limit_reached"),
        (ApiError::invalid_api_key("sk-***"), "provider_unauthorized"),
        (ApiError::insufficient_quota("insufficient_quota"), "quota_exhausted"),
        (ApiError::insufficient_quota("credit_balance_exhausted"), "quota_exhausted"),
        (ApiError::insufficient_quota("organization_spend_limit_exceeded"), "quota_exhausted"),
    ];
    let faults = faults.map(|(error, code)| (Fault::Refused(error), code)).into_iter();
    // The address is the operator's as well: OPENAI_BASE_URL without its /v1, or of something else.
    let nowhere = [
        Fault::Refused(ApiError::unknown_url("POST", "/images/edits")),
        Fault::Refused(ApiError::wrong_method("POST", "/images/edits")),
        Fault::HtmlPage(404),
        Fault::HtmlPage(200),
        Fault::Redirect,
    ];
    let faults = faults.chain(nowhere.map(|fault| (fault, "provider_not_found")));
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let owner = &deployment.project.owner;
    for (number, (fault, code)) in faults.enumerate() {
        deployment.openai.faults().next(fault);
        let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
        let waiting = person.until(&job, |row| row["message"] == "Waiting until the provider can be used again").await;
        assert_eq!((&waiting["status"], &waiting["attempt"]), (&json!("pending"), &json!(0)));
        let other = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
        let reason = "select paused_reason from carousel_private.provider_budget where paused_until > now()";
        let reason: String = owner.query_one(reason, &[]).await.expect("the dashboard shows a pause").get(0);
        let address = !code.ends_with("found") || (reason.contains("OPENAI_BASE_URL") && reason.contains("/v1"));
        assert!(reason.len() > 20 && address, "{reason}");
        let outcome = "select outcome from carousel_private.provider_calls order by id desc limit 1";
        assert_eq!(owner.query_one(outcome, &[]).await.unwrap().get::<_, String>(0), code);
        assert_eq!(deployment.openai.calls().len(), 3 * number + 1, "nothing else was tried meanwhile");
        owner.execute("update carousel_private.provider_budget set paused_until = null", &[]).await.unwrap();
        assert_eq!(person.over(&job).await["status"], "completed");
        assert_eq!(person.over(&other).await["status"], "completed");
    }
}

#[tokio::test]
async fn tries_have_an_end_and_what_may_be_billed_has_two() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let overloaded = ApiError::server_is_overloaded().retry_after(RetryAfter::Millis(10));
    let (job, _) = run(&person, &source, vec![Fault::Refused(overloaded); 3], json!({})).await;
    assert_eq!(job["error_code"], "provider_overloaded");
    assert_eq!(deployment.openai.calls().len(), 3, "as many tries as the settings allow");
    let (job, _) = run(&person, &source, vec![Fault::Truncated; 2], json!({})).await;
    assert_eq!(job["error_code"], "answer_truncated");
    assert_eq!(deployment.openai.calls().len(), 5, "what was billed is tried once more, not oftener");
}

#[tokio::test]
async fn one_failed_slide_does_not_stop_the_others() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.faults().on("Slide 2 of 3", 1, Fault::Refused(ApiError::moderation_blocked()));
    let job = person
        .submit(&json!({ "prompt": "a cup", "slide_prompts": ["one", "two", "three"], "source_paths": [source] }))
        .await;
    let row = person.over(&job).await;
    assert_eq!(
        (&row["status"], &row["completed_images"], &row["failed_images"]),
        (&json!("partial"), &json!(2), &json!(1))
    );
    assert_eq!(person.images(&job).await[1]["error_code"], "moderation_blocked");

    let retry = json!({ "retry_requested_at": "2026-01-01T00:00:00Z" });
    person.rest("PATCH", &format!("image_generation_jobs?id=eq.{job}"), Some(&retry)).await;
    assert_eq!(person.over(&job).await["status"], "completed");
    assert_eq!(deployment.openai.calls().len(), 4, "only the failed slide is made again");
}

#[tokio::test]
async fn streams_fail_like_plain_answers() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let streamed = json!({ "partial_previews": 3 });
    for fault in [Fault::ErrorMidStream(ApiError::server_error()), Fault::NoCompletion, Fault::EarlyCompletion] {
        let told = format!("{fault:?}");
        let (job, image) = run(&person, &source, vec![fault], streamed.clone()).await;
        assert_eq!((&job["status"], &image["preview_path"]), (&json!("completed"), &Value::Null), "{told}");
    }
    let (job, _) = run(&person, &source, vec![Fault::ErrorMidStream(ApiError::moderation_blocked())], streamed).await;
    assert_eq!(job["error_code"], "moderation_blocked");
}

#[tokio::test]
async fn a_silent_provider_is_given_up_and_a_slow_one_is_not() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let (job, image) = run(&person, &source, vec![Fault::Dripping], json!({})).await;
    assert_eq!(job["status"], "completed", "{image}");
    let (job, _) = run(&person, &source, vec![Fault::Stalled, Fault::Stalled], json!({})).await;
    assert_eq!(job["error_code"], "provider_timeout");
    deployment.openai.release();
    let (job, _) = run(&person, &source, vec![Fault::Endless], json!({})).await;
    assert_eq!(job["error_code"], "answer_too_large");
}

#[tokio::test]
async fn an_answer_without_usage_has_no_cost() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let (job, image) = run(&person, &source, vec![Fault::NoUsage], json!({})).await;
    assert_eq!(
        (&job["status"], &image["cost_usd"], &job["cost_usd"]),
        (&json!("completed"), &Value::Null, &json!(0.0))
    );
}

#[tokio::test]
async fn a_picture_that_storage_never_takes_is_not_paid_again() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let full =
        json!({ "statusCode": "413", "error": "Payload too large", "message": "the bucket is full" }).to_string();
    let jobs = format!("/object/generated-carousels/{}/jobs/", person.id);
    deployment.stack.storage().faults().answer(20, Method::POST, &jobs, StatusCode::BAD_REQUEST, &full);
    let (job, image) = run(&person, &source, vec![], json!({})).await;
    assert_eq!((&job["status"], &image["error_code"]), (&json!("failed"), &json!("storage_refused")));
    assert_eq!(deployment.openai.billed(), 1);
    deployment.stack.storage().faults().clear();

    // Storage that is away for a moment is waited for.
    deployment.stack.storage().faults().answer(2, Method::POST, &jobs, StatusCode::SERVICE_UNAVAILABLE, "<html>");
    let (job, _) = run(&person, &source, vec![], json!({})).await;
    assert_eq!((&job["status"], deployment.openai.billed()), (&json!("completed"), 2));
}
