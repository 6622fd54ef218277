//! Good answers.

use std::collections::HashSet;

use image::{ImageFormat, Rgb};
use reqwest::multipart::Part;
use sha2::{Digest as _, Sha256};

use super::client::{Client, KEY, SMALL, bare, edit, part, photo, picture, png};

#[tokio::test]
async fn the_picture_has_exactly_the_size_and_format_that_was_asked_for() {
    let client = Client::start().await;
    let formats = [("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg), ("webp", ImageFormat::WebP)];
    for (index, size) in ["816x816", "768x960", "720x1280", "768x1024", "1280x720"].into_iter().enumerate() {
        let (name, format) = formats[index % 3];
        let form = bare("a").text("size", size).text("output_format", name).part("image", part(png(), "image/png"));
        let answer = client.good(form).await;
        let (found, picture) = picture(&answer, 0);
        assert_eq!(format!("{}x{}", picture.width(), picture.height()), size);
        assert_eq!(found, format);
        assert_eq!((answer["size"].as_str(), answer["output_format"].as_str()), (Some(size), Some(name)));
    }
}

#[tokio::test]
async fn size_auto_follows_the_source() {
    let client = Client::start().await;
    let (_, picture) = picture(&client.good(bare("a").part("image", part(png(), "image/png"))).await, 0);
    assert_eq!((picture.width(), picture.height()), (1536, 1024));
}

#[tokio::test]
async fn n_pictures_are_made_each_another_and_each_billed() {
    let client = Client::start().await;
    let answer = client.good(edit("a").text("n", "3")).await;
    let data: HashSet<&str> =
        answer["data"].as_array().expect("data").iter().filter_map(|i| i["b64_json"].as_str()).collect();
    assert_eq!(data.len(), 3);
    assert_eq!(client.openai.billed(), 3);
}

#[tokio::test]
async fn the_picture_derives_from_the_first_source_and_differs_by_slide_and_variation() {
    let client = Client::start().await;
    let middle = async |color, prompt: &str| {
        let sources = [photo(color, ImageFormat::Png), photo([0, 0, 255], ImageFormat::Png)];
        let form = sources
            .into_iter()
            .fold(bare(prompt).text("size", SMALL), |form, source| form.part("image[]", part(source, "image/png")));
        let picture = picture(&client.good(form).await, 0).1.into_rgb8();
        (*picture.get_pixel(512, 200), picture)
    };
    let (Rgb([red, green, blue]), first) = middle([220, 30, 30], "Slide 1 of 3. Variation 1 of 2").await;
    assert!(red > 120 && red > green && red > blue, "{red} {green} {blue} is no longer red");
    let (Rgb([red, green, _]), _) = middle([30, 200, 30], "Slide 1 of 3. Variation 1 of 2").await;
    assert!(green > red, "a green source gave {red} {green}");
    let (_, other_slide) = middle([220, 30, 30], "Slide 2 of 3. Variation 1 of 2").await;
    let (_, other_variation) = middle([220, 30, 30], "Slide 1 of 3. Variation 2 of 2").await;
    let (_, again) = middle([220, 30, 30], "Slide 1 of 3. Variation 1 of 2").await;
    assert!(first != other_slide && first != other_variation && other_slide != other_variation);
    assert!(first == again);
}

#[tokio::test]
async fn every_byte_that_was_sent_is_accounted_for() {
    let client = Client::start().await;
    let sources = [png(), photo([1, 2, 3], ImageFormat::Jpeg), photo([4, 5, 6], ImageFormat::WebP)];
    let mimes = ["image/png", "image/jpeg", "image/webp"];
    let mut form = bare("a cat").text("size", SMALL).text("quality", "low").text("safety_identifier", "user-1");
    for (source, mime) in sources.iter().zip(mimes) {
        // A stream without a length makes the whole body chunked.
        let halves: Vec<Result<Vec<u8>, std::io::Error>> =
            source.chunks(source.len() / 2 + 1).map(|half| Ok(half.to_vec())).collect();
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(halves));
        form = form.part("image[]", Part::stream(stream).file_name("my photo.x").mime_str(mime).expect("a media type"));
    }
    client.good(form).await;
    client.good(edit("sent with a length").text("n", "2")).await;

    let calls = client.openai.calls();
    assert!(calls[0].headers.contains_key("transfer-encoding") && calls[1].headers.contains_key("content-length"));
    assert_eq!((calls[0].prompt(), calls[0].field("quality"), calls[0].field("n")), ("a cat", "low", ""));
    assert_eq!((calls[0].field("safety_identifier"), calls[1].field("n")), ("user-1", "2"));
    assert!(!calls[0].headers.contains_key("authorization"), "the key is kept");
    for ((image, source), mime) in calls[0].images.iter().zip(&sources).zip(mimes) {
        let sha256: String = Sha256::digest(source).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((image.length, &image.sha256), (source.len() as u64, &sha256));
        assert_eq!(
            (image.field.as_str(), image.file_name.as_str(), image.content_type.as_str()),
            ("image[]", "my photo.x", mime)
        );
    }
}

#[tokio::test]
async fn answers_vary_as_the_real_ones_do() {
    let client = Client::start().await;
    let (mut orders, mut nulls, mut lengths, mut ids) =
        (HashSet::new(), HashSet::new(), HashSet::new(), HashSet::new());
    for _ in 0..6 {
        let answer = client.send(edit("a").text("quality", "low")).await;
        ids.insert(answer.headers()["x-request-id"].to_str().expect("text").to_owned());
        assert!(answer.headers().contains_key("openai-processing-ms"));
        lengths.insert(answer.headers().contains_key("content-length"));
        let text = answer.text().await.expect("a body");
        orders.insert(text.find("\"usage\"") < text.find("\"data\""));
        nulls.insert(text.contains("\"url\":null"));
        let body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let usage = &body["usage"];
        let token = |name: &str| usage[name].as_u64().expect("a number");
        assert_eq!(token("input_tokens") + token("output_tokens"), token("total_tokens"));
        assert_eq!(token("output_tokens"), 130);
        picture(&body, 0);
    }
    assert_eq!((orders.len(), nulls.len(), lengths.len(), ids.len()), (2, 2, 2, 6));
    assert_eq!(client.openai.calls().iter().filter(|call| ids.contains(&call.request_id)).count(), 6);
}

#[tokio::test]
async fn a_model_of_2_5_makes_a_clear_background_and_knows_quality_max() {
    let client = Client::start().await;
    let form = reqwest::multipart::Form::new()
        .text("model", "gpt-image-2.5-flare")
        .text("prompt", "a")
        .text("size", SMALL)
        .text("quality", "max")
        .text("background", "transparent")
        .part("image", part(png(), "image/png"));
    let answer = client.good(form).await;
    assert_eq!((answer["background"].as_str(), answer["quality"].as_str()), (Some("transparent"), Some("max")));
    let picture = picture(&answer, 0).1.into_rgba8();
    assert_eq!((picture.get_pixel(0, 0)[3], picture.get_pixel(512, 320)[3]), (0, 255));
}

#[tokio::test]
async fn models_are_listed_for_who_has_the_key() {
    let client = Client::start().await;
    let get = async |path: &str, key: &str| {
        let answer = client.http.get(format!("{}/v1/models{path}", client.base)).bearer_auth(key).send().await;
        let answer = answer.expect("an answer");
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    let (status, list) = get("", KEY).await;
    let ids: Vec<&str> =
        list["data"].as_array().expect("data").iter().filter_map(|model| model["id"].as_str()).collect();
    assert!(status == 200 && ids.contains(&"gpt-image-2") && !ids.contains(&"gpt-image-1"), "{ids:?}");
    assert_eq!(get("/gpt-image-2", KEY).await.1["object"], "model");
    let (status, body) = get("/gpt-image-9", KEY).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("model_not_found")));
    assert_eq!(get("", "sk-wrong").await.0, 401);
}
