//! The body of a form: given to the parser piece by piece, and read to its end after a refusal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use multer::{Field, Multipart};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::pace::{PATIENCE, Pace};
use super::problem::Problem;
use super::request::{MAX_JSON, discard, too_slow};

/// Bytes that the parser may be given before it makes something of them: more than that is no header of a part.
const MAX_AHEAD: usize = 1 << 20;

/// A form that comes in. Cloning it gives another hold of the same.
#[derive(Clone)]
pub(super) struct Form {
    body: Arc<Mutex<Incoming>>,
    /// Bytes that the parser has, and has made nothing of.
    ahead: Arc<AtomicUsize>,
}

/// The bytes of a form.
struct Incoming {
    pieces: BodyDataStream,
    pace: Pace,
}

impl Incoming {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let asked = Instant::now();
        let piece = match timeout(self.pace.left(), self.pieces.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(None) => return Ok(None),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        self.pace.moved(piece.len(), asked.elapsed());
        Ok(Some(piece))
    }
}

impl Form {
    pub(super) fn new(body: Body) -> Self {
        let body = Incoming { pieces: body.into_data_stream(), pace: Pace::new(PATIENCE) };
        Self { body: Arc::new(Mutex::new(body)), ahead: Arc::default() }
    }

    /// The parts, as they come. Whoever gets something of them says so by [`Form::understood`].
    pub(super) fn parts(&self, boundary: String) -> Multipart<'static> {
        Multipart::new(self.clone().pieces(), boundary)
    }

    /// The parser has made something of what it was given.
    pub(super) fn understood(&self) {
        self.ahead.store(0, Ordering::Relaxed);
    }

    /// The parser takes whatever is there at once: so there is one piece at a time, and only as many as it makes something of.
    fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::try_unfold(self, |form| async move {
            tokio::task::yield_now().await;
            let Some(piece) = form.body.lock().await.next().await? else { return Ok(None) };
            if form.ahead.fetch_add(piece.len(), Ordering::Relaxed) > MAX_AHEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(Some((piece, form)))
        })
    }

    /// Reads on after a refusal.
    pub(super) async fn discard(self) {
        let nothing = Body::empty().into_data_stream();
        let pieces = std::mem::replace(&mut self.body.lock().await.pieces, nothing);
        discard(pieces).await;
    }
}

/// The text of a part.
pub(super) async fn text(mut part: Field<'static>, form: &Form, name: &str) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        form.understood();
        text.extend_from_slice(&chunk);
        if text.len() > MAX_JSON {
            return Err(Problem::body_too_large(&format!("1 MiB in its part `{name}`")));
        }
    }
    String::from_utf8(text).map_err(|_| Problem::malformed(format!("the part `{name}` is no text in UTF-8")))
}

/// Why a form can't be read.
pub(super) fn broken(error: multer::Error) -> Problem {
    let kind = match &error {
        multer::Error::StreamReadFailed(cause) => cause.downcast_ref::<io::Error>().map(io::Error::kind),
        _ => None,
    };
    match kind {
        Some(io::ErrorKind::TimedOut) => too_slow(),
        Some(io::ErrorKind::InvalidData) => Problem::malformed("a part of the form has a header without end"),
        Some(_) => Problem::malformed("the body breaks off"),
        None => Problem::malformed("the body is no whole form"),
    }
}
