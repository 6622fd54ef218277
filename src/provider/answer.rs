//! Reads the answer to an edit: JSON or server-sent events, as it comes, within the limits of memory and time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::error::{Error, Wait};
use super::refusal::{self, Head};
use super::usage::Usage;
use super::wire::document::{self, Broken, Document, Reader, Shape};
use super::wire::events::{Event, Stream};
use crate::words::Secrets;

/// How much of an error's body is read.
const MAX_ERROR: usize = 64 * 1024;
/// Where OpenAI has its images: in answers below `data`, in events beside the rest.
pub(super) const SHAPE: Shape = Shape { list: "data", data: "b64_json", address: "url" };

/// The longest pause that TCP makes before it sends once more what was not taken.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

/// An image on its way to being finished.
#[derive(Debug)]
pub struct Partial {
    /// Which of the partial images it is, from 0 on.
    pub index: u64,
    /// The bytes of the file, not checked.
    pub image: Vec<u8>,
}

/// Where an answer that succeeded has its image.
pub(super) enum Found {
    Image(Vec<u8>),
    /// An address, not checked.
    Url(String),
}

/// What an answer that succeeded has in it.
pub(super) struct Content {
    pub(super) found: Found,
    pub(super) usage: Option<Usage>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What reading an answer may still take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Without a byte.
    pub(super) silence: Duration,
    /// In all.
    pub(super) deadline: Instant,
    /// Bytes that may still come.
    pub(super) bytes: usize,
    /// Partial images that may still come; more than were asked for are passed over.
    pub(super) partials: u8,
}

/// An answer whose body is still coming.
pub(super) struct Incoming<'a> {
    response: Response,
    head: &'a Head,
    pub(super) limits: Limits,
    /// Whether bytes of the body have come: a server may send the head at once, and be silent for as long as it works.
    begun: bool,
}

impl<'a> Incoming<'a> {
    /// An answer of which only the head has come.
    pub(super) fn new(response: Response, head: &'a Head, limits: Limits) -> Self {
        Self { response, head, limits, begun: false }
    }

    /// The next bytes, or nothing at the end. `patient`: silence is not counted, only the deadline, as it is before the first byte.
    pub(super) async fn next(&mut self, patient: bool) -> Result<Option<Bytes>, Error> {
        let silent = Instant::now() + self.limits.silence;
        let patient = patient || !self.begun;
        let until = if patient { self.limits.deadline } else { self.limits.deadline.min(silent) };
        let Ok(chunk) = timeout_at(until, self.response.chunk()).await else {
            let what = if until == self.limits.deadline { Wait::Total } else { Wait::Silence };
            let told = self.head.told("its answer began and did not end in time");
            return Err(Error::Timeout { what, may_be_billed: true, told });
        };
        let chunk = chunk.map_err(|_| self.truncated())?;
        let size = chunk.as_ref().map_or(0, Bytes::len);
        self.begun |= size > 0;
        let too_large = || Error::TooLarge { told: self.head.told("it sent more bytes than configuration allows") };
        self.limits.bytes = self.limits.bytes.checked_sub(size).ok_or_else(too_large)?;
        Ok(chunk)
    }

    /// Waits for a permit. That wait is ours, not the provider's: it doesn't count against the deadline, nor does its echo.
    ///
    /// What the system could not hold of an answer that nobody read is thrown away, and the other side's system sends it again after pauses that double. When we
    /// read at last, the next of them may be as far away as the first is gone by: a silence that we have caused.
    async fn permit(&mut self, transfers: &Arc<Semaphore>) -> OwnedSemaphorePermit {
        let asked = Instant::now();
        let permit = Arc::clone(transfers).acquire_owned().await.expect("the transfer permits are never closed");
        let waited = asked.elapsed();
        let echo = waited.min(LONGEST_BACKOFF);
        self.limits.deadline += waited + echo;
        self.limits.silence += echo;
        permit
    }

    /// As much of an error's body as comes: what is missing is no second error.
    pub(super) async fn read_error(mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < MAX_ERROR
            && let Ok(Some(chunk)) = self.next(false).await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_ERROR - body.len())]);
        }
        body
    }

    fn truncated(&self) -> Error {
        Error::Truncated { told: self.head.told("the connection ended before the answer did") }
    }

    fn broken(&self, broken: Broken) -> Error {
        match broken {
            Broken::Truncated => self.truncated(),
            Broken::NotUnderstood(why) => Error::NotUnderstood { told: self.head.told(&format!("it sent {why}")) },
        }
    }

    /// Reads a successful answer to its image.
    pub(super) async fn read(
        &mut self,
        transfers: &Arc<Semaphore>,
        partials: Option<&mpsc::Sender<Partial>>,
        secrets: Secrets<'_>,
    ) -> Result<Content, Error> {
        let kind = self.response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let kind = kind.trim_start().to_ascii_lowercase();
        if kind.starts_with("text/html") {
            // Some other server's, which has made nothing.
            return Err(Error::NotFound { told: self.head.told("it answers with a web page") });
        }
        if let Some(encoding) = &self.head.encoding {
            let message = format!("it sent the answer compressed ({encoding}), which it was asked not to do");
            return Err(Error::NotUnderstood { told: self.head.told(&message) });
        }
        if kind.starts_with("text/event-stream") {
            self.read_events(transfers, partials, secrets).await
        } else {
            self.read_document(transfers, secrets).await
        }
    }

    async fn read_document(&mut self, transfers: &Arc<Semaphore>, secrets: Secrets<'_>) -> Result<Content, Error> {
        let expected = self.response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut reader = Reader::with_room(SHAPE, expected.min(self.limits.bytes));
        // While the provider works, nothing is held, whatever it sends to keep the connection: spaces are no answer yet.
        let mut permit = None;
        // An answer that is whole is not waited for any longer, even when its connection has no end.
        while !reader.is_complete() {
            let Some(chunk) = self.next(!reader.has_begun()).await? else { break };
            if permit.is_none() {
                permit = Some(self.permit(transfers).await);
            }
            reader.feed(&chunk).map_err(|broken| self.broken(broken))?;
            permit = permit.filter(|_| reader.has_begun());
        }
        let permit = permit.ok_or_else(|| self.truncated())?;
        let document = reader.finish().map_err(|broken| self.broken(broken))?;
        self.content(document, permit, secrets)
    }

    async fn read_events(
        &mut self,
        transfers: &Arc<Semaphore>,
        partials: Option<&mpsc::Sender<Partial>>,
        secrets: Secrets<'_>,
    ) -> Result<Content, Error> {
        let mut stream = Stream::new(SHAPE);
        let mut permit = None;
        // Between events the provider works, and nothing is held: permit and silence are an event's, not the stream's.
        while let Some(chunk) = self.next(stream.is_between_events()).await? {
            let held = match permit.take() {
                Some(held) => held,
                None => self.permit(transfers).await,
            };
            let mut rest = &chunk[..];
            while let Some(event) = stream.next(&mut rest) {
                if let Some(document) = self.completed(event, partials, secrets)? {
                    return self.content(document, held, secrets);
                }
            }
            permit = (!stream.is_between_events()).then_some(held);
        }
        let last = stream.finish().map(|event| self.completed(event, partials, secrets)).transpose()?.flatten();
        match (last, permit) {
            (Some(document), Some(held)) => self.content(document, held, secrets),
            _ => Err(self.truncated()),
        }
    }

    /// The document of the event that ends the edit; hands partial images on, and turns errors into errors.
    fn completed(
        &mut self,
        event: Event,
        partials: Option<&mpsc::Sender<Partial>>,
        secrets: Secrets<'_>,
    ) -> Result<Option<Document>, Error> {
        let is_last = |kind: &str| kind.ends_with(".completed");
        if event.data.as_ref().is_ok_and(|data| data.is(b"[DONE]")) {
            return Err(self.truncated());
        }
        let mut document = match event.data.and_then(Reader::finish) {
            Ok(document) => document,
            Err(broken) if is_last(&event.name) => return Err(self.broken(broken)),
            // What is no document in an event of another kind says nothing about the edit.
            Err(_) => return Ok(None),
        };
        let kind = document.text("type").unwrap_or(&event.name);
        if is_last(kind) {
            return Ok(Some(document));
        }
        if kind == "error" || event.name == "error" || document.member("error").is_some() {
            return Err(refusal::in_success(self.head, &document.value, secrets));
        }
        if kind.ends_with(".partial_image")
            && let Some(partials) = partials
            && let Some(left) = self.limits.partials.checked_sub(1)
            && let document::Found::Image(image) = document.take_image()
        {
            self.limits.partials = left;
            let index = document.member("partial_image_index").and_then(serde_json::Value::as_u64).unwrap_or(0);
            // Previews are a courtesy: a slow taker misses some, and neither stops the edit nor piles them up.
            let _ = partials.try_send(Partial { index, image });
        }
        Ok(None)
    }

    fn content(
        &self,
        mut document: Document,
        permit: OwnedSemaphorePermit,
        secrets: Secrets<'_>,
    ) -> Result<Content, Error> {
        let usage = document.member("usage").filter(|usage| usage.is_object()).cloned().map(Usage::from);
        let not_understood = |message: &str| Error::NotUnderstood { told: self.head.told(message) };
        let found = match document.take_image() {
            document::Found::Image(image) => Found::Image(image),
            document::Found::Url(address) => Found::Url(address),
            document::Found::Broken => return Err(not_understood("it sent an image that is no base64")),
            document::Found::Nothing if document.member("error").is_some() => {
                return Err(refusal::in_success(self.head, &document.value, secrets));
            }
            document::Found::Nothing if document.member("data").is_some_and(|data| *data == json!([])) => {
                return Err(Error::Empty { told: self.head.told("its list of images is empty") });
            }
            document::Found::Nothing => return Err(not_understood("it sent no image")),
        };
        Ok(Content { found, usage, permit })
    }
}
