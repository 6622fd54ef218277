//! Faults on demand: they strike whom they name, as often as they say, and no others.

use reqwest::{Method, StatusCode};

use super::bench::{BUCKET, Bench, accepted};

#[tokio::test]
async fn an_ordered_answer_comes_so_many_times_and_changes_nothing() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    let body = r#"{"statusCode":"503","error":"SlowDown","message":"later"}"#;
    let prefix = format!("/object/{BUCKET}");
    bench.storage.faults().answer(2, Method::POST, &prefix, StatusCode::SERVICE_UNAVAILABLE, body);
    for _ in 0..2 {
        let answer = bench.upload(&bench.ann, &name, "x").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.text().await.unwrap(), body);
        assert_eq!(bench.left().await, (0, 0));
    }
    accepted(bench.upload(&bench.ann, &name, "x").send().await.unwrap()).await;

    bench.storage.faults().answer(1, Method::GET, &prefix, StatusCode::INTERNAL_SERVER_ERROR, "");
    bench.storage.faults().clear();
    assert_eq!(bench.bytes(&name).await, b"x");
}

#[tokio::test]
async fn a_cut_breaks_a_download_in_the_middle() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    accepted(bench.upload(&bench.ann, &name, vec![7; 500_000]).send().await.unwrap()).await;
    bench.storage.faults().cut(1, Method::GET, "/object/", 100_000);
    let get = || bench.request(Method::GET, &format!("/object/{BUCKET}/{name}"), &bench.ann.token).send();
    let mut answer = get().await.unwrap();
    assert_eq!(answer.content_length(), Some(500_000));
    let mut read = 0;
    let ended = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            ended => break ended,
        }
    };
    assert!(ended.is_err() && read <= 100_000, "{ended:?} after {read}");
    assert_eq!(get().await.unwrap().bytes().await.unwrap().len(), 500_000);
}

#[tokio::test]
async fn a_cut_at_nothing_loses_the_answer_to_an_upload_that_was_done() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    bench.storage.faults().cut(1, Method::POST, "/object/", 0);
    assert!(bench.upload(&bench.ann, &name, "done").send().await.is_err());
    assert_eq!(bench.bytes(&name).await, b"done");
}

#[tokio::test]
async fn a_stalled_request_is_carried_out_when_it_is_released() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    let stall = bench.storage.faults().stall(1, Method::POST, &format!("/object/{BUCKET}"));
    let upload = tokio::spawn(bench.upload(&bench.ann, &name, "late").send());
    stall.holds(1).await;
    assert_eq!(bench.left().await, (0, 0));
    assert!(!upload.is_finished());
    stall.release();
    accepted(upload.await.unwrap().unwrap()).await;
    assert_eq!(bench.bytes(&name).await, b"late");
}
