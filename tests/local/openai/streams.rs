//! Answers as a stream of events.

use std::time::Duration;

use carousel_local::openai::{ApiError, Fault};
use futures::StreamExt as _;
use image::ImageFormat;
use serde_json::Value;

use super::client::{Client, decoded, edit, events};

fn streamed(partials: &str) -> reqwest::multipart::Form {
    edit("a").text("quality", "low").text("stream", "true").text("partial_images", partials.to_owned())
}

async fn sent(client: &Client, partials: &str) -> Vec<(String, Value)> {
    let answer = client.send(streamed(partials)).await;
    assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("text/event-stream"));
    events(&answer.text().await.expect("a stream"))
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().filter(|(_, data)| data != "[DONE]").map(|(name, _)| name.as_str()).collect()
}

const PARTIAL: &str = "image_edit.partial_image";
const COMPLETED: &str = "image_edit.completed";

#[tokio::test]
async fn a_stream_shows_every_partial_picture_and_then_the_finished_one() {
    let client = Client::start().await;
    let mut done = 0;
    for partials in 0..=3 {
        let events = sent(&client, &partials.to_string()).await;
        let mut expected = vec![PARTIAL; partials];
        expected.push(COMPLETED);
        assert_eq!(names(&events), expected);
        done += events.iter().filter(|(_, data)| data == "[DONE]").count();
        for (index, (name, data)) in events.iter().filter(|(_, data)| data != "[DONE]").enumerate() {
            let (format, picture) = decoded(data);
            assert_eq!((format, picture.width(), picture.height()), (ImageFormat::Png, 1024, 640));
            assert_eq!((&data["type"], &data["size"]), (&Value::from(name.as_str()), &Value::from("1024x640")));
            match name.as_str() {
                PARTIAL => assert_eq!(data["partial_image_index"], index),
                _ => assert_eq!(data["usage"]["output_tokens"], 130 + 100 * partials),
            }
        }
    }
    assert_eq!(done, 2, "half of the streams end with [DONE]");
    assert_eq!(client.openai.billed(), 4);
}

#[tokio::test]
async fn partials_arrive_while_the_completion_is_held_back() {
    let client = Client::start().await;
    client.openai.hold();
    let mut stream = client.send(streamed("2")).await.bytes_stream();
    let mut text = String::new();
    while text.matches("partial_image_index").count() < 2 {
        text += std::str::from_utf8(&stream.next().await.expect("more").expect("a chunk")).expect("text");
    }
    assert!(text.starts_with(": keep-alive\n\n") && !text.contains(COMPLETED));
    client.openai.release();
    while let Some(chunk) = stream.next().await {
        text += std::str::from_utf8(&chunk.expect("a chunk")).expect("text");
    }
    assert_eq!(names(&events(&text)), [PARTIAL, PARTIAL, COMPLETED]);
}

#[tokio::test]
async fn partials_gain_detail() {
    let client = Client::start().await;
    let events = sent(&client, "3").await;
    let whole = decoded(&events[3].1).1.into_rgb8();
    let away = |event: &(String, Value)| -> u64 {
        let partial = decoded(&event.1).1.into_rgb8();
        partial.iter().zip(whole.iter()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum()
    };
    let distances: Vec<u64> = events[..3].iter().map(away).collect();
    assert!(distances.is_sorted_by(|earlier, later| earlier > later) && distances[2] > 0, "{distances:?}");
}

#[tokio::test]
async fn a_stream_can_complete_before_all_partials_came() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::EarlyCompletion);
    assert_eq!(names(&sent(&client, "3").await), [PARTIAL, COMPLETED]);
}

#[tokio::test]
async fn a_stream_can_fail_after_it_began() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::ErrorMidStream(ApiError::generation_failed()));
    let events = sent(&client, "3").await;
    assert_eq!(names(&events), [PARTIAL, "error"]);
    assert_eq!(
        (events[1].1["type"].as_str(), events[1].1["error"]["code"].as_str()),
        (Some("error"), Some("image_generation_failed"))
    );
}

#[tokio::test]
async fn a_stream_can_end_without_its_completion() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::NoCompletion);
    assert_eq!(names(&sent(&client, "2").await), [PARTIAL, PARTIAL]);
}

#[tokio::test]
async fn a_stream_can_stall_and_break() {
    let client = Client::start().await;
    client.openai.faults().next(Fault::Stalled);
    let answer = client.send(streamed("1")).await;
    let openai = client.openai.clone();
    let mut reading = tokio::spawn(answer.text());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut reading).await.is_err(), "the body is stalled");
    openai.release();
    assert_eq!(names(&events(&reading.await.expect("no panic").expect("a body"))), [PARTIAL, COMPLETED]);

    client.openai.faults().next(Fault::ResetMidBody);
    assert!(client.send(streamed("1")).await.text().await.is_err());
}
