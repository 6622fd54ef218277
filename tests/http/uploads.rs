use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::deployment::picture;
use crate::door::{Door, GENERATE};

/// A photo under a name and a type that say something else.
fn photo() -> Part {
    Part::bytes(picture()).file_name("../../evil.html").mime_str("text/html").unwrap()
}

fn job(wanted: &Value) -> Form {
    Form::new().text("job", wanted.to_string())
}

#[tokio::test]
async fn photos_come_with_the_job_and_are_kept_byte_for_byte() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let first = anna.photo().await;
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(40, 40, image::Rgb([9, 90, 200]))
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    let jpeg = jpeg.into_inner();
    // The files before the job, one of them without a length.
    let pieces: Vec<_> =
        picture().chunks(7).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    let form = Form::new()
        .part("files", Part::stream(Body::wrap_stream(stream::iter(pieces))).file_name("a.png"))
        .part("files", Part::bytes(jpeg.clone()).file_name("b"))
        .text("job", json!({ "prompt": "a cup", "source_paths": [first], "title": "mixed" }).to_string());
    let made = door.send(door.post(GENERATE, &anna.token).multipart(form)).await;
    assert_eq!(made.status, 202, "{}", made.body);
    let paths: Vec<&str> =
        made.body["source_paths"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!((paths.len(), paths[0]), (3, first.as_str()));
    assert!(paths.iter().all(|path| path.starts_with(&format!("{}/sources/", anna.id))), "{paths:?}");
    assert!(paths[1].ends_with(".png") && paths[2].ends_with(".jpg"), "{paths:?}");
    assert_eq!(anna.download(paths[1]).await, picture());
    assert_eq!(anna.download(paths[2]).await, jpeg);

    let worker = door.deployment.worker();
    assert_eq!(anna.over(made.body["id"].as_str().unwrap()).await["status"], "completed");
    worker.drain().await;
}

#[tokio::test]
async fn what_a_refused_form_has_uploaded_goes_after_a_day() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let fine = json!({ "prompt": "a cup" });
    let many = (0..17).fold(job(&fine), |form, _| form.part("files", photo()));
    let text = Part::bytes(b"<html>".to_vec()).file_name("a.png").mime_str("image/png").unwrap();
    let rows = [
        ("no job", Form::new().part("files", photo()), 400, "malformed"),
        ("two jobs", job(&fine).text("job", "{}").part("files", photo()), 400, "malformed"),
        ("no JSON", Form::new().part("files", photo()).text("job", "{"), 400, "malformed"),
        (
            "a forged column",
            Form::new().part("files", photo()).text("job", r#"{"status":"completed"}"#),
            400,
            "malformed",
        ),
        ("an unknown part", job(&fine).part("files", photo()).text("colour", "red"), 400, "malformed"),
        ("a job that is refused", job(&json!({})).part("files", photo()), 400, "prompt_missing"),
        ("a file that is none", job(&fine).part("files", photo()).part("files", text), 415, "source_not_an_image"),
        (
            "an empty file",
            job(&fine).part("files", Part::bytes(Vec::new()).file_name("a.png")),
            415,
            "source_not_an_image",
        ),
        ("17 files", many, 400, "too_many_sources"),
        ("no sources", job(&fine), 400, "sources_missing"),
    ];
    for (what, form, status, code) in rows {
        eprintln!("{what}");
        door.refused(door.post(GENERATE, &anna.token).multipart(form), status, code).await;
        assert_eq!(door.kept().await, 0, "{what}");
    }
    let forged = job(&fine).part("files", photo());
    door.refused(door.post(GENERATE, "a.b.c").multipart(forged), 401, "unauthorized").await;
    let unbound = door.post(GENERATE, &anna.token).header("content-type", "multipart/form-data").body("x");
    door.refused(unbound, 400, "malformed").await;
    assert_eq!(door.kept().await, 0);
}

#[tokio::test]
async fn a_form_may_bring_more_photos_where_each_slide_sees_its_own() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let photos = |form: Form| (0..17).fold(form, |form, _| form.part("files", photo()));
    let wanted = json!({ "prompt": "a cup", "slides_from": "sources", "aspect_ratios": ["auto"] });
    let each = door.send(door.post(GENERATE, &anna.token).multipart(photos(job(&wanted)))).await;
    assert_eq!((each.status, &each.body["total_images"]), (202, &json!(17)), "{}", each.body);
    // The job may stand behind its files.
    let named = json!({ "prompt": "a cup", "slide_prompts": ["a", "b"], "slide_sources": [(1..=16).collect::<Vec<_>>(), [17]] });
    let named =
        door.send(door.post(GENERATE, &anna.token).multipart(photos(Form::new()).text("job", named.to_string()))).await;
    assert_eq!((named.status, &named.body["slide_sources"][1]), (202, &json!([17])), "{}", named.body);
    let before = door.kept().await;
    for shared in [json!({ "prompt": "a cup" }), json!({ "prompt": "a cup", "slides_from": "prompts" })] {
        let behind = photos(Form::new()).text("job", shared.to_string());
        door.refused(door.post(GENERATE, &anna.token).multipart(behind), 400, "too_many_sources").await;
        door.refused(door.post(GENERATE, &anna.token).multipart(photos(job(&shared))), 400, "too_many_sources").await;
    }
    assert_eq!(door.kept().await, before, "what a refused form has brought goes after a day");
    for wrong in [json!("1"), json!([1]), json!([[1.5]]), json!([[-1]]), json!([["1"]])] {
        let wrong = json!({ "prompt": "a cup", "source_paths": each.body["source_paths"], "slide_sources": wrong });
        door.refused(door.post(GENERATE, &anna.token).json(&wrong), 400, "malformed").await;
    }
    let wrong = json!({ "prompt": "a cup", "source_paths": each.body["source_paths"], "slides_from": "photos" });
    door.refused(door.post(GENERATE, &anna.token).json(&wrong), 400, "malformed").await;
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_and_the_others_go_after_a_day() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let head = stream::iter([Ok::<_, std::io::Error>(Bytes::from(picture()))]);
    let rest = stream::iter((0..51).map(|_| Ok(Bytes::from(vec![0; 1 << 20]))));
    let large = Part::stream(Body::wrap_stream(head.chain(rest))).file_name("a.png");
    let form = job(&json!({ "prompt": "a cup" })).part("files", photo()).part("files", large);
    door.refused(door.post(GENERATE, &anna.token).multipart(form), 413, "file_too_large").await;
    assert_eq!((door.objects().await, door.kept().await), (1, 0));
    let form = Form::new().text("job", format!("{{\"prompt\":\"{}\"}}", "x".repeat(5 << 20)));
    door.refused(door.post(GENERATE, &anna.token).multipart(form), 413, "body_too_large").await;
}

#[tokio::test]
async fn a_repeated_form_gets_the_first_job_and_its_files_go_after_a_day() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let request = || {
        let form = job(&json!({ "prompt": "a cup" })).part("files", photo());
        door.post(GENERATE, &anna.token).header("idempotency-key", "form-1").multipart(form)
    };
    // Two at once: both upload, and one of them finds the other's job.
    let (one, two) = tokio::join!(door.send(request()), door.send(request()));
    assert_eq!((one.status, two.status, &one.body["id"]), (202, 202, &two.body["id"]));
    let three = door.send(request()).await;
    assert_eq!((three.status, &three.body["id"]), (202, &one.body["id"]));
    assert!(three.headers.contains_key("idempotency-replayed"));
    door.settled().await;
    assert_eq!(door.kept().await, 1);
    anna.download(one.body["source_paths"][0].as_str().unwrap()).await;
}

/// The head of a form that is sent by hand, and its first file without an end.
async fn broken_off(door: &Door, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(door.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {GENERATE} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000000\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"job\"\r\n\r\n{{\"prompt\":\"a cup\"}}\r\n\
         --b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"a.png\"\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&picture()).await.unwrap();
    stream
        .write_all(b"\r\n--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"b.png\"\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&picture()).await.unwrap();
    stream
}

/// Waits until the first file is in the bucket, and the second on its way.
async fn first_arrived(door: &Door) {
    let arriving = async {
        while door.objects().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), arriving).await.expect("the first file arrives");
}

#[tokio::test]
async fn what_a_form_that_breaks_off_has_uploaded_goes_after_a_day() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let stream = broken_off(&door, &anna.token).await;
    first_arrived(&door).await;
    drop(stream);
    door.settled().await;
    assert_eq!(door.kept().await, 0);
    assert_eq!(anna.rest("GET", "image_generation_jobs", None).await.1, json!([]));
}

#[tokio::test]
async fn what_a_form_has_uploaded_when_the_server_ends_goes_after_a_day() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let _stream = broken_off(&door, &anna.token).await;
    first_arrived(&door).await;
    door.end.cancel();
    let objects = door.objects().await;
    tokio::time::timeout(Duration::from_secs(180), door.serving).await.expect("the server ends").unwrap();
    let admin = door.deployment.project.admin().await;
    admin.batch_execute("select carousel_private.sweep_objects('0')").await.unwrap();
    let left = "select count(*) from storage.objects where not exists (select from carousel_private.storage_cleanup where path = name)";
    let left: i64 = admin.query_one(left, &[]).await.unwrap().get(0);
    assert!(objects > 0 && left == 0, "{objects}, then {left}");
}

#[tokio::test]
async fn a_part_whose_header_never_ends_is_refused_in_bounded_memory() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let endless = stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 20]))));
    let head = stream::iter([Ok(Bytes::from_static(b"--b\r\ncontent-disposition: form-data; "))]);
    let request = door
        .post(GENERATE, &anna.token)
        .header("content-type", "multipart/form-data; boundary=b")
        .body(Body::wrap_stream(head.chain(endless)));
    let told = door.refused(request, 400, "malformed").await;
    assert!(told["detail"].as_str().unwrap().contains("without end"), "{told}");
}

#[tokio::test]
async fn a_token_is_judged_before_the_body_is_asked_for() {
    let door = Door::new().await;
    let mut stream = TcpStream::connect(door.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST {GENERATE} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a.b.c\r\nexpect: 100-continue\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 1000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(60), stream.read_exact(&mut answer)).await.expect("it answers").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

/// Storage goes away in the middle of a form.
#[tokio::test]
async fn a_source_that_is_left_behind_goes_after_a_day_and_one_that_is_named_meanwhile_stays() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let text = Part::bytes(b"<html>".to_vec()).file_name("a.png").mime_str("image/png").unwrap();
    let form = job(&json!({ "prompt": "a cup" })).part("files", photo()).part("files", photo()).part("files", text);
    door.refused(door.post(GENERATE, &anna.token).multipart(form), 415, "source_not_an_image").await;
    let (_, uploads) = anna.rest("GET", "carousel_uploads?select=path,user_id&order=created_at", None).await;
    assert_eq!((uploads.as_array().unwrap().len(), &uploads[0]["user_id"]), (2, &json!(anna.id)), "{uploads}");
    // The person finds one among their files and uses it elsewhere, before the form is over.
    anna.submit(&json!({ "prompt": "a cup", "source_paths": [uploads[0]["path"]] })).await;
    assert_eq!((door.objects().await, door.kept().await), (2, 1));
    assert_eq!(anna.download(uploads[0]["path"].as_str().unwrap()).await, picture());
}
