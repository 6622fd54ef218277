//! What the service refuses, in its words.

use image::ImageFormat;
use reqwest::multipart::{Form, Part};

use super::client::{Client, SMALL, bare, edit, part, photo, png};

/// Form, status, code and a part of the message.
type Row = (Form, u16, Option<&'static str>, &'static str);

async fn refuses(rows: Vec<Row>) {
    let client = Client::start().await;
    for (number, (form, status, code, words)) in rows.into_iter().enumerate() {
        let (found, error) = client.refused(form).await;
        assert_eq!((found.as_u16(), error["code"].as_str()), (status, code), "row {number}: {error}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(words), "row {number}: {message}");
        assert!(error["type"].is_string() && error.get("param").is_some(), "row {number}: {error}");
    }
    assert_eq!(client.openai.billed(), 0);
}

fn on(model: &'static str, size: &'static str) -> Form {
    Form::new().text("model", model).text("prompt", "a").text("size", size).part("image", part(png(), "image/png"))
}

fn file(bytes: Vec<u8>, mime: &str) -> Form {
    bare("a").part("image", part(bytes, mime))
}

#[tokio::test]
async fn files_that_are_no_pictures() {
    let unsupported = Some("unsupported_file_mimetype");
    let invalid = Some("invalid_image_file");
    let mut phone = photo([9, 9, 9], ImageFormat::Jpeg);
    phone.splice(2..2, [0xff, 0xe2, 0, 8, b'M', b'P', b'F', 0, 0, 0]);
    let mut torn = png();
    torn.truncate(torn.len() / 2);
    refuses(vec![
        (file(png(), "application/octet-stream"), 400, unsupported, "('application/octet-stream')"),
        (bare("a").part("image[]", part(png(), "image/gif")), 400, unsupported, "'image[0]'"),
        (
            bare("a").part("image", Part::bytes(png()).file_name("a.png")),
            400,
            Some("missing_file_mimetype"),
            "'Content-Type' header",
        ),
        (bare("a").text("image", "not a file"), 400, Some("invalid_type"), "got a string"),
        (file(b"no picture".to_vec(), "image/png"), 400, invalid, "image 1"),
        (file(torn, "image/png"), 400, invalid, "image 1"),
        (file(phone, "image/jpeg"), 400, invalid, "image 1"),
        (edit("a").part("image[]", part(b"no picture".to_vec(), "image/webp")), 400, invalid, "image 2"),
        (bare("a"), 400, Some("missing_required_parameter"), "'image'"),
        (file(png(), "image/png").part("image", part(png(), "image/png")), 400, Some("duplicate_parameter"), "image[]"),
    ])
    .await;
}

#[tokio::test]
async fn too_many_and_too_large_files() {
    let many = (0..16).fold(edit("a"), |form, _| form.part("image[]", part(png(), "image/png")));
    let mut large = png();
    large.resize(50 << 20, 0);
    refuses(vec![
        (many, 400, Some("array_above_max_length"), "maximum length 16"),
        (file(large, "image/png"), 400, Some("file_too_large"), "50MB"),
    ])
    .await;
}

#[tokio::test]
async fn sizes_that_the_model_can_t_make() {
    let value = Some("invalid_value");
    refuses(vec![
        (on("gpt-image-2", "1080x1350"), 400, value, "divisible by 16"),
        (on("gpt-image-2", "4096x2048"), 400, value, "3840"),
        (on("gpt-image-2", "512x512"), 400, value, "minimum pixel budget"),
        (on("gpt-image-2", "3840x3840"), 400, value, "maximum pixel budget"),
        (on("gpt-image-2", "3200x640"), 400, value, "1:3"),
        (on("gpt-image-2", "large"), 400, value, "Invalid size 'large'"),
    ])
    .await;
}

#[tokio::test]
async fn prompts_and_models() {
    let missing = Some("missing_required_parameter");
    let image = || part(png(), "image/png");
    refuses(vec![
        (Form::new().text("model", "gpt-image-2").part("image", image()), 400, missing, "'prompt'"),
        (bare("").part("image", image()), 400, Some("empty_string"), "'prompt'"),
        (edit(&"é".repeat(32_001)), 400, Some("string_above_max_length"), "length 32001"),
        (edit(&"x".repeat(600_000)), 400, Some("string_above_max_length"), "length 600000"),
        (Form::new().text("prompt", "a").part("image", image()), 400, None, "model parameter"),
        (on("gpt-image-9", SMALL), 404, Some("model_not_found"), "gpt-image-9"),
        (on("gpt-image-1", "1024x1024"), 404, Some("model_not_found"), "deprecated"),
        (on("dall-e-2", "1024x1024"), 404, Some("model_not_found"), "deprecated"),
    ])
    .await;
    let client = Client::start().await;
    client.good(edit(&"é".repeat(32_000))).await;
}

#[tokio::test]
async fn parameters_out_of_their_ranges() {
    let value = Some("invalid_value");
    let with = |name: &'static str, text: &'static str| edit("a").text(name, text);
    refuses(vec![
        (with("n", "0"), 400, Some("integer_below_min_value"), ">= 1"),
        (with("n", "11"), 400, Some("integer_above_max_value"), "<= 10"),
        (with("n", "two"), 400, Some("invalid_type"), "an integer"),
        (with("partial_images", "4"), 400, Some("integer_above_max_value"), "<= 3"),
        (
            with("output_compression", "101").text("output_format", "jpeg"),
            400,
            Some("integer_above_max_value"),
            "<= 100",
        ),
        (with("output_compression", "80"), 400, Some("invalid_png_output_compression"), "PNG"),
        (
            with("output_compression", "80").text("output_compression", "80"),
            400,
            Some("duplicate_parameter"),
            "output_compression",
        ),
        (with("quality", "xhigh"), 400, value, "'high', and 'auto'"),
        (with("output_format", "gif"), 400, value, "'png'"),
        (with("background", "transparent"), 400, value, "not supported for this model"),
        (with("input_fidelity", "high"), 400, Some("unsupported_parameter"), "input_fidelity"),
        (with("response_format", "url"), 400, Some("unknown_parameter"), "'response_format'"),
        (with("styling", "bold"), 400, Some("unknown_parameter"), "'styling'"),
        (
            on("gpt-image-2.6-flare", SMALL).text("background", "transparent").text("output_format", "jpeg"),
            400,
            Some("invalid_transparent_background_output_format"),
            "JPEG",
        ),
    ])
    .await;
}

#[tokio::test]
async fn masks_that_do_not_fit() {
    let code = Some("invalid_mask_image_format");
    let mut clear = std::io::Cursor::new(Vec::new());
    image::RgbaImage::new(16, 16).write_to(&mut clear, ImageFormat::Png).expect("a picture");
    refuses(vec![
        (edit("a").part("mask", part(png(), "image/png")), 400, code, "alpha"),
        (edit("a").part("mask", part(clear.into_inner(), "image/png")), 400, code, "size"),
        (edit("a").part("mask", part(png(), "image/jpeg")), 400, Some("unsupported_file_mimetype"), "'mask'"),
    ])
    .await;
}

#[tokio::test]
async fn keys_paths_methods_and_bodies() {
    let client = Client::start().await;
    let url = format!("{}/v1/images/edits", client.base);
    let asked = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.expect("an answer");
        assert!(answer.headers().contains_key("x-request-id"));
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    let (status, text) = asked(client.http.post(&url).bearer_auth("sk-abcdefghijkl").multipart(edit("a"))).await;
    assert!(status == 401 && text.contains("invalid_api_key") && !text.contains("abcdefgh"), "{text}");
    let (status, text) = asked(client.http.post(&url).multipart(edit("a"))).await;
    assert!(status == 401 && text.contains("didn't provide an API key"), "{text}");
    assert_eq!(asked(client.http.get(&url).bearer_auth(super::client::KEY)).await.0, 405);
    assert_eq!(asked(client.http.get(format!("{}/v2", client.base))).await.0, 404);
    let json = client.http.post(&url).bearer_auth(super::client::KEY).json(&serde_json::json!({ "prompt": "a" }));
    assert_eq!(asked(json).await.0, 400);
    let cut = client.http.post(&url).bearer_auth(super::client::KEY);
    let cut = cut.header("content-type", "multipart/form-data; boundary=x").body("--x\r\nContent-Disposition: form-da");
    assert_eq!(asked(cut).await.0, 400);
    assert_eq!((client.openai.calls().len(), client.openai.billed()), (0, 0));
}
