//! The multipart body of an edit: its fields, and the sources streamed from disk as they are.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use super::{Edit, Source};

/// How much of a source is in memory at once, for each upload; hyper keeps up to sixteen such pieces while the network is slow.
const PIECE: u64 = 16 * 1024;

/// How far an upload is. Shared by the streams of its sources and the one who waits for the answer.
#[derive(Debug)]
pub(super) struct Upload {
    /// Bytes of sources that are still to be handed to the connection.
    left: AtomicU64,
    over: AtomicBool,
    failure: Mutex<Option<io::Error>>,
    /// The room among all uploads, given back as soon as the last byte is handed over.
    room: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Upload {
    /// An upload of these sources that holds `room` until they are sent.
    pub(super) fn new(sources: &[Source], room: Option<OwnedSemaphorePermit>) -> Arc<Self> {
        let left = sources.iter().map(|source| source.bytes).sum();
        Arc::new(Self {
            left: AtomicU64::new(left),
            over: AtomicBool::new(false),
            failure: Mutex::new(None),
            room: Mutex::new(room.filter(|_| left > 0)),
        })
    }

    /// Bytes that are still to be sent.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Why a source could not be read, if that was what broke the connection.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn took(&self, bytes: u64) {
        if self.left.fetch_sub(bytes, Ordering::Relaxed) == bytes {
            self.give_room_back();
        }
    }

    fn give_room_back(&self) {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }
}

/// Ends an upload when the edit has ended, however it did: a connection whose answer came early, or that nobody waits for any more, must not go on sending.
pub(super) struct EndOfUpload(pub(super) Arc<Upload>);

impl Drop for EndOfUpload {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.give_room_back();
    }
}

/// The form of an edit. Every part has its length, so the request has one, too.
pub(super) fn form(edit: &Edit, upload: &Arc<Upload>) -> Result<Form, reqwest::Error> {
    let mut form = Form::new()
        .text("model", edit.model.clone())
        .text("prompt", edit.prompt.clone())
        .text("n", "1")
        .text("size", edit.size.to_string())
        .text("output_format", edit.format.as_str());
    let optional =
        [("quality", &edit.quality), ("background", &edit.background), ("safety_identifier", &edit.safety_identifier)];
    for (name, value) in optional {
        if let Some(value) = value {
            form = form.text(name, value.clone());
        }
    }
    if edit.partial_images > 0 {
        form = form.text("stream", "true").text("partial_images", edit.partial_images.to_string());
    }
    // The files come last: what is wrong with the fields is known before they are sent.
    for (at, source) in edit.sources.iter().enumerate() {
        let body = Body::wrap_stream(pieces(Arc::clone(&edit.sources), at, Arc::clone(upload)));
        let name = format!("source-{}.{}", at + 1, source.format.extension());
        let part = Part::stream_with_length(body, source.bytes).file_name(name).mime_str(source.format.mime())?;
        form = form.part("image[]", part);
    }
    Ok(form)
}

/// The bytes of one source, as many as were announced. The file is opened when its turn comes and closed at its end.
fn pieces(sources: Arc<[Source]>, at: usize, upload: Arc<Upload>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(None, move |open: Option<(File, u64)>| {
        let (sources, upload) = (Arc::clone(&sources), Arc::clone(&upload));
        async move {
            if upload.over.load(Ordering::Relaxed) {
                return Err(io::Error::other("the edit is over"));
            }
            let next = async {
                let (mut file, left) = match open {
                    Some(open) => open,
                    None => (open_source(&sources[at].path).await?, sources[at].bytes),
                };
                if left == 0 {
                    return Ok(None);
                }
                let size = left.min(PIECE);
                let mut piece = BytesMut::with_capacity(size as usize);
                if (&mut file).take(size).read_buf(&mut piece).await? == 0 {
                    let message = format!("{} is {left} bytes shorter than it was", sources[at].path.display());
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
                Ok(Some((file, left, piece.freeze())))
            };
            match next.await {
                Ok(None) => Ok(None),
                Ok(Some((file, left, piece))) => {
                    let size = piece.len() as u64;
                    upload.took(size);
                    Ok(Some((piece, Some((file, left - size)))))
                }
                Err(error) => Err(upload.fail(error)),
            }
        }
    })
}

async fn open_source(path: &Path) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    File::open(path).await.map_err(named)
}
