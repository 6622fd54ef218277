//! The files for Vercel, Next.js and Kong send the API's paths to carousel, whole, and nothing else.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use crate::program::{output, packages, repository};

/// Where a file sends each path.
#[derive(Deserialize)]
struct Sent {
    file: String,
    routes: BTreeMap<String, Option<String>>,
}

#[tokio::test]
async fn the_apis_paths_reach_carousel_and_the_apps_own_do_not() {
    let api = [
        "/api/image-generator/generate-v2",
        "/api/image-generator/generate",
        "/api/image-generator/jobs",
        "/api/image-generator/jobs/6d2f9c1e-0000-4000-8000-000000000000/events",
    ];
    let others = [
        "/",
        "/api/image-generators",
        "/api/other",
        "/api/platform/x",
        "/image-generator/jobs",
        "/metrics",
        "/healthz",
        "/rest/v1/x",
    ];
    let mut node = Command::new("node");
    node.arg(repository("tests/edge/routes.mjs")).env("CAROUSEL_PACKAGES", packages().await.join("package.json"));
    node.env("CAROUSEL_PATHS", json!([api.as_slice(), others.as_slice()].concat()).to_string());
    let said = output(node).await;
    let sent: Vec<Sent> = said.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    let hosts = [
        ("vercel.json", "https://images.example.com"),
        ("next.config.mjs", "http://worker.internal:8080"),
        ("kong.yml", "http://carousel:8080"),
    ];
    assert_eq!(sent.len(), hosts.len());
    for (Sent { file, routes }, (name, host)) in sent.into_iter().zip(hosts) {
        assert_eq!(file, name);
        for path in api {
            assert_eq!(routes[path].as_deref(), Some(format!("{host}{path}").as_str()), "{file}: {path}");
        }
        for path in others {
            assert_eq!(routes[path], None, "{file}: {path}");
        }
    }
}
