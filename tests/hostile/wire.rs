//! A server that takes its connections by hand and answers whatever bytes a test wants.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is sent for one request. The connection ends behind it.
#[derive(Clone)]
pub enum Answer {
    Whole(Arc<[u8]>),
    /// A beginning, and then the same again until the client has enough.
    Endless {
        begin: Vec<u8>,
        again: Vec<u8>,
    },
}

/// A request as it came.
pub struct Request {
    /// Request line: `GET /v1/models HTTP/1.1`.
    pub line: String,
    pub body: Vec<u8>,
}

pub struct Wire {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    /// Listens, and answers each request with what `answer` makes of it.
    pub async fn serve(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free");
        let address = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let (asked, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut stream = stream;
                    if let Some(request) = read(&mut stream).await {
                        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.line.clone());
                        let answer = answer(&request);
                        drop(request);
                        send(&mut stream, &answer).await;
                    }
                });
            }
        });
        Self { address, asked, task }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.address
    }

    /// The lines of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().filter_map(|line| line.split_once(": "));
    let length = length.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.map_or(Some(0), |(_, length)| length.parse().ok())?;
    while bytes.len() < head + length {
        (stream.read_buf(&mut bytes).await.ok()? > 0).then_some(())?;
    }
    Some(Request { line: text.lines().next().unwrap_or_default().to_owned(), body: bytes.split_off(head) })
}

/// A client that goes away ends the answer.
async fn send(stream: &mut TcpStream, answer: &Answer) {
    match answer {
        Answer::Whole(bytes) => drop(stream.write_all(bytes).await),
        Answer::Endless { begin, again } => {
            let mut sent = stream.write_all(begin).await;
            while sent.is_ok() {
                sent = stream.write_all(again).await;
            }
        }
    }
    // Without this, what the client has not read yet would be lost.
    drop(stream.shutdown().await);
    drop(stream.read(&mut [0; 1]).await);
}

/// A whole answer: `200 OK`, header lines, body. Its length is stated, unless the header lines state another.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let length =
        if headers.contains("content-length") { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status}\r\n{headers}{length}connection: close\r\n\r\n");
    Answer::Whole([head.as_bytes(), body].concat().into())
}

/// A whole JSON answer.
pub fn json(status: &str, body: &serde_json::Value) -> Answer {
    answer(status, "content-type: application/json\r\n", body.to_string())
}

/// An answer that has no end.
pub fn endless(begin: impl Into<Vec<u8>>, again: impl AsRef<[u8]>) -> Answer {
    let again = again.as_ref();
    Answer::Endless { begin: begin.into(), again: again.repeat(1 + 64 * 1024 / again.len()) }
}
