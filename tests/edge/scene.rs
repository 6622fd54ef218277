//! A real Caddy with the repository's Caddyfile, in front of a server that plays the API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::program::{PATIENCE, Running, repository};

/// The largest body that the Caddy of these tests lets through.
pub const MAX_BODY: usize = 1 << 20;

/// A server that plays the API, and a Caddy with the repository's Caddyfile in front of it.
pub struct Edge {
    pub https: u16,
    pub http: u16,
    /// Certificate of the authority that Caddy is to itself, in PEM.
    root: Vec<u8>,
    pub client: reqwest::Client,
    pub upstream: tokio::task::JoinHandle<()>,
    /// Told by the upstream when the first piece of a body has arrived.
    pub arrived: Arc<Notify>,
    /// Lets the upstream send the second event.
    pub go_on: Arc<Notify>,
    _caddy: Running,
    _folder: TempDir,
}

impl Edge {
    /// Nothing where Caddy is not installed.
    pub async fn new(test: &str) -> Option<Self> {
        let caddy = caddy(test)?;
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (address, upstream) = upstream(Arc::clone(&arrived), Arc::clone(&go_on)).await;
        // A port that is free now can be taken before Caddy has it.
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let (https, http) = (free_port(), free_port());
            let mut command = Command::new(&caddy);
            command.args(["run", "--adapter", "caddyfile", "--config"]).arg(caddyfile(&folder, https, http));
            command.env("CAROUSEL_SITE", "localhost").env("CAROUSEL_UPSTREAM", address.to_string());
            command.env("CAROUSEL_MAX_BODY", format!("{MAX_BODY}B")).env("HOME", folder.path());
            match Running::start(command, &["serving initial configuration"]).await {
                Ok(caddy) => {
                    let root = std::fs::read(folder.path().join("storage/pki/authorities/local/root.crt"));
                    let root = root.expect("Caddy has a certificate of its own");
                    let client = reqwest::Client::builder()
                        .add_root_certificate(reqwest::Certificate::from_pem(&root).expect("it is a certificate"))
                        .resolve("localhost", SocketAddr::from(([127, 0, 0, 1], https)))
                        .redirect(reqwest::redirect::Policy::none())
                        .build()
                        .expect("a client can be made");
                    // It has its certificate a moment after it listens, and does not say from when on it uses it.
                    let ready = async {
                        while client.get(format!("https://localhost:{https}/healthz")).send().await.is_err() {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    };
                    tokio::time::timeout(PATIENCE, ready).await.expect("Caddy serves");
                    return Some(Self {
                        https,
                        http,
                        root,
                        client,
                        upstream,
                        arrived,
                        go_on,
                        _caddy: caddy,
                        _folder: folder,
                    });
                }
                Err(said) if said.contains("address already in use") => {}
                Err(said) => panic!("Caddy does not serve:\n{said}"),
            }
        }
        panic!("no port stays free");
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https)
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// The answer to a path as it is written here: a client would tidy it up.
    pub async fn get_as_written(&self, path: &str) -> String {
        let (https, root) = (self.https, self.root.clone());
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let talk = move || {
            let mut trusted = RootCertStore::empty();
            trusted
                .add(CertificateDer::from_pem_slice(&root).expect("it is a certificate"))
                .expect("it is an authority's");
            let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider has them")
                .with_root_certificates(trusted)
                .with_no_client_auth();
            let name = "localhost".try_into().expect("it is a name");
            let connection = ClientConnection::new(Arc::new(config), name).expect("TLS can be set up");
            let socket = std::net::TcpStream::connect(("127.0.0.1", https)).expect("Caddy listens");
            let mut stream = StreamOwned::new(connection, socket);
            stream.write_all(request.as_bytes()).expect("it can be asked");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers and closes");
            answer
        };
        tokio::task::spawn_blocking(talk).await.expect("it answers")
    }
}

/// The program; nothing where it is not installed, which is said. On CI that is a failure.
pub fn caddy(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path).map(|folder| folder.join("caddy"));
    let found = programs.find(|program| program.is_file());
    if found.is_none() {
        let how = "Caddy is not installed; on Debian: apt-get install caddy";
        assert!(std::env::var_os("CI").is_none(), "{how}");
        // Past the harness, which keeps what a passing test prints to itself.
        writeln!(std::io::stderr(), "SKIPPED: {test}, {how}").expect("it can be said");
    }
    found
}

/// The repository's Caddyfile, imported as its own words say, by one that only says where to listen and keep things.
fn caddyfile(folder: &TempDir, https: u16, http: u16) -> PathBuf {
    let options = format!(
        "{{\n\tadmin off\n\thttps_port {https}\n\thttp_port {http}\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\tstorage file_system {}\n}}\nimport {}\n",
        folder.path().join("storage").display(),
        repository("edge-config/Caddyfile").display()
    );
    let path = folder.path().join("Caddyfile");
    std::fs::write(&path, options).expect("a file can be written");
    path
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// Plays the API: what it is asked for, it tells.
async fn upstream(arrived: Arc<Notify>, go_on: Arc<Notify>) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let echo = |uri: Uri, headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (host, proto) = (header("host"), header("x-forwarded-proto"));
        axum::Json(json!({ "path": uri.to_string(), "host": host, "proto": proto, "token": header("authorization") }))
    };
    let events = move || async move {
        let first = futures::stream::once(async { "data: first\n\n" });
        let second = futures::stream::once(async move {
            go_on.notified().await;
            "data: second\n\n"
        });
        let events = first.chain(second).map(|event| Ok::<_, std::io::Error>(Bytes::from(event)));
        ([("content-type", "text/event-stream")], Body::from_stream(events))
    };
    let take = move |request: Request| async move {
        let mut pieces = request.into_body().into_data_stream();
        let mut length = 0;
        while let Some(piece) = pieces.next().await {
            // What breaks off here was broken off in front.
            let Ok(piece) = piece else { return StatusCode::BAD_REQUEST.into_response() };
            length += piece.len();
            arrived.notify_one();
        }
        (StatusCode::ACCEPTED, length.to_string()).into_response()
    };
    let gone = || async { (StatusCode::GONE, [("sunset", "Sun, 22 Nov 2026 00:00:00 GMT")], "use generate-v2") };
    let router = Router::new()
        .route("/api/image-generator/jobs/1/events", get(events))
        .route("/api/image-generator/generate-v2", post(take))
        .route("/api/image-generator/generate", post(gone))
        .route("/metrics", get(|| async { "carousel_jobs 1" }))
        .fallback(echo)
        .layer(DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    (address, tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") }))
}
