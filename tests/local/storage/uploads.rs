//! Uploads: bytes, limits, types, names, and what is left when one fails.

use std::time::Duration;

use futures::future::join_all;
use futures::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::bench::{BUCKET, Bench, accepted, refused};

fn photo(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn raw_bytes_come_down_as_they_went_up() {
    let bench = Bench::new().await;
    let (name, bytes) = (bench.ann.source("a photo (1).png"), photo(300_000));
    let upload = bench.upload(&bench.ann, &name, bytes.clone()).header("cache-control", "private, max-age=7");
    let answer = accepted(upload.send().await.unwrap()).await;
    assert_eq!(answer["Key"], format!("{BUCKET}/{name}"));
    assert_eq!(bench.bytes(&name).await, bytes);

    let sql = "select id::text, owner::text, owner_id, metadata, path_tokens from storage.objects";
    let row = bench.admin.query_one(sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), answer["Id"]);
    assert_eq!([row.get::<_, String>(1), row.get(2)], [bench.ann.id.as_str(); 2]);
    let metadata = row.get::<_, serde_json::Value>(3);
    assert_eq!(metadata["size"], 300_000);
    assert_eq!(metadata["mimetype"], "image/png");
    assert_eq!(metadata["cacheControl"], "private, max-age=7");
    assert_eq!(row.get::<_, Vec<String>>(4), [bench.ann.id.as_str(), "sources", "a photo (1).png"]);
}

#[tokio::test]
async fn a_form_carries_the_bytes_and_what_is_said_about_them() {
    let bench = Bench::new().await;
    let (name, bytes) = (bench.ann.source("form.webp"), photo(100_000));
    let file = Part::bytes(bytes.clone()).file_name("blob").mime_str("image/webp").unwrap();
    let form = Form::new().text("cacheControl", "60").text("metadata", r#"{"from":"phone"}"#).part("", file);
    let upload = bench.request(Method::POST, &format!("/object/{BUCKET}/{name}"), &bench.ann.token).multipart(form);
    accepted(upload.send().await.unwrap()).await;
    assert_eq!(bench.bytes(&name).await, bytes);

    let info = bench.request(Method::GET, &format!("/object/info/{BUCKET}/{name}"), &bench.ann.token);
    let info = accepted(info.send().await.unwrap()).await;
    assert_eq!(info["metadata"], json!({ "from": "phone" }));
    assert_eq!(info["cache_control"], "max-age=60");
    assert_eq!(info["content_type"], "image/webp");
    assert_eq!(info["size"], 100_000);
}

#[tokio::test]
async fn a_form_without_a_file_is_refused() {
    let bench = Bench::new().await;
    let path = format!("/object/{BUCKET}/{}", bench.ann.source("none.png"));
    let form = Form::new().text("cacheControl", "60");
    let upload = bench.request(Method::POST, &path, &bench.ann.token).multipart(form);
    assert_eq!(refused(upload.send().await.unwrap()).await, ["400", "InvalidRequest", "No content provided"]);
    assert_eq!(bench.left().await, (0, 0));
}

#[tokio::test]
async fn an_object_is_replaced_only_when_the_upload_says_so() {
    let bench = Bench::new().await;
    let name = bench.ann.source("a.png");
    let first = accepted(bench.upload(&bench.ann, &name, "first").send().await.unwrap()).await;
    let again = bench.upload(&bench.ann, &name, "second").send().await.unwrap();
    assert_eq!(refused(again).await, ["409", "Duplicate", "The resource already exists"]);
    assert_eq!(bench.bytes(&name).await, b"first");

    let upsert = bench.upload(&bench.ann, &name, "third").header("x-upsert", "true");
    assert_eq!(accepted(upsert.send().await.unwrap()).await["Id"], first["Id"]);
    assert_eq!(bench.bytes(&name).await, b"third");

    let put = bench.request(Method::PUT, &format!("/object/{BUCKET}/{name}"), &bench.ann.token);
    let put = put.header("content-type", "image/png").body("fourth");
    accepted(put.send().await.unwrap()).await;
    assert_eq!(bench.bytes(&name).await, b"fourth");
    assert_eq!(bench.left().await, (1, 1), "replaced bytes stay behind");
}

#[tokio::test]
async fn uploads_that_replace_at_once_all_succeed_and_leave_one() {
    let bench = Bench::new().await;
    let name = bench.ann.source("b.png");
    let upsert = |_| bench.upload(&bench.ann, &name, photo(50_000)).header("x-upsert", "true").send();
    for answer in join_all((0..6).map(upsert)).await {
        accepted(answer.unwrap()).await;
    }
    assert_eq!(bench.left().await, (1, 1));
}

#[tokio::test]
async fn what_is_told_to_be_too_large_is_stopped_and_what_is_not_told_is_taken() {
    let bench = Bench::new().await;
    let path = format!("/object/small/{}", bench.ann.source("a.png"));
    let upload = || bench.request(Method::POST, &path, &bench.ann.token).header("content-type", "image/png");
    let too_large = ["413", "Payload too large", "The object exceeded the maximum allowed size"];

    assert_eq!(refused(upload().body(photo(1001)).send().await.unwrap()).await, too_large);
    let file = Part::bytes(photo(1001)).file_name("blob").mime_str("image/png").unwrap();
    let form = bench.request(Method::POST, &path, &bench.ann.token).multipart(Form::new().part("", file));
    assert_eq!(refused(form.send().await.unwrap()).await, too_large);
    assert_eq!(bench.left().await, (0, 0), "a refused upload leaves something");

    // Nobody counts raw bytes whose number the headers do not tell: the client has to.
    let chunks = stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(photo(500))));
    accepted(upload().body(Body::wrap_stream(chunks)).send().await.unwrap()).await;
}

#[tokio::test]
async fn a_bucket_takes_only_its_types_whatever_way_they_come() {
    let bench = Bench::new().await;
    let path = format!("/object/{BUCKET}/{}", bench.ann.source("a.gif"));
    let raw = bench.request(Method::POST, &path, &bench.ann.token).header("content-type", "image/gif").body("GIF89a");
    let refusal = ["415", "invalid_mime_type", "mime type image/gif is not supported"];
    assert_eq!(refused(raw.send().await.unwrap()).await, refusal);
    let file = Part::bytes(photo(10)).file_name("blob").mime_str("image/gif").unwrap();
    let form = bench.request(Method::POST, &path, &bench.ann.token).multipart(Form::new().part("", file));
    assert_eq!(refused(form.send().await.unwrap()).await, refusal);

    let small = format!("/object/small/{}", bench.ann.source("a.gif"));
    let small = bench.request(Method::POST, &small, &bench.ann.token).header("content-type", "image/gif");
    accepted(small.body("GIF89a").send().await.unwrap()).await;
}

#[tokio::test]
async fn a_name_that_is_no_key_is_refused() {
    let bench = Bench::new().await;
    for name in ["grüße.png", "a~b.png", "a[1].png", "a#b.png", "a%b.png"] {
        let name = bench.ann.source(name);
        let escaped = name.replace('%', "%25").replace('#', "%23");
        let answer = bench.upload(&bench.ann, &escaped, photo(10)).send().await.unwrap();
        assert_eq!(refused(answer).await, ["400", "InvalidKey", &format!("Invalid key: {name}")]);
    }
}

#[tokio::test]
async fn a_path_that_climbs_stays_a_name() {
    let bench = Bench::new().await;
    let name = format!("{}/sources/..%2F..%2F..%2Fescaped.png", bench.ann.id);
    accepted(bench.upload(&bench.ann, &name, "inside").send().await.unwrap()).await;
    assert_eq!(bench.left().await, (1, 1));
    assert_eq!(bench.bytes(&name).await, b"inside");
}

#[tokio::test]
async fn of_uploads_to_one_new_path_that_began_together_all_succeed_and_one_stays() {
    let bench = Bench::new().await;
    let name = bench.ann.source("same.png");
    let path = format!("/object/{BUCKET}/{name}");
    let mut uploads = Vec::new();
    for begun in 1..=8 {
        uploads.push(begin_upload(&bench, &path, &bench.ann.token, 1_000, 999).await);
        // Each was let in before the first of them is written.
        wait_until("the upload is let in", || bench.incoming() == begun).await;
    }
    for upload in &mut uploads {
        upload.write_all(b"x").await.unwrap();
        let mut answer = [0; 4096];
        let read = upload.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(bench.left().await, (1, 1));
    let late = bench.upload(&bench.ann, &name, photo(10)).send().await.unwrap();
    assert_eq!(refused(late).await[0], "409");
    assert_eq!(bench.bytes(&name).await.len(), 1_000);
}

#[tokio::test]
async fn a_field_counts_before_the_file_and_behind_a_small_one() {
    let bench = Bench::new().await;
    for (number, size, counts) in [(0, 300, true), (1, 400_000, false)] {
        let name = bench.ann.source(&format!("{number}.png"));
        let file = Part::bytes(photo(size)).file_name("blob").mime_str("image/png").unwrap();
        let form = Form::new().text("metadata", r#"{"said":"before"}"#).part("", file).text("cacheControl", "77");
        let path = format!("/object/{BUCKET}/{name}");
        accepted(bench.request(Method::POST, &path, &bench.ann.token).multipart(form).send().await.unwrap()).await;
        assert_eq!(bench.bytes(&name).await, photo(size));
        let row = "select metadata ->> 'cacheControl', user_metadata ->> 'said' from storage.objects where name = $1";
        let row = bench.admin.query_one(row, &[&name]).await.unwrap();
        let cache_control = if counts { "max-age=77" } else { "no-cache" };
        assert_eq!([row.get::<_, String>(0), row.get(1)], [cache_control, "before"], "{size}");
    }
}

#[tokio::test]
async fn an_unknown_bucket_is_not_found() {
    let bench = Bench::new().await;
    let upload = bench.request(Method::POST, "/object/elsewhere/a.png", &bench.ann.token).body("x");
    assert_eq!(refused(upload.send().await.unwrap()).await, ["404", "Bucket not found", "Bucket not found"]);
}

/// Writes the head of an upload, and `sent` bytes of the `length` that it announces.
async fn begin_upload(bench: &Bench, path: &str, token: &str, length: usize, sent: usize) -> TcpStream {
    let host = bench.url.trim_start_matches("http://").trim_end_matches("/storage/v1").to_owned();
    let mut connection = TcpStream::connect(&host).await.unwrap();
    let head = format!(
        "POST /storage/v1{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-type: image/png\r\ncontent-length: {length}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&photo(sent)).await.unwrap();
    connection
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let check = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), check).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let bench = Bench::new().await;
    let path = format!("/object/{BUCKET}/{}", bench.ann.source("half.png"));
    let connection = begin_upload(&bench, &path, &bench.ann.token, 1_000_000, 400_000).await;
    wait_until("the upload has begun", || bench.incoming() == 1).await;
    drop(connection);
    wait_until("the half is swept away", || bench.incoming() == 0).await;
    assert_eq!(bench.left().await, (0, 0));
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body_and_leaves_the_connection_deaf() {
    let bench = Bench::new().await;
    let path = format!("/object/{BUCKET}/{}", bench.ann.source("big.png"));
    let mut connection = begin_upload(&bench, &path, &bench.bob.token, 40_000_000, 1_000).await;
    let mut answer = [0; 4096];
    let read = connection.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("\"statusCode\":\"403\""), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("connection: close"), "{answer}");

    // What is sent now is still body: far more of it than any buffer holds is never read.
    let flood = async {
        let chunk = photo(1 << 20);
        for _ in 0..38 {
            connection.write_all(&chunk).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), flood).await.is_err(), "the refused body is drained");
}
