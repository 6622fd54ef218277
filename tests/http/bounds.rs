//! What one caller can take of the server: bytes of a body before they are known, answers that they don't read, searches.

use axum::body::Body;
use axum::http::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::deployment::Person;
use crate::door::{Door, GENERATE, JOBS, TEMPLATES, settings};
use crate::events::Events;

const RETIRED: &str = "/api/image-generator/generate";

/// The status that is answered to the beginning of a large body, whose rest never comes.
async fn status_of_beginning(door: &Door, path: &str, token: &str, length: usize, sent: usize) -> u16 {
    let mut stream = TcpStream::connect(door.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{{\"prompt\":\""
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; sent]).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    std::str::from_utf8(&status[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_large_body_is_not_waited_for_before_its_token_is_accepted() {
    let door = Door::new().await;
    for path in [GENERATE, TEMPLATES] {
        assert_eq!(status_of_beginning(&door, path, "a.b.c", 500_000, 20_000).await, 401, "{path}");
        assert_eq!(status_of_beginning(&door, path, "a.b.c", 500_000, 0).await, 401, "{path}");
        assert_eq!(status_of_beginning(&door, path, "a.b.c", 5_000_000, 0).await, 413, "{path}");
    }
    // Nobody has to be anybody here: it takes little from everybody.
    assert_eq!(status_of_beginning(&door, RETIRED, "a.b.c", 1_000_000, 0).await, 410);
    // A large one of somebody is taken.
    let anna = door.deployment.person().await;
    let large = json!({ "slide_prompts": vec!["x".repeat(20_000); 10], "source_paths": [anna.photo().await] });
    let made = door.send(door.post(GENERATE, &anna.token).json(&large)).await;
    assert_eq!(made.status, 202, "{}", made.body);
    let larger = json!({ "slide_prompts": vec!["x".repeat(30_000); 10], "source_paths": [anna.photo().await] });
    door.refused(door.post(GENERATE, &anna.token).json(&larger), 400, "words_too_long").await;
}

#[tokio::test]
async fn the_retired_endpoint_translates_64_kb_and_reads_no_more() {
    let door = Door::new().await;
    for (length, is_translated) in [(60_000, true), (70_000, false)] {
        let old = json!({ "prompt": "x".repeat(length) });
        let told = door.send(door.request(Method::POST, RETIRED).json(&old)).await;
        assert_eq!(told.status, 410);
        let prompt = told.body["successor"]["body"]["prompt"].as_str().unwrap();
        assert_eq!(prompt.len() == length, is_translated, "{length}");
    }
}

#[tokio::test]
async fn a_search_has_at_most_200_characters() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    for name in ["search", "tag"] {
        let asked = |length: usize| door.get(TEMPLATES, &anna.token).query(&[(name, "ä".repeat(length))]);
        assert_eq!(door.send(asked(200)).await.status, 200);
        door.refused(asked(201), 400, "malformed").await;
    }
}

/// A job with as many words as a job may have.
async fn wordy(anna: &Person<'_>) -> String {
    let slides = vec!["x".repeat(26_000); 10];
    anna.submit(&json!({ "title": "wordy", "slide_prompts": slides, "source_paths": [anna.photo().await] })).await
}

#[tokio::test]
async fn lists_and_events_leave_out_long_texts_and_a_single_row_has_them() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let id = wordy(&anna).await;
    let long = ["prompt", "slide_prompts", "source_paths", "style", "variables"];
    let listed = door.send(door.get(JOBS, &anna.token)).await.body["jobs"][0].clone();
    let mut events = Events::open(&door, &id, &anna.token, None).await;
    let told = events.next().await.unwrap().data;
    for row in [&listed, &told] {
        assert_eq!((&row["id"], &row["title"]), (&json!(id), &json!("wordy")), "{row}");
        assert!(long.iter().all(|column| row.get(column).is_none()), "{row}");
    }
    let shown = door.send(door.get(&format!("{JOBS}/{id}"), &anna.token)).await.body;
    assert_eq!(shown["slide_prompts"].as_array().map(Vec::len), Some(10));
    let template = format!("{TEMPLATES}/{}", shown["template_id"].as_str().unwrap());
    let listed = door.send(door.get(TEMPLATES, &anna.token)).await.body["templates"][0].clone();
    assert_eq!((&listed["name"], &listed["source_paths"]), (&json!("wordy"), &shown["source_paths"]));
    assert!(["prompt", "slide_prompts", "style", "variables"].iter().all(|column| listed.get(column).is_none()));
    assert_eq!(door.send(door.get(&template, &anna.token)).await.body["slide_prompts"], shown["slide_prompts"]);
}

#[tokio::test]
async fn who_does_not_read_their_answers_gets_no_more_of_them_and_nobody_else_notices() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let (hers, his) = (wordy(&anna).await, wordy(&bert).await);
    // Without connections, whose buffers would take some of it.
    let url = door.deployment.stack.url().parse().unwrap();
    let project =
        carousel::supabase::Project::new(&url, door.deployment.stack.publishable_key().to_owned().into(), &[]).unwrap();
    let readiness = std::sync::Arc::new(|| Box::pin(async { Vec::new() }) as futures::future::BoxFuture<'static, _>);
    let router = carousel::http::door(project, settings(), readiness, CancellationToken::new()).router;
    let service = TowerToHyperService::new(router);
    let show = async |person: &Person<'_>, id: &str| {
        let request = Request::get(format!("{JOBS}/{id}")).header("authorization", format!("Bearer {}", person.token));
        service.call(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let mut unread = Vec::new();
    let refused = loop {
        let answer = show(&anna, &hers).await;
        if answer.status() != 200 {
            break answer;
        }
        unread.push(answer);
        assert!(unread.len() < 100, "26 MB were not read");
    };
    assert_eq!(refused.status(), 429);
    assert!(unread.len() > 50, "16 MB are allowed for: {}", unread.len());
    assert_eq!(show(&bert, &his).await.status(), 200);
    unread.pop();
    assert_eq!(show(&anna, &hers).await.status(), 200, "what is read, or given up, counts no longer");
}
