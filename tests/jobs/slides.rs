//! Which photos go along with which slide, and the shape that a slide has from its photo.

use std::io::Cursor;

use carousel::image;
use carousel::job::Size;
use carousel_local::openai::{ApiError, Fault};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, Person};

/// A photo of this size, unlike those with another shade.
fn photo(width: u32, height: u32, shade: u8, format: ::image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let pixels = ::image::RgbImage::from_fn(width, height, |x, y| ::image::Rgb([x as u8, y as u8, shade]));
    pixels.write_to(&mut bytes, format).expect("a picture can be encoded");
    bytes.into_inner()
}

/// A JPEG that lies on its side, as phones save them: it is shown `height` wide and `width` tall.
fn turned(width: u32, height: u32) -> Vec<u8> {
    let lying = photo(width, height, 77, ::image::ImageFormat::Jpeg);
    let exif = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    [&lying[..2], exif, &lying[2..]].concat()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digests of what each call for a slide carried, by the call's prompt.
fn sent(deployment: &Deployment, slide: &str) -> Vec<Vec<String>> {
    let calls = deployment.openai.calls().into_iter().filter(|call| call.prompt().contains(slide));
    calls.map(|call| call.images.into_iter().map(|image| image.sha256).collect()).collect()
}

async fn remove(person: &Person<'_>, path: &str) {
    let stack = &person.deployment.stack;
    let url = format!("{}/storage/v1/object/generated-carousels/{path}", stack.url());
    let request =
        person.deployment.http.delete(url).header("apikey", stack.publishable_key()).bearer_auth(&person.token);
    request.send().await.expect("Storage answers").error_for_status().expect("it is removed");
}

#[tokio::test]
async fn each_photo_becomes_a_slide_in_its_own_shape_and_sees_no_other_photo() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let photos = [
        ("wide.png", "image/png", photo(240, 160, 1, ::image::ImageFormat::Png), (3, 2)),
        ("tall.webp", "image/webp", photo(100, 200, 2, ::image::ImageFormat::WebP), (1, 2)),
        ("turned.jpg", "image/jpeg", turned(200, 150), (3, 4)),
    ];
    let mut paths = Vec::new();
    for (name, mime, bytes, _) in &photos {
        paths.push(person.upload(name, mime, bytes.clone()).await);
    }
    let job = person
        .submit(&json!({
            "prompt": "a watercolour", "source_paths": paths, "slides_from": "sources", "variants": 2, "aspect_ratios": ["auto"],
            "slide_prompts": ["of the road", "", "of the night"],
        }))
        .await;
    let row = person.over(&job).await;
    assert_eq!((&row["status"], &row["total_images"]), (&json!("completed"), &json!(6)), "{row}");

    for (place, (.., bytes, _)) in photos.iter().enumerate() {
        let slide = format!("Slide {} of 3 of one carousel", place + 1);
        assert_eq!(sent(&deployment, &slide), vec![vec![digest(bytes)]; 2], "{slide}");
    }
    assert_eq!(sent(&deployment, "Slide 1 of 3 of one carousel: of the road\n").len(), 2);
    let images = person.images(&job).await;
    assert_eq!(images.len(), 6);
    for row in &images {
        let (.., (across, down)) = &photos[row["slide"].as_u64().unwrap() as usize - 1];
        let path = row["storage_path"].as_str().unwrap();
        assert!(path.contains(&format!("/{}-{}-auto-", row["variant"], row["slide"])), "{path}");
        let Size { width, height } = image::sniff(&mut Cursor::new(person.download(path).await)).unwrap().size;
        assert_eq!((width * down, height * across), (height * across, width * down), "{width}x{height} of {path}");
        assert_eq!((row["width"].as_u64(), row["height"].as_u64()), (Some(width.into()), Some(height.into())));
    }
    let (_, carousels) = person.rest("GET", &format!("generated_carousels?job_id=eq.{job}&order=variant"), None).await;
    let told: Vec<_> = carousels.as_array().unwrap().iter().map(|row| (&row["aspect_ratio"], &row["slides"])).collect();
    assert_eq!(told, [(&json!("auto"), &json!(3)); 2]);
}

#[tokio::test]
async fn a_hundred_photos_go_to_their_slides_in_the_order_that_was_asked_for() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let (mut paths, mut digests) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let bytes = photo(32, 24, number, ::image::ImageFormat::Png);
        digests.push(digest(&bytes));
        paths.push(person.upload("photo.png", "image/png", bytes).await);
    }
    // Sixteen to a slide, the last one first; and the first photo goes with the last slide as well.
    let mut slides: Vec<Vec<usize>> = (1..=100).rev().collect::<Vec<_>>().chunks(16).map(<[_]>::to_vec).collect();
    slides.last_mut().unwrap().insert(0, 100);
    let job = person
        .submit(&json!({
            "prompt": "a wall of pictures", "source_paths": paths, "slide_sources": slides, "slide_prompts": vec![""; slides.len()],
        }))
        .await;
    let row = person.over(&job).await;
    assert_eq!((&row["status"], &row["total_images"]), (&json!("completed"), &json!(7)), "{row}");
    for (place, numbers) in slides.iter().enumerate() {
        let expected: Vec<String> = numbers.iter().map(|number| digests[number - 1].clone()).collect();
        assert_eq!(sent(&deployment, &format!("Slide {} of 7 ", place + 1)), [expected], "slide {}", place + 1);
    }
}

#[tokio::test]
async fn a_slide_that_is_made_once_more_needs_its_own_photo_only() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let photos: Vec<Vec<u8>> = (0..3).map(|shade| photo(48, 48, shade, ::image::ImageFormat::Png)).collect();
    let mut paths = Vec::new();
    for bytes in &photos {
        paths.push(person.upload("photo.png", "image/png", bytes.clone()).await);
    }
    deployment.openai.faults().on("Slide 2 of 3", 1, Fault::Refused(ApiError::moderation_blocked()));
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": paths, "slides_from": "sources" })).await;
    let row = person.over(&job).await;
    assert_eq!((&row["status"], &row["completed_images"]), (&json!("partial"), &json!(2)), "{row}");
    remove(&person, &paths[0]).await;
    remove(&person, &paths[2]).await;

    let retry = json!({ "retry_requested_at": "2026-01-01T00:00:00Z" });
    let retried = person.rest("PATCH", &format!("image_generation_jobs?id=eq.{job}"), Some(&retry)).await;
    assert_eq!(retried.0, 200);
    let row: Value =
        person.until(&job, |job| job["status"] == "completed" || job["error_code"] == "source_not_found").await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(sent(&deployment, "Slide 2 of 3"), vec![vec![digest(&photos[1])]; 2]);
    assert_eq!(deployment.openai.calls().len(), 4, "only that slide is made again");
}

#[tokio::test]
async fn a_photo_that_is_not_there_fails_the_job_before_anything_is_paid() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let missing = format!("{}/sources/missing.png", person.id);
    let sources = [person.photo().await, missing.clone()];
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": sources, "slides_from": "sources" })).await;
    let row = person.over(&job).await;
    assert_eq!((&row["status"], &row["error_code"]), (&json!("failed"), &json!("source_not_found")));
    assert!(row["error_message"].as_str().unwrap().contains(&missing), "{row}");
    assert!(deployment.openai.calls().is_empty());
}
