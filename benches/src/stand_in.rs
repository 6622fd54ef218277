//! A provider that costs next to nothing: it reads the request, waits, and sends the same picture each time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use crate::deployed::serve;

/// A running stand-in.
#[derive(Clone)]
pub struct StandIn {
    pub url: String,
    service: Arc<Service>,
}

struct Service {
    answer: Bytes,
    latency: Duration,
    calls: Mutex<Calls>,
}

#[derive(Default)]
struct Calls {
    in_flight: usize,
    done: Vec<Call>,
}

/// The moments of one call.
#[derive(Clone, Copy)]
pub struct Call {
    pub arrived: Instant,
    pub read: Instant,
    pub answered: Instant,
}

impl StandIn {
    /// Answers with `picture` after `latency`.
    pub async fn start(picture: &[u8], latency: Duration) -> anyhow::Result<Self> {
        let usage = r#""usage":{"total_tokens":30,"input_tokens":20,"output_tokens":10,"input_tokens_details":{"text_tokens":5,"image_tokens":15}}"#;
        let answer = format!(r#"{{"created":1,"data":[{{"b64_json":"{}"}}],{usage}}}"#, STANDARD.encode(picture));
        let service = Arc::new(Service { answer: answer.into(), latency, calls: Mutex::default() });
        let router = Router::new()
            .route("/v1/images/edits", post(edit))
            .route("/v1/models", get(|| async { r#"{"object":"list","data":[]}"# }))
            .with_state(Arc::clone(&service));
        Ok(Self { url: serve(router).await?, service })
    }

    /// Calls that wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.service.calls.lock().expect("nothing panics with this lock").in_flight
    }

    /// The calls that were answered since this was last asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.service.calls.lock().expect("nothing panics with this lock").done)
    }
}

async fn edit(State(service): State<Arc<Service>>, body: Body) -> Response {
    let arrived = Instant::now();
    let mut body = body.into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    let read = Instant::now();
    service.calls.lock().expect("nothing panics with this lock").in_flight += 1;
    tokio::time::sleep(service.latency).await;
    let mut calls = service.calls.lock().expect("nothing panics with this lock");
    calls.in_flight -= 1;
    calls.done.push(Call { arrived, read, answered: Instant::now() });
    ([(CONTENT_TYPE, "application/json")], service.answer.clone()).into_response()
}

/// A PNG of noise, which no format can compress away: three bytes a pixel.
pub fn picture(width: u32, height: u32) -> anyhow::Result<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pixels = Vec::with_capacity((width * height * 3) as usize + 8);
    while pixels.len() < (width * height * 3) as usize {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pixels.extend(state.to_le_bytes());
    }
    pixels.truncate((width * height * 3) as usize);
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::NoFilter).write_image(
        &pixels,
        width,
        height,
        ExtendedColorType::Rgb8,
    )?;
    Ok(file)
}
