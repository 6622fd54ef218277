//! A stand-in on a port of its own, and a client for it.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carousel_local::openai::{OpenAi, router};
use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::Value;

pub const KEY: &str = "sk-test-0123456789";

/// The smallest size that gpt-image-2 makes.
pub const SMALL: &str = "1024x640";

pub struct Client {
    pub openai: OpenAi,
    pub http: reqwest::Client,
    pub base: String,
}

impl Client {
    pub async fn new(openai: OpenAi) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let app = router(openai.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { openai, http: reqwest::Client::new(), base }
    }

    /// A stand-in that answers at once.
    pub async fn start() -> Self {
        Self::new(OpenAi::new(KEY)).await
    }

    pub async fn try_send(&self, form: Form) -> reqwest::Result<Response> {
        self.http.post(format!("{}/v1/images/edits", self.base)).bearer_auth(KEY).multipart(form).send().await
    }

    pub async fn send(&self, form: Form) -> Response {
        self.try_send(form).await.expect("an answer")
    }

    /// Sends and returns the status with the error object.
    pub async fn refused(&self, form: Form) -> (StatusCode, Value) {
        let answer = self.send(form).await;
        assert!(answer.headers()["x-request-id"].to_str().expect("text").starts_with("req_"));
        let status = answer.status();
        let mut body: Value = answer.json().await.expect("JSON");
        (status, body["error"].take())
    }

    /// Sends and returns the body of a good answer.
    pub async fn good(&self, form: Form) -> Value {
        let answer = self.send(form).await;
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert_eq!(status, StatusCode::OK, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// A photo of one colour.
pub fn photo(color: [u8; 3], format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(320, 200, image::Rgb(color)));
    picture.write_to(&mut file, format).expect("a picture");
    file.into_inner()
}

pub fn png() -> Vec<u8> {
    photo([200, 60, 40], ImageFormat::Png)
}

pub fn part(bytes: impl Into<std::borrow::Cow<'static, [u8]>>, mime: &str) -> Part {
    Part::bytes(bytes).file_name("photo").mime_str(mime).expect("a media type")
}

/// A form without an image, size or format.
pub fn bare(prompt: &str) -> Form {
    Form::new().text("model", "gpt-image-2").text("prompt", prompt.to_owned())
}

/// A form that is answered with a small picture.
pub fn edit(prompt: &str) -> Form {
    bare(prompt).text("size", SMALL).part("image[]", part(png(), "image/png"))
}

/// The picture in `data[index]`.
pub fn picture(answer: &Value, index: usize) -> (ImageFormat, DynamicImage) {
    decoded(&answer["data"][index])
}

/// The picture in an object with `b64_json`.
pub fn decoded(holder: &Value) -> (ImageFormat, DynamicImage) {
    let file = STANDARD.decode(holder["b64_json"].as_str().expect("b64_json")).expect("base64");
    let format = image::guess_format(&file).expect("a known format");
    (format, image::load_from_memory_with_format(&file, format).expect("a picture"))
}

/// Name and data of each event of a stream. Data that is no JSON, as `[DONE]`, is a JSON string.
pub fn events(stream: &str) -> Vec<(String, Value)> {
    let blocks = stream.split_terminator("\n\n").filter(|block| !block.starts_with(':'));
    blocks
        .map(|block| {
            let mut event = (String::new(), Value::Null);
            for line in block.lines() {
                match line.split_once(": ").expect("a field") {
                    ("event", name) => event.0 = name.to_owned(),
                    ("data", data) => event.1 = serde_json::from_str(data).unwrap_or_else(|_| data.into()),
                    (other, _) => panic!("field {other}"),
                }
            }
            event
        })
        .collect()
}
