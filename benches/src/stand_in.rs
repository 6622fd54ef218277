//! A provider that costs next to nothing: it reads the request, waits, and sends the same picture each time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
        let (router, service) = service(picture, latency);
        let (listener, address) = listen()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url: format!("http://{address}"), service })
    }

    /// The same over TLS, and the certificate to trust, in PEM.
    pub async fn encrypted(picture: &[u8], latency: Duration) -> anyhow::Result<(Self, String)> {
        let (router, service) = service(picture, latency);
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        let (listener, address) = listen()?;
        let listener = Encrypted { address, streams: shaken(listener, TlsAcceptor::from(Arc::new(config))) };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok((Self { url: format!("https://{address}"), service }, cert.pem()))
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

fn service(picture: &[u8], latency: Duration) -> (Router, Arc<Service>) {
    let usage = r#""usage":{"total_tokens":30,"input_tokens":20,"output_tokens":10,"input_tokens_details":{"text_tokens":5,"image_tokens":15}}"#;
    let answer = format!(r#"{{"created":1,"data":[{{"b64_json":"{}"}}],{usage}}}"#, STANDARD.encode(picture));
    let service = Arc::new(Service { answer: answer.into(), latency, calls: Mutex::default() });
    let router = Router::new()
        .route("/v1/images/edits", post(edit))
        .route("/v1/models", get(|| async { r#"{"object":"list","data":[]}"# }))
        .with_state(Arc::clone(&service));
    (router, service)
}

/// Any free port. What a provider's system holds of an answer that is not taken is its own affair: here it would fill the memory that ours has for sockets, as
/// two thousand answers of 4 MB do (`net.ipv4.tcp_mem`).
fn listen() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(64 << 10)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(4096)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Connections over TLS.
struct Encrypted {
    address: SocketAddr,
    streams: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.streams.recv().await.expect("who accepts never ends")
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Accepts connections, with any number of handshakes at once.
fn shaken(listener: TcpListener, acceptor: TlsAcceptor) -> mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)> {
    let (sender, streams) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let Ok((stream, address)) = listener.accept().await else {
                // Out of files: some will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (acceptor, sender) = (acceptor.clone(), sender.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = sender.send((stream, address)).await;
                }
            });
        }
    });
    streams
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
