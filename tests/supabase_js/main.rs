//! The real supabase-js, in Node, on a whole deployment: what a frontend does, and what it must not be able to do.
//!
//! The claims stand in the scripts beside this file. Each test gives one of them a deployment of its own and holds it to its report.

#[path = "../deployment/mod.rs"]
mod deployment;
#[path = "../project/mod.rs"]
mod project;
mod script;

use carousel::local::openai::{OpenAi, Settings};
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, OPENAI_KEY};

/// Long enough that a job of twelve images runs for more than a second.
fn unhurried() -> OpenAi {
    OpenAi::with(OPENAI_KEY, Settings { latency: std::time::Duration::from_millis(400), ..Settings::default() })
}

#[tokio::test]
async fn a_page_follows_its_job_from_insert_to_download() {
    let deployment = Deployment::with(unhurried()).await;
    let _worker = deployment.worker();
    script::run(&deployment, "whole_job.mjs").await;
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
    script::run(&deployment, "readme.mjs").await;
}

#[tokio::test]
async fn a_page_manages_its_jobs_images_and_templates() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    script::run(&deployment, "manage.mjs").await;
}

#[tokio::test]
async fn rows_of_others_and_columns_of_the_worker_are_out_of_reach() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    script::run(&deployment, "denials_rows.mjs").await;
}

#[tokio::test]
async fn files_and_changes_of_others_are_out_of_reach() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    script::run(&deployment, "denials_files.mjs").await;
    script::run(&deployment, "denials_changes.mjs").await;
}

#[tokio::test]
async fn bad_input_is_refused_with_the_fix_and_leaves_nothing() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    script::run(&deployment, "bad_input.mjs").await;
    assert!(deployment.openai.calls().is_empty(), "nothing was paid for");
}

#[tokio::test]
async fn sessions_begin_are_renewed_and_end() {
    script::run(&Deployment::new().await, "auth.mjs").await;
}

#[tokio::test]
async fn the_storage_client_finds_what_it_knows_from_supabase() {
    script::run(&Deployment::new().await, "storage.mjs").await;
}

#[tokio::test]
async fn the_realtime_client_finds_what_it_knows_from_supabase() {
    script::run(&Deployment::new().await, "realtime.mjs").await;
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
