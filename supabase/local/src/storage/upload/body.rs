//! The body of an upload: bytes as they are, or a form with one file in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, unfold};
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::Mutex;

use crate::storage::files::Arrived;
use crate::storage::refusal::Refusal;

/// How much of a refused body is read, so that its connection can be used again.
const READ_AFTER_REFUSAL: usize = 512 << 10;
/// Room for the fields and boundaries of a form beside its file.
const FORM_OVERHEAD: u64 = 2 << 20;
/// How much of a form's file is read before what stands behind it is given up.
const READ_AHEAD: usize = 32 << 10;
/// The most that a person may say about a file.
const USER_METADATA: u64 = 1 << 20;

/// A body that can be left standing after its reader has given up.
pub(super) struct Incoming(Arc<Mutex<BodyDataStream>>);

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body.into_data_stream())))
    }

    fn chunks(&self) -> BoxStream<'static, Result<Bytes, axum::Error>> {
        let next = |body: Arc<Mutex<BodyDataStream>>| async {
            let chunk = body.lock().await.next().await?;
            Some((chunk, body))
        };
        unfold(Arc::clone(&self.0), next).boxed()
    }

    /// Keeps the connection open for `time` and reads only the beginning of what is left.
    pub(super) async fn linger(self, time: Duration) {
        let read = async {
            let mut body = self.0.lock().await;
            let mut left = READ_AFTER_REFUSAL;
            while left > 0 {
                match body.next().await {
                    Some(Ok(chunk)) => left = left.saturating_sub(chunk.len()),
                    _ => return,
                }
            }
            futures::future::pending::<()>().await;
        };
        let _ = tokio::time::timeout(time, read).await;
    }
}

/// The file in a body, with what is said about it.
pub(super) struct Content {
    source: Source,
    mime_type: String,
    cache_control: String,
    user_metadata: Option<Value>,
}

enum Source {
    Raw(BoxStream<'static, Result<Bytes, axum::Error>>),
    /// What was read ahead of a form's file, and the rest of it.
    Form(VecDeque<Bytes>, Option<Box<Field<'static>>>),
}

impl Content {
    /// Reads as far as the file's first byte. What the headers alone show to be over `limit` bytes is refused.
    pub(super) async fn of(headers: &HeaderMap, body: &Incoming, limit: u64) -> Result<Self, Refusal> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let length = text(header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        let mime_type = text(header::CONTENT_TYPE.as_str()).unwrap_or("application/octet-stream");
        let is_form = mime_type.starts_with("multipart/form-data");
        let overhead = if is_form { FORM_OVERHEAD } else { 0 };
        if length.is_some_and(|length| length > limit.saturating_add(overhead)) {
            return Err(Refusal::TooLarge("object"));
        }
        if is_form {
            return Self::in_form(mime_type, body).await;
        }
        let user_metadata = text("x-metadata").and_then(|encoded| {
            let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
            serde_json::from_slice(&decoded).ok()
        });
        Ok(Self {
            source: Source::Raw(body.chunks()),
            mime_type: mime_type.to_owned(),
            cache_control: text(header::CACHE_CONTROL.as_str()).unwrap_or("no-cache").to_owned(),
            user_metadata,
        })
    }

    /// The first file of a form. As in the real server, fields that stand before it count, and those behind it where it is so small
    /// that all came in one go.
    async fn in_form(content_type: &str, body: &Incoming) -> Result<Self, Refusal> {
        let boundary = multer::parse_boundary(content_type).map_err(form_refusal)?;
        let limits = Said::FIELDS.iter().fold(SizeLimit::new(), |limits, name| limits.for_field(*name, USER_METADATA));
        let mut form = Multipart::with_constraints(body.chunks(), boundary, Constraints::new().size_limit(limits));
        let mut said = Said::default();
        while let Some(mut field) = form.next_field().await.map_err(form_refusal)? {
            if field.file_name().is_none() {
                said.read(field).await?;
                continue;
            }
            let own = field.content_type().map_or("application/octet-stream", |kind| kind.as_ref()).to_owned();
            let (mut ahead, mut length, mut whole) = (VecDeque::new(), 0, false);
            while length < READ_AHEAD && !whole {
                match field.chunk().await.map_err(form_refusal)? {
                    Some(chunk) => {
                        length += chunk.len();
                        ahead.push_back(chunk);
                    }
                    None => whole = true,
                }
            }
            let mut rest = Some(Box::new(field));
            if whole {
                // As long as it is held, the form gives no other field.
                rest = None;
            }
            while whole && let Some(field) = form.next_field().await.map_err(form_refusal)? {
                said.read(field).await?;
            }
            return Ok(Self {
                source: Source::Form(ahead, rest),
                mime_type: said.mime_type.unwrap_or(own),
                cache_control: said.cache_control.unwrap_or_else(|| "no-cache".to_owned()),
                user_metadata: said.user_metadata,
            });
        }
        Err(Refusal::NoContent("No content provided".to_owned()))
    }

    /// Whether the bytes are counted as they come. Of raw ones the real server looks at the length in the headers alone: where none
    /// is told, as many as you like are taken.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self.source, Source::Form(..))
    }

    pub(super) fn mime_type(&self) -> &str {
        &self.mime_type
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        match &mut self.source {
            Source::Raw(chunks) => {
                let chunk = chunks.next().await.transpose();
                chunk.map_err(|error| Refusal::NoContent(format!("The upload broke off: {error}")))
            }
            Source::Form(ahead, rest) => match (ahead.pop_front(), rest) {
                (None, Some(rest)) => rest.chunk().await.map_err(form_refusal),
                (chunk, _) => Ok(chunk),
            },
        }
    }

    /// What the row says about the file, and what the person said about it.
    pub(super) fn metadata(self, arrived: &Arrived) -> (Value, Value) {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let now = OffsetDateTime::now_utc().format(format).unwrap_or_default();
        let metadata = json!({
            "eTag": arrived.etag,
            "size": arrived.bytes,
            "mimetype": self.mime_type,
            "cacheControl": self.cache_control,
            "lastModified": now,
            "contentLength": arrived.bytes,
            "httpStatusCode": 200,
        });
        (metadata, self.user_metadata.filter(Value::is_object).unwrap_or_else(|| json!({})))
    }
}

/// What the fields of a form say about its file.
#[derive(Default)]
struct Said {
    cache_control: Option<String>,
    mime_type: Option<String>,
    user_metadata: Option<Value>,
}

impl Said {
    const FIELDS: [&str; 4] = ["cacheControl", "contentType", "metadata", "userMetadata"];

    async fn read(&mut self, field: Field<'_>) -> Result<(), Refusal> {
        let name = field.name().filter(|name| Self::FIELDS.contains(name)).map(str::to_owned);
        let Some(name) = name else { return Ok(()) };
        let text = field.text().await.map_err(form_refusal)?;
        match name.as_str() {
            "cacheControl" => self.cache_control = Some(format!("max-age={text}")),
            "contentType" => self.mime_type = Some(text),
            _ => self.user_metadata = serde_json::from_str(&text).ok(),
        }
        Ok(())
    }
}

fn form_refusal(error: multer::Error) -> Refusal {
    match error {
        multer::Error::FieldSizeExceeded { .. } => Refusal::TooLarge("user_metadata"),
        error => Refusal::NoContent(error.to_string()),
    }
}
