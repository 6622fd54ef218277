//! Billing, waiting and limits.

use std::time::Duration;

use carousel_local::openai::{OpenAi, Settings};

use super::client::{Client, KEY, edit};

#[tokio::test]
async fn a_held_call_is_under_way_and_billed_until_it_is_released() {
    let client = Client::start().await;
    client.openai.hold();
    let (http, url) = (client.http.clone(), format!("{}/v1/images/edits", client.base));
    let calls: Vec<_> = (0..3)
        .map(|number| {
            let call = http.post(&url).bearer_auth(KEY).multipart(edit(&format!("call {number}"))).send();
            tokio::spawn(call)
        })
        .collect();
    assert_eq!(client.openai.reached(3).await.len(), 3);
    assert_eq!(client.openai.most_in_flight(), 3);
    assert!(calls.iter().all(|call| !call.is_finished()));
    client.openai.release();
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect("an answer").status(), 200);
    }
    assert_eq!(client.openai.billed(), 3);
}

#[tokio::test]
async fn a_call_that_its_client_gave_up_is_on_the_bill() {
    let client = Client::start().await;
    client.openai.hold();
    let error = client
        .http
        .post(format!("{}/v1/images/edits", client.base))
        .bearer_auth(KEY)
        .multipart(edit("a"))
        .timeout(Duration::from_secs(1))
        .send()
        .await
        .expect_err("no answer");
    assert!(error.is_timeout());
    assert_eq!((client.openai.calls().len(), client.openai.billed()), (1, 1));
}

#[tokio::test]
async fn the_minute_s_budget_refuses_with_the_time_to_wait() {
    let settings = Settings { images_per_minute: Some(2), ..Settings::default() };
    let client = Client::new(OpenAi::with(KEY, settings)).await;
    for left in ["1", "0"] {
        let answer = client.send(edit("a")).await;
        assert_eq!(answer.headers()["x-ratelimit-remaining-input-images"], left);
    }
    let answer = client.send(edit("a")).await;
    assert_eq!(answer.status(), 429);
    let seconds: u64 = answer.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");
    let body: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(
        (body["error"]["type"].as_str(), body["error"]["code"].as_str()),
        (Some("input-images"), Some("rate_limit_exceeded"))
    );
    assert_eq!(client.openai.billed(), 2);
}

#[tokio::test]
async fn a_higher_quality_takes_longer() {
    let (low, step) = (Duration::from_millis(20), Duration::from_millis(200));
    let settings = Settings { latency: low, latency_per_quality: step, ..Settings::default() };
    let client = Client::new(OpenAi::with(KEY, settings)).await;
    let took = async |quality: &'static str| {
        let started = std::time::Instant::now();
        client.good(edit("a").text("quality", quality)).await;
        started.elapsed()
    };
    // The first call decodes the source, which the later ones find done.
    took("low").await;
    assert!(took("high").await >= (low + 2 * step).mul_f64(0.9));
}

#[tokio::test]
async fn grain_makes_megabytes_that_do_not_compress() {
    let settings = Settings { grain: Settings::lifelike().grain, ..Settings::default() };
    let client = Client::new(OpenAi::with(KEY, settings)).await;
    let answer = client.good(edit("a").text("n", "2")).await;
    let length = answer["data"][0]["b64_json"].as_str().expect("b64_json").len() * 3 / 4;
    assert!((700_000..2_000_000).contains(&length), "{length} bytes for 655,360 pixels");
}
