//! The provider against servers that speak HTTP by hand.

mod answers;
mod failures;
mod requests;
mod tls;
mod wire;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use wire::{Wire, answer};

use super::*;

const KEY: &str = "sk-test-0123456789";
const JSON: &str = "content-type: application/json\r\n";
const SSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
/// A patience that no test outlives.
const LONG: Duration = Duration::from_secs(60);
/// A patience that tests wait for.
const SHORT: Duration = Duration::from_millis(150);

fn settings(wire: &Wire) -> Settings {
    Settings {
        base_url: wire.url("/v1"),
        certificates: Vec::new(),
        api_key: KEY.into(),
        auth_header: "authorization".into(),
        query: None,
        connect_timeout: SHORT,
        silence_timeout: LONG,
        total_timeout: LONG,
        max_answer_bytes: 100_000_000,
        url_hosts: Vec::new(),
    }
}

fn provider(settings: Settings) -> Provider {
    Provider::new(settings).expect("the settings are usable")
}

/// Bytes without a pattern.
fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// An edit of sources with these contents, in a folder that goes away with the first value.
fn edit(sources: &[&[u8]]) -> (TempDir, Edit) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let spool = |(at, content): (usize, &&[u8])| {
        let path = folder.path().join(at.to_string());
        std::fs::write(&path, content).expect("a source is spooled");
        Source { path, bytes: content.len() as u64, format: if at == 0 { Format::Png } else { Format::Jpeg } }
    };
    let edit = Edit {
        model: "gpt-image-2".into(),
        prompt: "a lighthouse at dusk, seen from the sea".into(),
        sources: sources.iter().enumerate().map(spool).collect(),
        size: Size { width: 1024, height: 1280 },
        quality: None,
        format: Format::Webp,
        background: None,
        partial_images: 0,
        safety_identifier: None,
    };
    (folder, edit)
}

fn permits(count: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(count))
}

/// The body of an answer that names the image by its address.
fn body_with_url(address: &str) -> String {
    format!(r#"{{"data":[{{"url":"{address}"}}]}}"#)
}

/// A successful answer's body.
fn body(image: &[u8]) -> String {
    format!(r#"{{"data":[{{"b64_json":"{}"}}],"usage":{{"total_tokens":9}}}}"#, STANDARD.encode(image))
}
