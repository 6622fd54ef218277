//! A server for one test, which takes its connections by hand and speaks HTTP as badly as the test wants.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a test waits for what should have happened at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Wire(TcpListener);

/// One connection of a client.
pub struct Line {
    stream: TcpStream,
    /// What was read and not asked for yet.
    read: Vec<u8>,
}

/// A request as it came.
pub struct Request {
    /// Request line and headers.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

impl Wire {
    pub async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free"))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket has an address")
    }

    pub fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address()).parse().expect("an address makes a URL")
    }

    pub async fn accept(&self) -> Line {
        let (stream, _) =
            timeout(PATIENCE, self.0.accept()).await.expect("a client connects").expect("it can be accepted");
        Line { stream, read: Vec::new() }
    }

    /// Takes one request on a new connection and answers it.
    pub async fn answer(&self, answer: impl AsRef<[u8]>) -> Request {
        let mut line = self.accept().await;
        let request = line.request().await;
        line.send(answer).await;
        request
    }
}

impl Line {
    /// Reads request line and headers.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                let head = std::mem::replace(&mut self.read, rest);
                return String::from_utf8(head).expect("a head is text");
            }
            assert!(self.stream.read_buf(&mut self.read).await.expect("the client sends") > 0, "the client went away");
        }
    }

    /// Reads a whole request, which must state its length if it has a body.
    pub async fn request(&mut self) -> Request {
        let head = self.head().await;
        let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a length is a number"));
        while self.read.len() < length {
            assert!(self.stream.read_buf(&mut self.read).await.expect("the client sends") > 0, "the client went away");
        }
        let rest = self.read.split_off(length);
        Request { head, body: std::mem::replace(&mut self.read, rest) }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the client reads");
    }

    /// Closes this side of the connection; the client's side stays open.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.expect("an open connection can be half closed");
    }

    /// Waits until the client has closed the connection; gives how many bytes it still sent.
    pub async fn closed(mut self) -> usize {
        let drained = async {
            let (mut scrap, mut bytes) = (vec![0; 65_536], self.read.len());
            loop {
                match self.stream.read(&mut scrap).await {
                    Ok(0) | Err(_) => return bytes,
                    Ok(more) => bytes += more,
                }
            }
        };
        timeout(PATIENCE, drained).await.expect("the client closes the connection")
    }

    /// Breaks the connection off with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket takes the option");
    }
}

/// An answer with a Content-Length.
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
