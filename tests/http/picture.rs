//! One picture at a time, as a frontend from before carousel asks for it.

use std::time::Duration;

use carousel::http::Settings;
use carousel_local::openai::{ApiError, Fault};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::deployment::{Person, picture};
use crate::door::{Answer, Door, GENERATE, JOBS, settings};

fn photo() -> Part {
    Part::bytes(picture()).file_name("photo.png").mime_str("image/png").unwrap()
}

/// The form as that frontend sends it.
fn form(prompt: &str) -> Form {
    let settings = json!({ "aspect_ratio": "auto", "quality": "hd", "use_lowercase": true, "add_borders": true,
        "border_color": "#fafafa", "temperature": 0.7 });
    Form::new()
        .part("source_image", photo())
        .text("prompt", prompt.to_owned())
        .text("carousel_index", "1")
        .text("image_index", "2")
        .text("settings", settings.to_string())
}

/// The person's only job, as soon as there is one.
async fn only_job(anna: &Person<'_>) -> Value {
    let there = async {
        loop {
            let (_, mut rows) = anna.rest("GET", "image_generation_jobs", None).await;
            if rows[0].is_object() {
                return rows[0].take();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), there).await.expect("the job comes")
}

/// What an `<img>` shows: an address alone, without any header.
async fn seen(answer: &Answer) -> Vec<u8> {
    let shown = reqwest::get(answer.body["imageUrl"].as_str().unwrap()).await.unwrap().error_for_status().unwrap();
    assert_eq!(shown.headers()["content-type"], "image/png");
    shown.bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn one_picture_is_answered_when_it_is_there() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let worker = door.deployment.worker();
    let made = door.send(door.post(GENERATE, &anna.token).multipart(form("a calm sea"))).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let job = anna.job(made.body["jobId"].as_str().unwrap()).await;
    let expected = json!({ "title": "Carousel 2, slide 3", "prompt": "a calm sea", "aspect_ratios": ["auto"], "quality": "high",
        "style": { "lettering": "all in lowercase", "borders": "#fafafa" }, "total_images": 1, "status": "completed" });
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&job[column], value, "{column}");
    }
    assert_eq!(made.headers["location"], format!("{JOBS}/{}", job["id"].as_str().unwrap()));
    let image = &anna.images(job["id"].as_str().unwrap()).await[0];
    let told = ["imageId", "storagePath", "width", "height"].map(|name| made.body[name].clone());
    assert_eq!(told, ["id", "storage_path", "width", "height"].map(|column| image[column].clone()));
    let sides = ["width", "height"].map(|side| made.body[side].as_u64().unwrap());
    assert_eq!(sides[0] * 48, sides[1] * 64, "it is as its photo: {sides:?}");
    let stored = anna.download(image["storage_path"].as_str().unwrap()).await;
    assert!(made.body["imageUrl"].as_str().unwrap().contains("/object/sign/"), "{}", made.body);
    assert_eq!(seen(&made).await, stored);

    // In a public bucket it is the address that stays. A ratio of its own goes before the settings'.
    let admin = door.deployment.project.admin().await;
    admin.batch_execute("update storage.buckets set public = true where id = 'generated-carousels'").await.unwrap();
    let public = form("a calm sea").text("aspect_ratio", "2:3");
    let public = door.send(door.post(GENERATE, &anna.token).multipart(public)).await;
    assert_eq!(public.status, 200, "{}", public.body);
    assert!(public.body["imageUrl"].as_str().unwrap().contains("/object/public/"), "{}", public.body);
    assert_eq!(seen(&public).await, anna.download(public.body["storagePath"].as_str().unwrap()).await);
    let sides = ["width", "height"].map(|side| public.body[side].as_u64().unwrap());
    assert_eq!(sides[0] * 3, sides[1] * 2, "{sides:?}");
    worker.drain().await;
}

#[tokio::test]
async fn who_waits_for_a_picture_is_told_that_it_failed_was_cancelled_or_is_gone() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    door.deployment.openai.faults().on("a fight", 1, Fault::Refused(ApiError::moderation_blocked()));
    let worker = door.deployment.worker();
    let failed = door.send(door.post(GENERATE, &anna.token).multipart(form("a fight"))).await;
    let job = only_job(&anna).await;
    assert_eq!((failed.status, &failed.body["code"]), (422, &json!("moderation_blocked")), "{}", failed.body);
    assert_eq!(failed.body["detail"], job["error_message"]);
    assert_eq!(failed.headers["location"], format!("{JOBS}/{}", job["id"].as_str().unwrap()));
    worker.drain().await;

    for (end, status, code) in [("cancel", 409, "cancelled"), ("delete", 404, "not_found")] {
        let bert = door.deployment.person().await;
        let ending = async {
            let job = format!("{JOBS}/{}", only_job(&bert).await["id"].as_str().unwrap());
            match end {
                "cancel" => door.send(door.post(&format!("{job}/cancel"), &bert.token)).await,
                _ => door.send(door.request(reqwest::Method::DELETE, &job).bearer_auth(&bert.token)).await,
            }
        };
        let asked = door.refused(door.post(GENERATE, &bert.token).multipart(form("a cup")), status, code);
        let (_, ended) = tokio::join!(asked, ending);
        assert!(ended.status < 300, "{end}: {}", ended.body);
    }
}

#[tokio::test]
async fn a_picture_that_takes_longer_goes_on_and_its_key_finds_it() {
    let door = Door::with(Settings { patience: Duration::from_millis(200), ..settings() }).await;
    let anna = door.deployment.person().await;
    let request = || door.post(GENERATE, &anna.token).header("idempotency-key", "picture-1").multipart(form("a cup"));
    let late = door.send(request()).await;
    assert_eq!((late.status, &late.body["code"]), (504, &json!("picture_not_ready")), "{}", late.body);
    let job = only_job(&anna).await;
    assert_eq!(late.headers["location"], format!("{JOBS}/{}", job["id"].as_str().unwrap()));
    assert_eq!(job["status"], "pending");
    let worker = door.deployment.worker();
    assert_eq!(anna.over(job["id"].as_str().unwrap()).await["status"], "completed");
    let again = door.send(request()).await;
    assert_eq!((again.status, &again.body["jobId"]), (200, &job["id"]), "{}", again.body);
    seen(&again).await;
    worker.drain().await;
}

#[tokio::test]
async fn the_job_of_a_picture_stays_when_who_waits_goes_or_the_server_ends() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let gone = tokio::spawn(door.post(GENERATE, &anna.token).multipart(form("a cup")).send());
    let job = only_job(&anna).await;
    gone.abort();
    let ending = async {
        only_job(&bert).await;
        door.end.cancel();
    };
    let (late, ()) = tokio::join!(door.send(door.post(GENERATE, &bert.token).multipart(form("a cup"))), ending);
    assert_eq!((late.status, &late.body["code"]), (504, &json!("picture_not_ready")), "{}", late.body);
    let worker = door.deployment.worker();
    assert_eq!(anna.over(job["id"].as_str().unwrap()).await["status"], "completed");
    worker.drain().await;
}

#[tokio::test]
async fn a_form_for_one_picture_is_told_which_part_is_wrong() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let with = |name: &'static str, value: &str| Form::new().text(name, value.to_owned()).part("source_image", photo());
    let told = |settings: Value| with("settings", &settings.to_string()).text("prompt", "a cup");
    let text = || Part::bytes(b"<html>".to_vec()).file_name("a.png").mime_str("image/png").unwrap();
    let rows = [
        (Form::new().text("prompt", "a cup"), 400, "sources_missing", "`source_image`"),
        (Form::new().part("source_image", photo()), 400, "prompt_missing", "`prompt`"),
        (with("prompt", " "), 400, "prompt_missing", "`prompt`"),
        (with("prompt", "a cup").text("prompt", "a cup"), 400, "malformed", "`prompt`"),
        (with("prompt", "a cup").part("source_image", photo()), 400, "malformed", "`source_image`"),
        (Form::new().part("source_image", text()), 415, "source_not_an_image", "`source_image`"),
        (with("carousel_index", "-1"), 400, "value_invalid", "`carousel_index`"),
        (with("image_index", "one"), 400, "value_invalid", "`image_index`"),
        (with("aspect_ratio", "7:1"), 400, "value_invalid", "`aspect_ratio`"),
        (with("settings", "["), 400, "malformed", "`settings`"),
        (with("settings", "[]"), 400, "malformed", "`settings`"),
        (with("prompt", &"x".repeat(2 << 20)), 413, "body_too_large", "`prompt`"),
        (Form::new().part("prompt", Part::bytes(vec![0xff])), 400, "malformed", "`prompt`"),
        (told(json!({ "aspect_ratio": "7:1" })), 400, "value_invalid", "`settings.aspect_ratio`"),
        (told(json!({ "aspect_ratio": 1 })), 400, "value_invalid", "`settings.aspect_ratio`"),
        (told(json!({ "quality": "best" })), 400, "value_invalid", "`settings.quality`"),
        (told(json!({ "use_lowercase": "yes" })), 400, "value_invalid", "`settings.use_lowercase`"),
        (told(json!({ "border_color": 7 })), 400, "value_invalid", "`settings.border_color`"),
        (with("prompt", "a cup").text("job", "{}"), 400, "malformed", "`job`"),
        (Form::new().text("job", "{}").text("prompt", "a cup"), 400, "malformed", "`job`"),
        (Form::new().part("files", photo()).text("prompt", "a cup"), 400, "malformed", "`files`"),
        (with("prompt", "a cup").text("colour", "red"), 400, "malformed", "`files`"),
    ];
    for (form, status, code, field) in rows {
        let told = door.refused(door.post(GENERATE, &anna.token).multipart(form), status, code).await;
        assert!(told["detail"].as_str().unwrap().contains(field), "{field}: {told}");
        assert_eq!(door.kept().await, 0, "{told}");
    }
    assert_eq!(anna.rest("GET", "image_generation_jobs", None).await.1, json!([]));
    door.refused(door.post(GENERATE, "a.b.c").multipart(form("a cup")), 401, "unauthorized").await;
}
