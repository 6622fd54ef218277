//! The real supabase-js, in Node, on a whole deployment: what a frontend does, and what it must not be able to do.
//!
//! The claims stand in the scripts beside this file. Each test gives one of them a deployment of its own and holds it to its report.

mod before;

use carousel_local::install::Packages;
use carousel_local::openai::{OpenAi, Settings};
use carousel_support::{deployment, project, script};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, OPENAI_KEY};
use crate::script::Script;

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// Long enough that a job of twelve images runs for more than a second.
fn unhurried() -> OpenAi {
    OpenAi::with(OPENAI_KEY, Settings { latency: std::time::Duration::from_millis(400), ..Settings::default() })
}

#[tokio::test]
async fn a_page_follows_its_job_from_insert_to_download() {
    let deployment = Deployment::with(unhurried()).await;
    let _worker = deployment.worker();
    run(&deployment, "whole_job.mjs").await;
    let calls = deployment.openai.calls();
    assert_eq!(calls.len(), 12, "2 variants x 2 slides x 3 ratios, each paid once");
    let photos = script::photos();
    for call in &calls {
        let received: Vec<_> = call.images.iter().map(|image| (image.sha256.as_str(), image.length)).collect();
        let sent: Vec<_> = photos.iter().map(|photo| (digest(&photo.bytes), photo.bytes.len() as u64)).collect();
        let sent: Vec<_> = sent.iter().map(|(digest, length)| (digest.as_str(), *length)).collect();
        assert_eq!(
            received, sent,
            "what supabase-js uploaded, as a Blob and as a Buffer, reached the provider unchanged"
        );
    }
}

/// What a person copies from the README works as it stands there.
#[tokio::test]
async fn the_readmes_own_code_submits_watches_cancels_and_retries() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    run(&deployment, "readme.mjs").await;
}

#[tokio::test]
async fn a_page_manages_its_jobs_images_and_templates() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    run(&deployment, "manage.mjs").await;
}

#[tokio::test]
async fn rows_of_others_and_columns_of_the_worker_are_out_of_reach() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    run(&deployment, "denials_rows.mjs").await;
}

#[tokio::test]
async fn files_and_changes_of_others_are_out_of_reach() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    run(&deployment, "denials_files.mjs").await;
    run(&deployment, "denials_changes.mjs").await;
}

#[tokio::test]
async fn bad_input_is_refused_with_the_fix_and_leaves_nothing() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    run(&deployment, "bad_input.mjs").await;
    assert!(deployment.openai.calls().is_empty(), "nothing was paid for");
}

#[tokio::test]
async fn sessions_begin_are_renewed_and_end() {
    run(&Deployment::new().await, "auth.mjs").await;
}

#[tokio::test]
async fn the_storage_client_finds_what_it_knows_from_supabase() {
    run(&Deployment::new().await, "storage.mjs").await;
}

#[tokio::test]
async fn the_realtime_client_finds_what_it_knows_from_supabase() {
    run(&Deployment::new().await, "realtime.mjs").await;
}

/// Runs a script of this folder.
async fn run(deployment: &Deployment, name: &str) {
    run_with(deployment, name, Value::Null).await;
}

/// Runs a script that is told more than the deployment.
async fn run_with(deployment: &Deployment, name: &str, facts: Value) {
    let packages =
        Packages { name: "supabase-js", contents: "supabase-js for the tests", package: PACKAGE, lock: LOCK };
    let path = format!("supabase_js/{name}");
    script::run(deployment, &Script { path: &path, packages, facts }).await;
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_packages_are_pinned_and_their_lock_file_names_no_host_to_download_from() {
    assert!(!LOCK.contains("\"resolved\"") && !LOCK.contains("://"));
    let package: Value = serde_json::from_str(PACKAGE).expect("it is JSON");
    for (name, version) in package["dependencies"].as_object().expect("there are some") {
        let exact = version.as_str().is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        assert!(exact, "{name} {version}");
    }
}
