//! From the provider's answer to the stored object: processor time and memory of the client alone, against the floor.
//!
//! Each case runs in a process of its own, so that neither server's work is counted.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use carousel::image;
use carousel::job::{Format, Size};
use carousel::provider::{Edit, Provider};
use carousel::supabase::storage::Storage;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::deployed::{KEY, processor, provider_settings, serve, storage_settings};
use crate::report::Report;
use crate::stand_in::{StandIn, picture};

/// Width and height of pictures of noise, at three bytes a pixel.
const SIZES: [(&str, u32, u32); 2] = [("3 MB", 1024, 1024), ("20 MB", 2880, 2304)];
/// Pictures of one round.
const TIMES: usize = 10;

/// What a client does with a picture.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum How {
    /// Reads it into memory, decodes, hashes, writes.
    Floor,
    /// The provider client and the Storage client, without the check between them.
    Unchecked,
    /// As the pipeline does, with the picture decoded, hashed and measured.
    Checked,
}

#[derive(Deserialize, Serialize)]
struct Cost {
    processor_ms: f64,
    wall_ms: f64,
    peak_mb: f64,
}

/// Measures all ways in turn, for so many rounds.
pub async fn run(rounds: usize) -> anyhow::Result<()> {
    let mut report =
        Report::new("bytes", &["processor ms a picture", "ms a picture", "peak MB of the process", "x floor"]);
    let storage = serve(Router::new().fallback(post(sink))).await?;
    let mut services = Vec::new();
    for (name, width, height) in SIZES {
        services.push((name, width, height, StandIn::start(&picture(width, height)?, Duration::ZERO).await?));
    }
    for _ in 0..rounds {
        for (name, width, height, provider) in &services {
            let mut floor = f64::NAN;
            for (words, how) in
                [("floor", How::Floor), ("carousel, unchecked", How::Unchecked), ("carousel", How::Checked)]
            {
                let cost = in_a_process(how, &provider.url, &storage, *width, *height).await?;
                if matches!(how, How::Floor) {
                    floor = cost.processor_ms;
                }
                let figures = [cost.processor_ms, cost.wall_ms, cost.peak_mb, cost.processor_ms / floor];
                report.add(&format!("{name}, {words}"), &figures);
            }
        }
    }
    report.finish("not used")
}

/// Takes whatever is uploaded.
async fn sink(body: Body) -> &'static str {
    let mut body = body.into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
    r#"{"Key":"generated-carousels/a.png","Id":"1"}"#
}

async fn in_a_process(how: How, provider: &str, storage: &str, width: u32, height: u32) -> anyhow::Result<Cost> {
    let how = format!("{how:?}").to_lowercase();
    let (width, height) = (width.to_string(), height.to_string());
    let arguments = ["move", &how, provider, storage, &width, &height];
    let output = Command::new(std::env::current_exe()?).args(arguments).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The process of one case: moves some pictures and prints what that cost.
pub async fn client(how: How, provider: &str, storage: &str, width: u32, height: u32) -> anyhow::Result<()> {
    let hands = Hands {
        provider: Provider::new(provider_settings(provider)?)?,
        storage: Storage::new(storage_settings(storage, KEY)?)?,
        transfers: Arc::new(Semaphore::new(1)),
    };
    let size = Size { width, height };
    let once = async || match how {
        How::Floor => floor(provider, storage).await,
        How::Unchecked => hands.carry(size, false).await,
        How::Checked => hands.carry(size, true).await,
    };
    once().await?;
    let (since, before) = (Instant::now(), processor(std::process::id())?);
    for _ in 0..TIMES {
        once().await?;
    }
    let each = |seconds: f64| seconds * 1000.0 / TIMES as f64;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells the peak")?;
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    let processor_ms = each(processor(std::process::id())? - before);
    let cost = Cost { processor_ms, wall_ms: each(since.elapsed().as_secs_f64()), peak_mb: peak / 1024.0 };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

struct Hands {
    provider: Provider,
    storage: Storage,
    transfers: Arc<Semaphore>,
}

impl Hands {
    async fn carry(&self, size: Size, checked: bool) -> anyhow::Result<()> {
        let edit = Edit {
            model: "gpt-image-2".to_owned(),
            prompt: "a cup".to_owned(),
            sources: Arc::new([]),
            size,
            quality: None,
            format: Format::Png,
            background: None,
            partial_images: 0,
            safety_identifier: None,
        };
        let answer = self.provider.edit(&edit, &self.transfers, None).await?;
        let bytes = bytes::Bytes::from(answer.image);
        if checked {
            let picture = bytes.clone();
            tokio::task::spawn_blocking(move || image::check(&picture, Format::Png, size)).await??;
        }
        Ok(self.storage.upload("a/jobs/a.png", "image/png", bytes, "no-cache").await?)
    }
}

/// The least that can be done: one buffer, decoded where it lies.
async fn floor(provider: &str, storage: &str) -> anyhow::Result<()> {
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    let mut socket = TcpStream::connect(host(provider)).await?;
    socket
        .write_all(b"POST /v1/images/edits HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .await?;
    let mut answer = Vec::with_capacity(32 << 20);
    socket.read_to_end(&mut answer).await?;
    let key = b"\"b64_json\":\"";
    let start = memchr::memmem::find(&answer, key).context("the answer has a picture")? + key.len();
    let end = start + memchr::memchr(b'"', &answer[start..]).context("the picture ends")?;
    let picture = base64_simd::STANDARD.decode_inplace(&mut answer[start..end])?;
    std::hint::black_box(Sha256::digest(&*picture));
    let mut socket = TcpStream::connect(host(storage)).await?;
    let head = format!(
        "POST /object HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        picture.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(picture).await?;
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await?;
    ensure!(rest.starts_with(b"HTTP/1.1 200"), "the upload was not taken");
    Ok(())
}
