//! Whoever answers for the project or the provider can't send our keys anywhere else: no client of ours follows a redirect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use carousel::job::{Format, Size};
use carousel::provider::{self, Edit, Provider, Source};
use carousel::supabase::Project;
use carousel::supabase::storage::{self, Storage};
use futures::stream;
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::process::KEY;
use crate::wire::{Wire, answer, json as json_answer};

const PATH: &str = "somebody/sources/a.png";

#[tokio::test]
async fn no_request_of_ours_follows_a_redirect() {
    let elsewhere = Wire::serve(|_| json_answer("200 OK", &json!([]))).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/taken\r\n", elsewhere.url());
        let away = Wire::serve(move |_| answer(status, &location, "")).await;
        let mut asked = 0;
        asked += rows_and_objects(&away).await;
        asked += storage(&away).await;
        asked += provider(&away).await;
        assert_eq!(away.asked().len(), asked, "{status}: each was asked once: {:#?}", away.asked());
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

/// The number of requests that must have come.
async fn rows_and_objects(away: &Wire) -> usize {
    let operator =
        Project::new(&away.url().parse().unwrap(), "sb_secret_key".to_owned().into(), &[]).unwrap().key_holder();
    let photo = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"photo"))]);
    let answers = [
        operator.prove().await.is_err(),
        operator.insert_job(&json!({ "prompt": "a cup" })).await.is_err(),
        operator.cancel_job(Uuid::nil()).await.is_err(),
        operator.delete_job(Uuid::nil()).await.is_err(),
        operator.has_proof(Uuid::nil()).await.is_err(),
        operator.declare(Uuid::nil(), &[PATH.to_owned()]).await.is_err(),
        operator.upload(PATH, "image/png", Some(5), photo).await.is_err(),
        operator.download(PATH).await.is_err(),
        operator.sign(&[PATH.to_owned()], Duration::from_secs(60)).await.is_err(),
        operator.remove(&[PATH.to_owned()]).await.is_err(),
        operator.changes_of_person(Uuid::nil()).await.is_err(),
    ];
    assert_eq!(answers, [true; 11]);
    answers.len()
}

async fn storage(away: &Wire) -> usize {
    let storage = Storage::new(storage::Settings {
        url: away.url().parse().unwrap(),
        certificates: Vec::new(),
        secret_key: "sb_secret_key".to_owned().into(),
        bucket: "generated-carousels".to_owned(),
        connect_timeout: Duration::from_secs(5),
        silence_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(60),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        storage.check().await.is_err(),
        storage.remove(&[PATH.to_owned()]).await.is_err(),
        storage.upload(PATH, "image/png", Bytes::from_static(b"photo"), "3600").await.is_err(),
        storage.download(PATH, &folder.path().join("photo"), 1 << 20).await.is_err(),
    ];
    assert_eq!(answers, [true; 4]);
    answers.len()
}

async fn provider(away: &Wire) -> usize {
    let provider = Provider::new(provider::Settings {
        base_url: format!("{}/v1", away.url()).parse().unwrap(),
        certificates: Vec::new(),
        api_key: KEY.to_owned().into(),
        auth_header: "authorization".to_owned(),
        query: None,
        connect_timeout: Duration::from_secs(5),
        silence_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(60),
        max_answer_bytes: 1 << 20,
        url_hosts: Vec::new(),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo");
    std::fs::write(&path, "photo").unwrap();
    let edit = Edit {
        model: "gpt-image-2".to_owned(),
        prompt: "a cup".to_owned(),
        sources: Arc::new([Source { path, bytes: 5, format: Format::Png }]),
        size: Size { width: 1024, height: 1024 },
        quality: None,
        format: Format::Png,
        background: None,
        partial_images: 0,
        safety_identifier: None,
    };
    let transfers = Arc::new(Semaphore::new(1));
    assert!(provider.edit(&edit, &transfers, None).await.is_err());
    assert!(provider.check().await.is_err());
    2
}
