use bytes::Bytes;
use futures::stream;
use reqwest::{Body, Method};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::door::{Door, GENERATE, JOBS, TEMPLATES};

#[tokio::test]
async fn a_body_that_is_huge_or_endless_is_cut_off() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let large = json!({ "prompt": "x".repeat(5 << 20) });
    for path in [GENERATE, TEMPLATES] {
        door.refused(door.post(path, &anna.token).json(&large), 413, "body_too_large").await;
        let endless = stream::iter((0..32).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20]))));
        let request =
            door.post(path, &anna.token).header("content-type", "application/json").body(Body::wrap_stream(endless));
        // The answer may be lost with what is still being sent; what counts is that the server does not take it all.
        if let Ok(answer) = request.send().await {
            assert_eq!(answer.status(), 413, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_of_another_kind_is_refused() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""] {
        let request = door.post(GENERATE, &anna.token).header("content-type", kind).body("{}");
        door.refused(request, 415, "body_type_not_supported").await;
    }
    door.refused(door.post(GENERATE, &anna.token), 415, "body_type_not_supported").await;
    let deep = format!("{{\"style\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let number = "{\"variants\":1e999}".to_owned();
    for body in ["", "{", "[]", "null", "\u{feff}{}", "{\"prompt\":1}", "{\"prompt\":\"\\ud800\"}", &deep, &number] {
        let request = door.post(GENERATE, &anna.token).header("content-type", "application/json").body(body.to_owned());
        door.refused(request, 400, "malformed").await;
    }
}

#[tokio::test]
async fn what_is_no_id_names_nothing() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let ids = ["1", "..%2f..", "%00", "x%27%20or%201=1", "eq.1", "*", "%ff", "%2e%2e"];
    for id in ids {
        for path in [format!("{JOBS}/{id}"), format!("{JOBS}/{id}/events"), format!("{TEMPLATES}/{id}")] {
            let answer =
                door.deployment.http.get(format!("{}{path}", door.url)).bearer_auth(&anna.token).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{path}");
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "not_found", "{path}");
        }
    }
    let nowhere = door.get("/api/image-generator/nothing", &anna.token);
    door.refused(nowhere, 404, "not_found").await;
    let answer = door.send(door.request(Method::PUT, JOBS).bearer_auth(&anna.token)).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (405, Some("method_not_allowed")));
    assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
}

/// Sent by hand, as no client would.
#[tokio::test]
async fn what_is_no_request_harms_nobody() {
    let door = Door::new().await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    let headers = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for raw in [
        "\0\0\0\0\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        &long,
        &headers,
    ] {
        let mut stream = TcpStream::connect(door.url.trim_start_matches("http://")).await.unwrap();
        // It may be cut off while it is being sent.
        let _ = stream.write_all(raw.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(door.send(door.request(Method::GET, "/healthz")).await.status, 200);
}

#[tokio::test]
async fn a_text_can_not_break_out_of_a_filter() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let parts = json!({ "name": "hers", "source_paths": [anna.photo().await], "tags": ["a"] });
    door.send(door.post(TEMPLATES, &anna.token).json(&parts)).await;
    for text in ["\"),or(id.neq.0", "*", "%", "a\"}", "{}", "),user_id.neq.0", "\\", "\"", ","] {
        let query = [("search", text), ("tag", text)];
        for pair in query {
            let request = door.get(TEMPLATES, &bert.token).query(&[pair]);
            let found = door.send(request).await;
            assert_eq!((found.status, &found.body["templates"]), (200, &json!([])), "{pair:?}");
        }
    }
}
