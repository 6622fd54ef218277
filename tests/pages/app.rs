//! The pages served for a deployment, and the browser that looks at them.

use std::io::Write;
use std::path::PathBuf;

use carousel::pages::{self, Demo};
use carousel_local::install::{self, Packages};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::deployment::Deployment;
use crate::script::{self, Script};

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// Names that the browser has on the systems that a developer uses.
const BROWSERS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// The pages on a port of their own.
pub struct App {
    pub url: String,
    task: JoinHandle<()>,
}

impl App {
    pub async fn start(deployment: &Deployment) -> Self {
        let packages = pages::install(&install::home(), |step| eprintln!("{step}")).await;
        let stack = &deployment.stack;
        let router = pages::router(pages::Settings {
            url: stack.url().to_owned(),
            publishable_key: stack.publishable_key().to_owned(),
            model: "gpt-image-2".to_owned(),
            quality: "low".to_owned(),
            demo: Some(Demo { email: "demo@example.com", password: "carousel-demo" }),
            packages: packages.expect("the pages' packages can be installed"),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let router = router.expect("the stack's address is one");
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the app is served") });
        Self { url, task }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a script of this folder with an app and a browser. Without a browser it fails where all is to be checked, and says elsewhere that it did not run.
pub async fn run(deployment: &Deployment, name: &str) {
    let Some(chromium) = chromium() else {
        let advice = "no Chromium was found: install it (Debian: apt-get install chromium) or name it in CHROME";
        assert!(std::env::var_os("CI").is_none(), "{advice}");
        // Past the harness, which keeps what a passing test prints to itself.
        writeln!(std::io::stderr(), "SKIPPED: tests/pages/{name}: {advice}").expect("it can be said");
        return;
    };
    let app = App::start(deployment).await;
    start(deployment, name, json!({ "app": app.url, "chromium": chromium })).await;
}

/// Runs a script of this folder that needs neither.
pub async fn run_without_browser(deployment: &Deployment, name: &str) {
    start(deployment, name, Value::Null).await;
}

async fn start(deployment: &Deployment, name: &str, facts: Value) {
    let packages =
        Packages { name: "browser", contents: "playwright-core for the tests", package: PACKAGE, lock: LOCK };
    script::run(deployment, &Script { path: &format!("pages/{name}"), packages, facts }).await;
}

/// The browser: `CHROME`, or what is on PATH.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROME").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "CHROME names no file: {}", named.display());
        return Some(named);
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let found = BROWSERS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    found.into_iter().find(|file| file.is_file())
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
