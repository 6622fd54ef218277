//! A Storage that lies. It is the project's own, but what stands in front of it need not be.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use image::ImageFormat;
use serde_json::json;

use crate::deployment::{Deployment, OPENAI_KEY};
use crate::files;
use crate::process::Worker;
use crate::wire::{Answer, Request, Wire, answer, endless, json as json_answer};

/// What Storage answers to a download, and the code that the job ends with for good.
fn final_downloads() -> [(&'static str, Answer, &'static str); 5] {
    let whole = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: image/png\r\n";
    [
        ("endless", endless(format!("{whole}\r\n"), "\x00"), "source_too_large"),
        ("length", answer("200 OK", "content-length: 1099511627776\r\n", ""), "source_too_large"),
        ("page", answer("200 OK", "content-type: image/png\r\n", "<html>log in</html>"), "source_not_an_image"),
        ("gzip", answer("200 OK", "content-encoding: gzip\r\n", files::gzip(1 << 30)), "source_not_an_image"),
        (
            "missing",
            json_answer("400 Bad Request", &json!({ "statusCode": "404", "message": "Object not found" })),
            "source_not_found",
        ),
    ]
}

/// What Storage answers once, to a download or to an upload, before it comes to its senses.
fn passing(key: &str, elsewhere: &str) -> [(&'static str, Answer); 6] {
    let forged = format!("no:\r\n2026-11-22T00:00:00Z ERROR FORGED \u{1b}[31m {key}");
    let redirect = format!("location: {elsewhere}/elsewhere\r\n");
    [
        ("redirect", answer("302 Found", &redirect, "")),
        ("huge", json_answer("500 Internal Server Error", &json!({ "message": "sorry ".repeat(2 << 20) }))),
        ("unending", endless("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"message\":\"", "sorry ")),
        ("forged", json_answer("500 Internal Server Error", &json!({ "message": forged }))),
        ("header", endless("HTTP/1.1 200 OK\r\n", "x-padding: 0123456789abcdef\r\n")),
        ("nothing", Answer::Whole([].into())),
    ]
}

#[tokio::test]
async fn what_storage_answers_is_not_followed_not_unfolded_and_not_told() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let key = deployment.stack.secret_key().to_owned();
    let elsewhere = Wire::serve(|_| answer("200 OK", "", "")).await;
    let (finals, passing) = (final_downloads(), passing(&key, elsewhere.url()));

    let mut jobs = Vec::new();
    for (name, _, code) in &finals {
        jobs.push((*name, "download", Some(*code)));
    }
    for (name, _) in &passing {
        jobs.extend([(*name, "download", None), (*name, "upload", None)]);
    }
    // The paths say which answer is wanted, those of uploads by their job.
    let mut rows = Vec::new();
    let mut uploads = Vec::new();
    for (name, way, code) in jobs {
        let path = format!("{}/sources/{way}-{name}.png", person.id);
        let job = person.submit(&json!({ "prompt": format!("{way} {name}"), "source_paths": [path] })).await;
        if way == "upload" {
            uploads.push((format!("/jobs/{job}/"), name));
        }
        rows.push((format!("{way} {name}"), job, code));
    }

    let picture = answer("200 OK", "content-type: image/png\r\n", files::picture(ImageFormat::Png, 320, 400));
    let answered = Mutex::new(HashSet::new());
    let wire = Wire::serve(move |request: &Request| {
        let line = &request.line;
        let trapped = |way: &str, name: &str| {
            let upload = uploads.iter().any(|(job, trap)| *trap == name && line.contains(job));
            if way == "upload" {
                line.starts_with("POST ") && upload
            } else {
                line.contains(&format!("/download-{name}.png"))
            }
        };
        if line.contains("/storage/v1/bucket/") {
            return json_answer(
                "200 OK",
                &json!({ "id": "generated-carousels", "name": "generated-carousels", "public": false }),
            );
        }
        if let Some((_, answer, _)) = finals.iter().find(|(name, ..)| trapped("download", name)) {
            return answer.clone();
        }
        for way in ["download", "upload"] {
            if let Some((name, answer)) = passing.iter().find(|(name, _)| trapped(way, name)) {
                let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
                if answered.insert(format!("{way} {name}")) {
                    return answer.clone();
                }
            }
        }
        if line.starts_with("GET ") {
            picture.clone()
        } else {
            json_answer("200 OK", &json!({ "Key": "x", "Id": "x" }))
        }
    })
    .await;

    let openai = deployment.stack.openai_url().unwrap();
    let worker = Worker::start(&deployment, &openai, OPENAI_KEY, wire.url());
    for (name, job, code) in &rows {
        let row = person.over(job).await;
        assert_eq!(
            (&row["error_code"], row["status"] == "completed"),
            (&json!(code), code.is_none()),
            "{name}: {row:#}"
        );
        let text = row.to_string();
        assert!(!text.contains(&key) && !text.contains("FORGED"), "{name}: {text}");
    }
    assert_eq!(elsewhere.asked(), Vec::<String>::new(), "no redirect is followed");
    let completed = rows.iter().filter(|(.., code)| code.is_none()).count();
    assert_eq!(deployment.openai.billed(), completed as u64, "an upload that fails is not paid for again");
    worker.end(&[&key]).await;
}
