//! Bytes to an object.

use std::future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, Stream};
use reqwest::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Client};

use super::error::{Error, lost};
use super::{Settings, Storage, client};

/// How much is handed to the connection at once.
const PIECE: usize = 64 * 1024;
/// Connections that are kept for later uploads.
const KEPT: usize = 8;

/// Clients that serve one upload at a time, so that each has its own connection.
///
/// Storage refuses an upload early, keeps the connection open and never reads the rest of the body: whatever is sent on that connection next waits for a
/// minute. A pool can't tell such a connection from a good one, as the system's buffers took the whole body. So a client that saw a refusal, or any other failure,
/// is dropped together with its pool.
pub(super) struct Uploaders {
    settings: Settings,
    idle: Mutex<Vec<Client>>,
}

impl Uploaders {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, idle: Mutex::new(Vec::new()) }
    }

    fn take(&self) -> Result<Client, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| client(&self.settings), Ok).map_err(|error| Error::Connect { message: error.to_string() })
    }

    fn give_back(&self, client: Client) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(client);
        }
    }
}

/// Ends the sending when the upload has ended, however it did.
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Storage {
    /// Puts an object at `path`, in place of one that is there.
    ///
    /// `cache_control` is kept as it is and sent with every download: `max-age=31536000, immutable` where a path is made from the content.
    pub async fn upload(&self, path: &str, mime: &str, body: Bytes, cache_control: &str) -> Result<(), Error> {
        let address = self.object("object", path)?;
        let client = self.uploaders.take()?;
        let over = Arc::new(AtomicBool::new(false));
        let _end = End(Arc::clone(&over));
        let request = client
            .post(address)
            .header("x-upsert", "true")
            .header(CONTENT_TYPE, mime)
            .header(CACHE_CONTROL, cache_control)
            // Storage checks the size only when it is stated.
            .header(CONTENT_LENGTH, body.len())
            .body(Body::wrap_stream(pieces(body, over)));
        let response = request.send().await.map_err(|error| lost(&error))?;
        let answer = self.answer(response).await?;
        if !answer.is_object() {
            return Err(Error::not_understood("it did not confirm the upload"));
        }
        self.uploaders.give_back(client);
        Ok(())
    }
}

/// The body in pieces, broken off when the upload is over.
fn pieces(body: Bytes, over: Arc<AtomicBool>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(body, move |mut rest| {
        let next = if over.load(Ordering::Relaxed) {
            Err(io::Error::other("the upload is over"))
        } else if rest.is_empty() {
            Ok(None)
        } else {
            let piece = rest.split_to(rest.len().min(PIECE));
            Ok(Some((piece, rest)))
        };
        future::ready(next)
    })
}
