//! What the Caddyfile lets through to the API, and what it keeps.

use std::sync::Arc;

use axum::body::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::program::{output, repository};
use crate::scene::{Edge, MAX_BODY, caddy};

#[tokio::test]
async fn the_api_is_public_by_tls_and_all_else_is_not() {
    let Some(edge) = Edge::new("the_api_is_public_by_tls_and_all_else_is_not").await else { return };
    let request =
        edge.client.get(edge.url("/api/image-generator/jobs?limit=2&after=a%2Fb")).bearer_auth("the.callers.token");
    let told: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        told,
        json!({
            "path": "/api/image-generator/jobs?limit=2&after=a%2Fb", "host": format!("localhost:{}", edge.https), "proto": "https",
            "token": "Bearer the.callers.token",
        })
    );
    for path in ["/openapi.json", "/healthz", "/readyz"] {
        assert_eq!(edge.get(path).await.json::<Value>().await.unwrap()["path"], path);
    }
    let old = edge.client.post(edge.url("/api/image-generator/generate")).body("{}").send().await.unwrap();
    assert_eq!(
        (old.status().as_u16(), &old.headers()["sunset"]),
        (410, &"Sun, 22 Nov 2026 00:00:00 GMT".parse().unwrap())
    );

    for path in [
        "/metrics",
        "/metrics/",
        "/METRICS",
        "//metrics",
        "/api/image-generator/../../metrics",
        "/api/image-generator/%2e%2e/%2E%2E/metrics",
        "/healthz/../metrics",
        "/%6detrics",
        "/",
        "/api/other",
        "/healthz/x",
    ] {
        let answer = edge.get_as_written(path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains(r#""code":"not_found""#),
            "{path}: {answer}"
        );
    }
    let plain =
        edge.client.get(format!("http://127.0.0.1:{}/api/image-generator/jobs", edge.http)).header("host", "localhost");
    let answer = plain.send().await.unwrap();
    assert_eq!(answer.status(), 308, "nothing goes in the clear");
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("https://localhost"));
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_there() {
    let Some(edge) = Edge::new("an_event_arrives_before_the_next_one_is_there").await else { return };
    let mut answer = edge.get("/api/image-generator/jobs/1/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut first = Vec::new();
    while !first.ends_with(b"\n\n") {
        first.extend(answer.chunk().await.expect("the connection holds").expect("the events go on"));
    }
    assert_eq!(first, b"data: first\n\n");
    edge.go_on.notify_one();
    assert_eq!(answer.text().await.expect("the events end"), "data: second\n\n");
}

#[tokio::test]
async fn a_body_streams_through_up_to_the_limit() {
    let Some(edge) = Edge::new("a_body_streams_through_up_to_the_limit").await else { return };
    let send = async |body: reqwest::Body| {
        edge.client.post(edge.url("/api/image-generator/generate-v2")).body(body).send().await
    };
    // The second half is sent only once the first has arrived.
    let arrived = Arc::clone(&edge.arrived);
    let half = || Bytes::from(vec![1; MAX_BODY / 2]);
    let halves = futures::stream::iter([half()]).chain(futures::stream::once(async move {
        arrived.notified().await;
        half()
    }));
    let answer = send(reqwest::Body::wrap_stream(halves.map(Ok::<_, std::io::Error>))).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (202, MAX_BODY.to_string()));

    let too_large = send(vec![1; MAX_BODY + 1].into()).await.unwrap();
    assert_eq!(too_large.status(), 413);
    let problem: Value = too_large.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&json!("body_too_large"), &json!(413)), "{problem}");
}

#[tokio::test]
async fn an_api_that_is_away_is_told_as_a_problem() {
    let Some(edge) = Edge::new("an_api_that_is_away_is_told_as_a_problem").await else { return };
    assert_eq!(edge.get("/healthz").await.status(), 200);
    edge.upstream.abort();
    // Its connections go with their requests; a new one finds nobody.
    let answer = loop {
        let answer = edge.get("/healthz").await;
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (502, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "unavailable");
}

/// It is written as Caddy itself writes it.
#[tokio::test]
async fn the_caddyfile_is_formatted() {
    let Some(caddy) = caddy("the_caddyfile_is_formatted") else { return };
    let written = std::fs::read_to_string(repository("edge-config/Caddyfile")).expect("it can be read");
    let mut command = Command::new(caddy);
    command.arg("fmt").arg(repository("edge-config/Caddyfile"));
    assert_eq!(output(command).await, written);
}
