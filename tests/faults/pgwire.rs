//! The little of PostgreSQL's protocol that a refusal needs.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What every answer ends with outside of a transaction.
pub const READY: &[u8] = b"Z\0\0\0\x05I";
/// The request for TLS, which comes before all else when it comes.
const TLS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A refusal as it is sent: `FATAL` ends the session.
pub fn refusal(severity: &str, code: &str, words: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, value) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', words)] {
        body.push(field);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("it is short");
    [&b"E"[..], &length.to_be_bytes()[..], &body].concat()
}

/// Refuses a session that is about to begin.
pub async fn turn_away(mut client: impl AsyncRead + AsyncWrite + Unpin, code: &str, words: &str) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        if buffer[..length] != TLS {
            let _ = client.write_all(&refusal("FATAL", code, words)).await;
            let _ = client.shutdown().await;
            return;
        }
        if client.write_all(b"N").await.is_err() {
            return;
        }
    }
}

/// Reads what is left of an answer of which `begun` has come.
pub async fn rest_of_answer(begun: &[u8], mut server: impl AsyncRead + Unpin) {
    let mut answer = begun.to_vec();
    let mut buffer = vec![0; 64 << 10];
    while !answer.ends_with(READY) {
        match server.read(&mut buffer).await {
            Ok(length @ 1..) => answer.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
}
