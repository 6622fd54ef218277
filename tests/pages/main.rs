//! The pages in a real Chromium, on a whole deployment: what a person sees and does, with mouse, keyboard and phone.
//!
//! The claims stand in the scripts beside this file. Each test gives one of them a deployment and an app of its own.

mod app;

use std::time::Duration;

use carousel_local::openai::{ApiError, Fault, OpenAi, Settings};
use carousel_support::{deployment, script};

use crate::app::App;
use crate::deployment::{Deployment, OPENAI_KEY};

/// A deployment whose jobs a script may hold for as long as it looks at them.
async fn unhurried() -> Deployment {
    let openai = OpenAi::with(OPENAI_KEY, Settings { latency: Duration::from_millis(300), ..Settings::default() });
    let mut deployment = Deployment::with(openai).await;
    deployment.silence = Duration::from_secs(300);
    deployment
}

#[tokio::test]
async fn a_person_signs_in_uploads_submits_and_watches_the_job_fill() {
    let deployment = unhurried().await;
    let _worker = deployment.worker();
    app::run(&deployment, "create_and_watch.mjs").await;
}

#[tokio::test]
async fn a_person_cancels_retries_and_deletes() {
    let deployment = unhurried().await;
    let _worker = deployment.worker();
    let blocked = Fault::Refused(ApiError::moderation_blocked());
    deployment.openai.faults().on("a blocked thought", 1, blocked);
    app::run(&deployment, "requests.mjs").await;
}

#[tokio::test]
async fn a_template_is_found_named_marked_and_used_again() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    app::run(&deployment, "templates.mjs").await;
}

#[tokio::test]
async fn each_photo_becomes_a_slide_where_that_is_asked_for() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    app::run(&deployment, "each_photo.mjs").await;
}

#[tokio::test]
async fn bad_input_is_told_in_words_and_nothing_is_lost() {
    let deployment = Deployment::new().await;
    app::run(&deployment, "bad_input.mjs").await;
    assert!(deployment.openai.calls().is_empty(), "nothing was paid for");
}

/// Realtime is a hint: a page is right without it, and when it and a read overtake each other.
#[tokio::test]
async fn a_page_is_right_whatever_realtime_loses() {
    let deployment = unhurried().await;
    let _worker = deployment.worker();
    app::run(&deployment, "lost.mjs").await;
}

/// The same without a browser, in every order that one can hardly bring about.
#[tokio::test]
async fn rows_are_right_in_whatever_order_reads_and_changes_come() {
    app::run_without_browser(&Deployment::new().await, "rows.mjs").await;
}

#[tokio::test]
async fn two_people_side_by_side_never_see_each_other() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    app::run(&deployment, "two_people.mjs").await;
}

#[tokio::test]
async fn the_pages_work_with_a_keyboard_and_on_a_phone() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    app::run(&deployment, "reach.mjs").await;
}

#[tokio::test]
async fn what_the_app_serves_is_guarded_and_nothing_else_is_served() {
    let deployment = Deployment::new().await;
    let app = App::start(&deployment).await;
    let get = |path: &str| deployment.http.get(format!("{}{path}", app.url)).send();
    let pages =
        ["", "/jobs", "/jobs/7", "/templates", "/assets/create.js", "/assets/style/base.css", "/npm/supabase.js"];
    for path in pages {
        let answer = get(&format!("/image-generator{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains(&format!("connect-src 'self' {} ", deployment.stack.url())), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
    for path in [
        "/assets/mod.rs",
        "/assets/package.json",
        "/assets/../mod.rs",
        "/npm/package.json",
        "/npm/..%2Fpackage.json",
        "/other",
    ] {
        assert_eq!(get(&format!("/image-generator{path}")).await.unwrap().status(), 404, "{path}");
    }
    let config: serde_json::Value = get("/image-generator/config.json").await.unwrap().json().await.unwrap();
    assert_eq!(config["publishable_key"], deployment.stack.publishable_key());
    assert!(!config.to_string().contains(deployment.stack.secret_key()), "the secret key is told");
}
