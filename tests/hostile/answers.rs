//! A provider that lies: every answer ends its own job with a code, and none of them the worker.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person};
use crate::files;
use crate::process::{KEY, Worker};
use crate::wire::{Answer, Request, Wire, answer, endless, json as json_answer};

const JSON: &str = "content-type: application/json\r\n";
const SSE: &str = "content-type: text/event-stream\r\n";
/// Behind the name of the trap; what a provider quotes of it must not come out.
const PROMPT: &str = "the secret recipe of the house, in oil";

/// What a job gets for an answer, and how it ends: with a code, or completed.
struct Trap {
    name: &'static str,
    answer: Answer,
    format: &'static str,
    code: Option<&'static str>,
}

fn trap(name: &'static str, answer: Answer, code: &'static str) -> Trap {
    Trap { name, answer, format: "png", code: Some(code) }
}

/// An answer with this image.
fn image(image: impl AsRef<[u8]>) -> Answer {
    json_answer("200 OK", &json!({ "data": [{ "b64_json": STANDARD.encode(image) }] }))
}

fn url(address: &str) -> Answer {
    json_answer("200 OK", &json!({ "data": [{ "url": address }] }))
}

fn streams() -> Vec<Trap> {
    let whole = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
    let document = format!("{whole}{JSON}\r\n");
    let partial = |at: usize| {
        format!(
            "event: image_edit.partial_image\ndata: {{\"partial_image_index\":{at},\"b64_json\":\"AQID\"}}\n\n: still\n\n"
        )
    };
    let last = json!({ "b64_json": STANDARD.encode(files::picture(ImageFormat::Png, 1024, 1024)) });
    let many: String =
        (0..10_000).map(partial).chain([format!("event: image_edit.completed\ndata: {last}\n\n")]).collect();
    let gzip = files::gzip(1 << 30);
    vec![
        Trap { name: "events", answer: answer("200 OK", SSE, many), format: "png", code: None },
        trap("gzip", answer("200 OK", &format!("{JSON}content-encoding: gzip\r\n"), gzip), "answer_not_understood"),
        trap("header", endless(whole, "x-padding: 0123456789abcdef\r\n"), "provider_connection_lost"),
        trap("line", endless("HTTP/1.1 200 ", "O"), "provider_connection_lost"),
        trap("length", answer("200 OK", "content-length: 18446744073709551615\r\n", "{}"), "provider_connection_lost"),
        trap("image", endless(format!("{document}{{\"b64_json\":\""), "AAAA"), "answer_too_large"),
        trap("spaces", endless(format!("{document}{{"), " "), "answer_not_understood"),
        trap("nesting", endless(document.clone(), "[{\"a\":"), "answer_not_understood"),
        trap("text", endless(format!("{document}{{\"a\":\""), "a"), "answer_too_large"),
        trap("comments", endless(format!("{whole}{SSE}\r\n"), ": still working\n\n"), "answer_too_large"),
        trap("event", endless(format!("{whole}{SSE}\r\ndata: {{\"b64_json\":\""), "AAAA"), "answer_too_large"),
        trap("names", endless(format!("{whole}{SSE}\r\n"), "event"), "answer_too_large"),
    ]
}

fn pictures() -> Vec<Trap> {
    let genuine = files::picture(ImageFormat::Png, 1024, 1024);
    let chunks = |chunks: &[(&[u8; 4], Vec<u8>)]| files::with_chunks(&genuine, chunks);
    let script = b"Comment\0<script>alert(1)</script>".to_vec();
    let profile = [&b"icc\0\0"[..], &files::zeros(1 << 30)].concat();
    let text = [&b"Comment\0\0"[..], &files::zeros(1 << 30)].concat();
    let zip = [&genuine[..], b"PK\x03\x04\x14\0\0\0"].concat();
    let page = [&genuine[..], b"<html><script>alert(1)</script>"].concat();
    let lies = json!({
        "input_tokens": "many", "output_tokens": 1e30, "total_tokens": { "a": 1 }, "note": "\u{0}",
        "input_tokens_details": { "text_tokens": { "a": 1 }, "image_tokens": u64::MAX },
    });
    let lies = json!({ "data": [{ "b64_json": STANDARD.encode(&genuine) }], "usage": lies });
    let kept = |name, answer| Trap { name, answer, format: "png", code: None };
    vec![
        kept("script", image(chunks(&[(b"tEXt", script)]))),
        kept("texts", image(chunks(&[(b"zTXt", text)]))),
        kept("surplus", image(files::with_surplus(1024, 1024, 1 << 30))),
        kept("lies", json_answer("200 OK", &lies)),
        kept("profile", image(chunks(&[(b"iCCP", profile)]))),
        trap("claim", image(files::claiming(50_000, 50_000)), "result_wrong_size"),
        trap("pixels", image(files::claiming(1024, 1024)), "result_damaged"),
        trap("zip", image(zip), "result_damaged"),
        trap("page", image(page), "result_damaged"),
        trap("frames", image(files::animated_png(1024, 1024)), "result_damaged"),
        Trap { format: "webp", ..trap("film", image(files::animated_webp(1024, 1024)), "result_damaged") },
        trap("svg", image("<svg xmlns='http://www.w3.org/2000/svg'/>"), "result_not_an_image"),
    ]
}

fn words(own: &str) -> Vec<Trap> {
    let said = |message: String| json!({ "error": { "message": message, "code": "odd" } });
    let forged = format!("no:\r\n2026-11-22T00:00:00Z ERROR FORGED \u{1b}[31m\u{202e} {KEY} trap:forged. {PROMPT}");
    let page = format!("<html>{forged}</html>");
    vec![
        trap("huge", json_answer("400 Bad Request", &said("sorry ".repeat(1 << 20))), "invalid_request"),
        trap("forged", json_answer("400 Bad Request", &said(forged.clone())), "invalid_request"),
        trap("plain", answer("400 Bad Request", "", forged), "invalid_request"),
        trap("html", answer("502 Bad Gateway", "content-type: text/html\r\n", page), "provider_error"),
        trap("loopback", url(&format!("{own}/picture.png")), "answer_url_refused"),
        trap("metadata", url("http://169.254.169.254/latest/meta-data"), "answer_url_refused"),
        trap("file", url("file:///etc/passwd"), "answer_url_refused"),
        trap("data", url("data:image/png;base64,AQID"), "result_not_an_image"),
        trap("text", url("data:text/html,<script>alert(1)</script>"), "answer_not_understood"),
    ]
}

/// The trap that a request's prompt names, by the words around it.
fn named(request: &Request) -> Option<String> {
    let text = String::from_utf8_lossy(&request.body);
    let (_, rest) = text.split_once("trap:")?;
    rest.split_once('.').map(|(name, _)| name.to_owned())
}

async fn submit(person: &Person<'_>, source: &str, name: &str, format: &str) -> String {
    let prompt = format!("trap:{name}. {PROMPT}");
    // A model of one's own choice: what it does is no reason to leave the provider alone.
    let model = "gpt-image-2-2026-04-21";
    person.submit(&json!({ "prompt": prompt, "source_paths": [source], "output_format": format, "model": model })).await
}

async fn springs(deployment: &Deployment, traps: Vec<Trap>) {
    let genuine = image(files::picture(ImageFormat::Png, 1024, 1024));
    let answers: HashMap<_, _> = traps.iter().map(|trap| (trap.name.to_owned(), trap.answer.clone())).collect();
    let wire = Wire::serve(move |request| match named(request) {
        None if request.line.starts_with("GET /v1/models ") => json_answer("200 OK", &json!({})),
        None => answer("404 Not Found", "", ""),
        Some(name) => answers.get(&name).unwrap_or(&genuine).clone(),
    })
    .await;
    let person = deployment.person().await;
    let source = person.photo().await;
    let worker = Worker::start(deployment, &format!("{}/v1", wire.url()), KEY, deployment.stack.url());
    let mut jobs = Vec::new();
    for trap in &traps {
        jobs.push(submit(&person, &source, trap.name, trap.format).await);
    }
    for (trap, job) in traps.iter().zip(&jobs) {
        let row = person.over(job).await;
        let image = person.images(job).await.remove(0);
        let name = trap.name;
        assert_eq!(image["error_code"], json!(trap.code), "{name}: {image:#}");
        let status = if trap.code.is_some() { "failed" } else { "completed" };
        assert_eq!((&row["status"], &image["status"]), (&json!(status), &json!(status)), "{name}");
        harmless(name, &row);
        harmless(name, &image);
        if let (None, Answer::Whole(sent)) = (trap.code, &trap.answer) {
            let path = image["storage_path"].as_str().expect("a completed image has a path");
            let stored = STANDARD.encode(person.download(path).await);
            assert!(memchr::memmem::find(sent, stored.as_bytes()).is_some(), "{name} is stored byte for byte");
        }
        if name == "lies" {
            assert_eq!(image["usage"], json!({ "input_tokens_details": {} }), "what can't be counted is not kept");
        }
    }
    let last = submit(&person, &source, "none", "png").await;
    assert_eq!(person.over(&last).await["status"], "completed", "the worker goes on");

    let asked = wire.asked();
    let odd: Vec<_> =
        asked.iter().filter(|line| !line.contains(" /v1/images/edits ") && !line.contains(" /v1/models ")).collect();
    assert!(odd.is_empty(), "addresses that an answer named were asked for: {odd:?}");
    let calls = asked.iter().filter(|line| line.starts_with("POST ")).count();
    assert_eq!(calls, traps.len() + 1, "each job was paid for once");
    let stored = "select count(*) from storage.objects where name like '%/jobs/%'";
    let stored: i64 = deployment.project.admin().await.query_one(stored, &[]).await.unwrap().get(0);
    let kept = 1 + traps.iter().filter(|trap| trap.code.is_none()).count();
    assert_eq!(stored, kept as i64, "only finished images are stored");
    worker.end(&[KEY, deployment.stack.secret_key(), PROMPT]).await;
}

#[tokio::test]
async fn a_preview_is_shown_only_when_it_is_a_picture_that_was_asked_for() {
    let genuine = files::picture(ImageFormat::Png, 1024, 1024);
    let stream = |previews: &[&[u8]]| {
        let event = |kind: &str, image: &[u8]| {
            let data = json!({ "type": format!("image_edit.{kind}"), "b64_json": STANDARD.encode(image) });
            format!("data: {data}\n\n")
        };
        let previews: String = previews.iter().map(|preview| event("partial_image", preview)).collect();
        answer("200 OK", SSE, previews + &event("completed", &genuine))
    };
    let page = b"<html><script>alert(1)</script>";
    let hostile = stream(&[page, &files::claiming(50_000, 50_000), &files::picture(ImageFormat::Jpeg, 1024, 1024)]);
    let more_than_asked = stream(&[&genuine[..]; 50]);
    let provider = Wire::serve(move |request| match named(request).as_deref() {
        Some("hostile") => hostile.clone(),
        Some(_) => more_than_asked.clone(),
        None => json_answer("200 OK", &json!({})),
    })
    .await;
    let photo = answer("200 OK", "content-type: image/png\r\n", files::picture(ImageFormat::Png, 64, 64));
    let storage = Wire::serve(move |request| match request.line.split_once(' ') {
        Some(("GET", path)) if path.contains("/object/") => photo.clone(),
        _ => json_answer(
            "200 OK",
            &json!({ "id": "generated-carousels", "name": "generated-carousels", "public": false }),
        ),
    })
    .await;

    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let worker = Worker::start(&deployment, &format!("{}/v1", provider.url()), KEY, storage.url());
    for (name, previews, shown) in [("hostile", 3, 0..=0), ("many", 2, 1..=2), ("many", 0, 0..=0)] {
        let source = format!("{}/sources/photo.png", person.id);
        let prompt = format!("trap:{name}. {PROMPT}");
        let job = json!({ "prompt": prompt, "source_paths": [source], "partial_previews": previews });
        let job = person.submit(&job).await;
        assert_eq!(person.over(&job).await["status"], "completed", "{name}");
        let uploads = storage.asked().into_iter().filter(|line| line.starts_with("POST ") && line.contains(&job));
        let (previews, images): (Vec<_>, Vec<_>) = uploads.partition(|line| line.contains("-preview-"));
        assert_eq!(images.len(), 1, "{images:?}");
        // A preview that finds the one before it still on its way is passed over.
        assert!(shown.contains(&previews.len()), "{name}: {previews:?}");
    }
    worker.end(&[KEY, deployment.stack.secret_key()]).await;
}

/// A row shows one short line of words, without key or prompt.
fn harmless(name: &str, row: &Value) {
    for column in ["error_message", "message", "provider_request_id"] {
        let text = row[column].as_str().unwrap_or_default();
        assert!(text.chars().count() <= 500, "{name}: {text}");
        assert!(!text.contains(|letter: char| letter.is_control() || letter == '\u{202e}'), "{name}: {text:?}");
        assert!(!text.contains(KEY) && !text.contains(PROMPT), "{name}: {text}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_ends_its_own_job_and_fills_no_memory() {
    springs(&Deployment::new().await, streams()).await;
}

#[tokio::test]
async fn a_picture_that_is_more_than_a_picture_is_refused_or_kept_as_it_is_and_never_unfolded() {
    springs(&Deployment::new().await, pictures()).await;
}

#[tokio::test]
async fn what_a_provider_says_is_one_line_without_secrets_and_no_address_of_its_is_followed() {
    let elsewhere = Wire::serve(|_| answer("200 OK", "", "")).await;
    springs(&Deployment::new().await, words(elsewhere.url())).await;
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}
