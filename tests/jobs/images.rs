//! What comes out: sizes, bytes, previews, rows.

use carousel::image;
use carousel::job::{Format, Size};
use carousel::supabase::Change;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::deployment::{Deployment, picture};

#[tokio::test]
async fn a_job_becomes_carousels_of_exactly_the_shapes_asked_for() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    let job = person
        .submit(&json!({
            "prompt": "a cup", "slide_prompts": ["one", "two"], "variants": 2, "source_paths": [source],
            "aspect_ratios": ["1:1", "4:5", "9:16", "3:4", "16:9", "3:2", "2:3"],
        }))
        .await;
    let row = person.over(&job).await;
    assert_eq!(
        (&row["status"], &row["progress"], &row["completed_images"]),
        (&json!("completed"), &json!(100), &json!(28))
    );
    assert!(row["cost_usd"].as_f64().unwrap() > 0.0 && row["usage"]["total"].as_i64().unwrap() > 0, "{row}");

    let images = person.images(&job).await;
    assert_eq!(images.len(), 28);
    for row in &images {
        let path = row["storage_path"].as_str().unwrap();
        assert!(path.starts_with(&format!("{}/jobs/{job}/", person.id)), "{path}");
        let bytes = person.download(path).await;
        let header = image::sniff(&mut std::io::Cursor::new(&bytes)).unwrap();
        let (across, down) = row["aspect_ratio"].as_str().unwrap().split_once(':').unwrap();
        let (across, down): (u32, u32) = (across.parse().unwrap(), down.parse().unwrap());
        let Size { width, height } = header.size;
        assert_eq!(width * down, height * across, "{path} is {} but should be {}", header.size, row["aspect_ratio"]);
        assert_eq!((row["width"].as_u64(), row["height"].as_u64()), (Some(u64::from(width)), Some(u64::from(height))));
        assert_eq!(row["bytes"].as_u64(), Some(bytes.len() as u64));
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(row["sha256"], digest);
        assert!(row["thumbhash"].as_str().unwrap().len() >= 20);
    }
    let (_, carousels) = person.rest("GET", &format!("generated_carousels?job_id=eq.{job}"), None).await;
    let carousels = carousels.as_array().unwrap();
    assert_eq!(carousels.len(), 14);
    assert!(carousels.iter().all(|carousel| carousel["slides"] == 2
        && carousel["completed_slides"] == 2
        && !carousel["cover_path"].is_null()));
}

#[tokio::test]
async fn the_provider_receives_the_uploaded_bytes_and_nothing_about_the_person() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let mut photos = Vec::new();
    let mut paths = Vec::new();
    for shade in 0..3_u8 {
        // Bytes after the picture's end belong to the file as well.
        let photo = [picture(), vec![]].concat();
        let photo = if shade == 0 { photo } else { jpeg(shade) };
        let mime = if shade == 0 { "image/png" } else { "image/jpeg" };
        paths.push(person.upload("source", mime, photo.clone()).await);
        photos.push(photo);
    }
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": paths, "quality": "high" })).await;
    assert_eq!(person.over(&job).await["status"], "completed");
    let calls = deployment.openai.calls();
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(call.images.len(), 3);
    for (image, photo) in call.images.iter().zip(&photos) {
        let digest: String = Sha256::digest(photo).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&image.sha256, image.length), (&digest, photo.len() as u64));
    }
    assert_eq!(call.images[0].content_type, "image/png");
    assert_eq!(call.images[1].content_type, "image/jpeg");
    assert_eq!((call.field("size"), call.field("quality"), call.field("n")), ("1024x1024", "high", "1"));
    let identifier = call.field("safety_identifier");
    assert!(!identifier.is_empty() && !identifier.contains(&person.id.to_string()));
    let user = person.id.to_string();
    assert!(!call.fields.iter().any(|(_, value)| value.contains(&user)));
}

#[tokio::test]
async fn every_output_format_is_what_was_asked_for() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    for (name, format) in [("png", Format::Png), ("jpeg", Format::Jpeg), ("webp", Format::Webp)] {
        let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source], "output_format": name })).await;
        assert_eq!(person.over(&job).await["status"], "completed");
        let image = &person.images(&job).await[0];
        assert_eq!(image["mime_type"], format.mime());
        let bytes = person.download(image["storage_path"].as_str().unwrap()).await;
        assert_eq!(image::sniff(&mut std::io::Cursor::new(&bytes)).unwrap().format, format);
    }
}

#[tokio::test]
async fn partial_previews_are_shown_on_the_row_and_go_when_the_image_is_there() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let source = person.photo().await;
    deployment.openai.hold();
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source], "partial_previews": 2 })).await;
    let shown = shown_preview(&person, &job).await;
    assert!(image::sniff(&mut std::io::Cursor::new(person.download(&shown).await)).is_ok(), "a preview is a picture");
    // Its name is drawn at random: a count would tell how much others have made.
    let (_, mark) = shown.split_once("/1-1-1x1-").unwrap();
    let (mark, _) = mark.split_once("-preview-").unwrap();
    assert!(mark.len() == 16 && u64::from_str_radix(mark, 16).unwrap() > 1 << 32, "{shown}");
    deployment.openai.release();
    assert_eq!(person.over(&job).await["status"], "completed");
    let image = &person.images(&job).await[0];
    assert!(image["preview_path"].is_null());
    assert_eq!(deployment.openai.calls()[0].field("partial_images"), "2");
}

/// Waits for a preview on the job's image row.
async fn shown_preview(person: &crate::deployment::Person<'_>, job: &str) -> String {
    let change = Change { table: "generated_carousel_images".to_owned(), filter: Some(format!("job_id=eq.{job}")) };
    let mut changes = person.changes(change).await;
    loop {
        if let Some(path) =
            person.images(job).await.first().and_then(|image| image["preview_path"].as_str().map(str::to_owned))
        {
            return path;
        }
        changes.next().await.expect("the connection holds");
    }
}

fn jpeg(shade: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let pixels = ::image::RgbImage::from_fn(80, 60, |x, y| ::image::Rgb([(x * 3) as u8, (y * 4) as u8, shade * 80]));
    pixels.write_to(&mut bytes, ::image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}
