//! The Caddyfile in a real Caddy, in front of a server that plays the API.

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
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::program::{PATIENCE, Running, output, repository};

/// The largest body that the Caddy of these tests lets through.
const MAX_BODY: usize = 1 << 20;

/// A server that plays the API, and a Caddy with the repository's Caddyfile in front of it.
struct Edge {
    https: u16,
    http: u16,
    /// Certificate of the authority that Caddy is to itself, in PEM.
    root: Vec<u8>,
    client: reqwest::Client,
    upstream: tokio::task::JoinHandle<()>,
    /// Told by the upstream when the first piece of a body has arrived.
    arrived: Arc<Notify>,
    /// Lets the upstream send the second event.
    go_on: Arc<Notify>,
    _caddy: Running,
    _folder: TempDir,
}

impl Edge {
    /// Nothing where Caddy is not installed.
    async fn new(test: &str) -> Option<Self> {
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

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.https)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// The answer to a path as it is written here: a client would tidy it up.
    async fn get_as_written(&self, path: &str) -> String {
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
fn caddy(test: &str) -> Option<PathBuf> {
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

#[tokio::test]
async fn the_api_is_public_by_tls_and_all_else_is_not() {
    let Some(edge) = Edge::new("the_api_is_public_by_tls_and_all_else_is_not").await else { return };
    let request =
        edge.client.get(edge.url("/api/image-generator/jobs?limit=2&after=a%2Fb")).bearer_auth("the.callers.token");
    let told: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        told,
        json!({
            "path": "/api/image-generator/jobs?limit=2&after=a%2Fb", "host": format!("localhost:{}", edge.https), "proto": "https",
            "token": "Bearer the.callers.token",
        })
    );
    for path in ["/openapi.json", "/healthz", "/readyz"] {
        assert_eq!(edge.get(path).await.json::<Value>().await.unwrap()["path"], path);
    }
    let old = edge.client.post(edge.url("/api/image-generator/generate")).body("{}").send().await.unwrap();
    assert_eq!(
        (old.status().as_u16(), &old.headers()["sunset"]),
        (410, &"Sun, 22 Nov 2026 00:00:00 GMT".parse().unwrap())
    );

    for path in [
        "/metrics",
        "/metrics/",
        "/METRICS",
        "//metrics",
        "/api/image-generator/../../metrics",
        "/%6detrics",
        "/",
        "/api/other",
        "/healthz/x",
    ] {
        let answer = edge.get_as_written(path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains(r#""code":"not_found""#),
            "{path}: {answer}"
        );
    }
    let plain =
        edge.client.get(format!("http://127.0.0.1:{}/api/image-generator/jobs", edge.http)).header("host", "localhost");
    let answer = plain.send().await.unwrap();
    assert_eq!(answer.status(), 308, "nothing goes in the clear");
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("https://localhost"));
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_there() {
    let Some(edge) = Edge::new("an_event_arrives_before_the_next_one_is_there").await else { return };
    let mut answer = edge.get("/api/image-generator/jobs/1/events").await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut first = Vec::new();
    while !first.ends_with(b"\n\n") {
        first.extend(answer.chunk().await.expect("the connection holds").expect("the events go on"));
    }
    assert_eq!(first, b"data: first\n\n");
    edge.go_on.notify_one();
    assert_eq!(answer.text().await.expect("the events end"), "data: second\n\n");
}

#[tokio::test]
async fn a_body_streams_through_up_to_the_limit() {
    let Some(edge) = Edge::new("a_body_streams_through_up_to_the_limit").await else { return };
    let send = async |body: reqwest::Body| {
        edge.client.post(edge.url("/api/image-generator/generate-v2")).body(body).send().await
    };
    // The second half is sent only once the first has arrived.
    let arrived = Arc::clone(&edge.arrived);
    let half = || Bytes::from(vec![1; MAX_BODY / 2]);
    let halves = futures::stream::iter([half()]).chain(futures::stream::once(async move {
        arrived.notified().await;
        half()
    }));
    let answer = send(reqwest::Body::wrap_stream(halves.map(Ok::<_, std::io::Error>))).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (202, MAX_BODY.to_string()));

    let too_large = send(vec![1; MAX_BODY + 1].into()).await.unwrap();
    assert_eq!(too_large.status(), 413);
    let problem: Value = too_large.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&json!("body_too_large"), &json!(413)), "{problem}");
}

#[tokio::test]
async fn an_api_that_is_away_is_told_as_a_problem() {
    let Some(edge) = Edge::new("an_api_that_is_away_is_told_as_a_problem").await else { return };
    assert_eq!(edge.get("/healthz").await.status(), 200);
    edge.upstream.abort();
    // Its connections go with their requests; a new one finds nobody.
    let answer = loop {
        let answer = edge.get("/healthz").await;
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (502, &"application/problem+json".parse().unwrap())
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "unavailable");
}

/// It is written as Caddy itself writes it.
#[tokio::test]
async fn the_caddyfile_is_formatted() {
    let Some(caddy) = caddy("the_caddyfile_is_formatted") else { return };
    let written = std::fs::read_to_string(repository("edge-config/Caddyfile")).expect("it can be read");
    let mut command = Command::new(caddy);
    command.arg("fmt").arg(repository("edge-config/Caddyfile"));
    assert_eq!(output(command).await, written);
}
