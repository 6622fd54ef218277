//! The body of a form: given to the parser piece by piece, and read to its end after a refusal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use multer::Multipart;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::problem::Problem;
use super::request::too_slow;

/// Bytes that the parser may be given before it makes something of them: more than that is no header of a part.
const MAX_AHEAD: usize = 1 << 20;
/// How long a body may pause.
const SILENCE: Duration = Duration::from_secs(30);
/// How much of a body is still read after its refusal, and for how long: who is still sending does not see an answer.
const REST: (usize, Duration) = (64 << 20, Duration::from_secs(20));

/// A form that comes in. Cloning it gives another hold of the same.
#[derive(Clone)]
pub(super) struct Form {
    body: Arc<Mutex<BodyDataStream>>,
    /// Bytes that the parser has, and has made nothing of.
    ahead: Arc<AtomicUsize>,
}

impl Form {
    pub(super) fn new(body: Body) -> Self {
        Self { body: Arc::new(Mutex::new(body.into_data_stream())), ahead: Arc::default() }
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
            let next = timeout(SILENCE, async { form.body.lock().await.next().await }).await;
            let piece = match next {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(_))) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(None) => return Ok(None),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            if form.ahead.fetch_add(piece.len(), Ordering::Relaxed) > MAX_AHEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(Some((piece, form)))
        })
    }

    /// Reads on after a refusal.
    pub(super) async fn discard(self) {
        let (most, time) = REST;
        let rest = async {
            let mut body = self.body.lock().await;
            let mut read = 0;
            while let Some(Ok(piece)) = body.next().await {
                read += piece.len();
                if read > most {
                    break;
                }
            }
        };
        let _ = timeout(time, rest).await;
    }
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
