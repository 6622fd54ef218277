//! Every way to fail, as a client sees it.

use std::time::{Duration, SystemTime};

use carousel_local::openai::{ApiError, Fault, RetryAfter};
use image::ImageFormat;
use serde_json::Value;

use super::client::{Client, edit, picture};

#[tokio::test]
async fn every_row_of_the_error_table_can_be_asked_for() {
    let client = Client::start().await;
    let rows = [
        (ApiError::moderation_blocked(), 400, Some("moderation_blocked"), "image_generation_user_error"),
        (ApiError::moderation_blocked_with_details(), 400, Some("moderation_blocked"), "image_generation_user_error"),
        (ApiError::invalid_image_file(1), 400, Some("invalid_image_file"), "image_generation_user_error"),
        (
            ApiError::unsupported_file_mimetype("image[0]", "image/gif"),
            400,
            Some("unsupported_file_mimetype"),
            "invalid_request_error",
        ),
        (ApiError::missing_file_mimetype("image[0]"), 400, Some("missing_file_mimetype"), "invalid_request_error"),
        (ApiError::invalid_size("1x1", "Too small."), 400, Some("invalid_value"), "image_generation_user_error"),
        (ApiError::billing_hard_limit_reached(), 400, Some("billing_hard_limit_reached"), "invalid_request_error"),
        (ApiError::invalid_api_key("sk-***"), 401, Some("invalid_api_key"), "invalid_request_error"),
        (ApiError::organization_not_verified("gpt-image-2"), 403, None, "invalid_request_error"),
        (ApiError::model_not_found("x"), 404, Some("model_not_found"), "invalid_request_error"),
        (
            ApiError::rate_limit_exceeded("x", 5, 1, Duration::from_secs(12)),
            429,
            Some("rate_limit_exceeded"),
            "input-images",
        ),
        (ApiError::insufficient_quota("insufficient_quota"), 429, Some("insufficient_quota"), "insufficient_quota"),
        (
            ApiError::insufficient_quota("credit_balance_exhausted"),
            429,
            Some("credit_balance_exhausted"),
            "insufficient_quota",
        ),
        (ApiError::slow_down(), 429, Some("slow_down"), "requests"),
        (ApiError::server_error(), 500, None, "server_error"),
        (ApiError::server_is_overloaded(), 503, Some("server_is_overloaded"), "service_unavailable_error"),
    ];
    for (error, status, code, kind) in rows {
        client.openai.faults().next(Fault::Refused(error));
        let (found, body) = client.refused(edit("a")).await;
        assert_eq!((found.as_u16(), body["code"].as_str(), body["type"].as_str()), (status, code, Some(kind)));
    }
    client.openai.faults().next(Fault::Refused(ApiError::moderation_blocked_with_details()));
    assert_eq!(client.refused(edit("a")).await.1["moderation_details"]["moderation_stage"], "output");
    assert_eq!(client.openai.billed(), 0);
}

#[tokio::test]
async fn an_answer_can_say_when_to_come_back_in_four_ways() {
    let client = Client::start().await;
    let headers = async |retry_after| {
        client.openai.faults().next(Fault::Refused(ApiError::slow_down().retry_after(retry_after).should_retry(true)));
        client.send(edit("a")).await.headers().clone()
    };
    assert!(!headers(RetryAfter::Unsaid).await.contains_key("retry-after"));
    assert_eq!(headers(RetryAfter::Seconds(7)).await["retry-after"], "7");
    assert_eq!(headers(RetryAfter::Millis(250)).await["retry-after-ms"], "250");
    let answered = headers(RetryAfter::Date(Duration::from_secs(60))).await;
    assert_eq!(answered["x-should-retry"], "true");
    let date = httpdate::parse_http_date(answered["retry-after"].to_str().expect("text")).expect("a date");
    let wait = date.duration_since(SystemTime::now()).expect("in the future");
    assert!((55..=60).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_fault_can_be_meant_for_one_slide() {
    let client = Client::start().await;
    client.openai.faults().on("Slide 2 of 3", 2, Fault::Refused(ApiError::server_error()));
    for (prompt, status) in [("Slide 1 of 3", 200), ("Slide 2 of 3", 500), ("Slide 2 of 3", 500), ("Slide 2 of 3", 200)]
    {
        assert_eq!(client.send(edit(prompt)).await.status().as_u16(), status);
    }
    client.openai.faults().next(Fault::NoUsage);
    client.openai.faults().clear();
    assert!(client.good(edit("a")).await["usage"].is_object());
}

#[tokio::test]
async fn the_connection_can_close_before_an_answer_with_and_without_a_bill() {
    let client = Client::start().await;
    for (fault, billed) in [(Fault::ResetEarly, 0), (Fault::ResetLate, 1)] {
        client.openai.faults().next(fault);
        let error = client.try_send(edit("a")).await.expect_err("no answer");
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(client.openai.billed(), billed);
    }
    client.openai.faults().next(Fault::RefusedLate(ApiError::server_error()));
    assert_eq!(client.refused(edit("a")).await.0, 500);
    assert_eq!((client.openai.calls().len(), client.openai.billed()), (3, 2));
}

#[tokio::test]
async fn bodies_that_are_not_what_the_status_says() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::HtmlPage(502));
    let answer = client.send(edit("a")).await;
    assert!(answer.status() == 502 && answer.headers()["server"] == "cloudflare");
    assert!(!answer.headers().contains_key("x-request-id"), "a proxy doesn't know the service's ids");
    assert!(answer.text().await.expect("a body").starts_with("<html>"));

    client.openai.faults().next(Fault::ErrorWith200(ApiError::server_error()));
    assert_eq!(client.good(edit("a")).await["error"]["type"], "server_error");
    assert_eq!(client.openai.billed(), 0);
}

#[tokio::test]
async fn bodies_that_break_off() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::Truncated);
    let text = client.send(edit("a")).await.text().await.expect("a body that ends");
    assert!(text.starts_with("{\"created\"") && serde_json::from_str::<Value>(&text).is_err());

    client.openai.faults().next(Fault::ResetMidBody);
    let answer = client.send(edit("a")).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err());
    assert_eq!(client.openai.billed(), 2);
}

#[tokio::test]
async fn a_stalled_body_goes_on_when_it_is_released() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::Stalled);
    let mut answer = client.send(edit("a")).await;
    let mut body = answer.chunk().await.expect("a chunk").expect("some bytes").to_vec();
    // All that comes before the stall comes at once, so nothing more within a moment means that it is reached.
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(300), answer.chunk()).await {
        body.extend(chunk.expect("a chunk").expect("the body has not ended"));
    }
    assert!(serde_json::from_slice::<Value>(&body).is_err());
    client.openai.release();
    while let Some(chunk) = answer.chunk().await.expect("a chunk") {
        body.extend(chunk);
    }
    picture(&serde_json::from_slice(&body).expect("JSON"), 0);
}

#[tokio::test]
async fn bodies_that_come_strangely() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::Dripping);
    picture(&client.good(edit("a")).await, 0);

    client.openai.faults().next(Fault::Endless);
    let mut answer = client.send(edit("a")).await;
    let mut read = 0;
    while read < 20 << 20 {
        read += answer.chunk().await.expect("a chunk").expect("the body never ends").len();
    }
}

#[tokio::test]
async fn pictures_that_are_not_what_was_asked_for() {
    let client = Client::start().await;
    let answered = async |fault| {
        client.openai.faults().next(fault);
        client.good(edit("a")).await
    };
    let (_, wide) = picture(&answered(Fault::WrongSize).await, 0);
    assert_eq!((wide.width(), wide.height()), (1040, 640));
    assert_eq!(picture(&answered(Fault::WrongFormat).await, 0).0, ImageFormat::Jpeg);
    let file = |answer: &Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(answer["data"][0]["b64_json"].as_str().expect("b64_json"))
    };
    assert!(image::guess_format(&file(&answered(Fault::NotAnImage).await).expect("base64")).is_err());
    assert!(file(&answered(Fault::NotBase64).await).is_err());
    assert_eq!(answered(Fault::NoData).await["data"], Value::Array(vec![]));
    assert_eq!(answered(Fault::NoUsage).await.get("usage"), None);
    assert_eq!(client.openai.billed(), 6);
}

#[tokio::test]
async fn a_url_leads_to_the_picture_without_a_key() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::Url);
    let answer = client.good(edit("a")).await;
    let url = answer["data"][0]["url"].as_str().expect("url");
    let file = client.http.get(url).send().await.expect("an answer");
    assert_eq!(file.headers()["content-type"], "image/png");
    let picture = image::load_from_memory(&file.bytes().await.expect("a body")).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (1024, 640));
    let gone = client.http.get(format!("{}/generated/none.png", client.base)).send().await.expect("an answer");
    assert_eq!(gone.status(), 404);
}
