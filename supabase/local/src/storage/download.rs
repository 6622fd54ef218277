//! Downloads: whole or in part, streamed from disk, by caller, by public bucket or by signed URL.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::refusal::Refusal;
use super::rows::{self, Stored};
use super::{Storage, as_caller, begin};
use crate::caller::Caller;

/// What a download's URL may say beside the path.
#[derive(Deserialize)]
pub(super) struct Wish {
    token: Option<String>,
    /// The file name to save under; empty for the object's own.
    download: Option<String>,
}

/// `GET /object/{bucket}/{name}`: a public bucket needs no caller; without one a private bucket does not show itself.
pub(super) async fn plain(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = storage.caller(&headers).ok();
    let stored = storage.find(caller.as_ref(), &bucket, &name).await?;
    storage.answer(&headers, &stored, wish.download.as_deref(), None).await
}

/// `GET /object/authenticated/{bucket}/{name}`
pub(super) async fn authenticated(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = storage.caller(&headers)?;
    let stored = storage.find(Some(&caller), &bucket, &name).await?;
    storage.answer(&headers, &stored, wish.download.as_deref(), None).await
}

/// `GET /object/public/{bucket}/{name}`
pub(super) async fn public(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = storage.find(None, &bucket, &name).await?;
    storage.answer(&headers, &stored, wish.download.as_deref(), None).await
}

/// `GET /object/sign/{bucket}/{name}?token=`: the token alone decides.
pub(super) async fn signed(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let until = storage.check_download_token(wish.token.as_deref(), &format!("{bucket}/{name}"))?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, None).await?;
    let stored = rows::find(&transaction, &bucket, &name).await?;
    drop(transaction);
    drop(connection);
    storage.answer(&headers, &stored, wish.download.as_deref(), Some(until)).await
}

/// `GET /object/info/authenticated/{bucket}/{name}`
pub(super) async fn info_authenticated(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = storage.caller(&headers)?;
    storage.inform(storage.find(Some(&caller), &bucket, &name).await?).await
}

/// `GET /object/info/{bucket}/{name}`
pub(super) async fn info(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = storage.caller(&headers).ok();
    storage.inform(storage.find(caller.as_ref(), &bucket, &name).await?).await
}

/// `GET /object/info/public/{bucket}/{name}`
pub(super) async fn info_public(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    storage.inform(storage.find(None, &bucket, &name).await?).await
}

impl Storage {
    /// The object, if its bucket is public or the policies show it to `caller`.
    async fn find(&self, caller: Option<&Caller>, bucket: &str, name: &str) -> Result<Stored, Refusal> {
        let mut connection = self.connection().await?;
        let transaction = begin(&mut connection, None).await?;
        if !rows::bucket(&transaction, bucket).await?.public {
            as_caller(&transaction, caller.ok_or(Refusal::NoSuchBucket)?).await?;
        }
        rows::find(&transaction, bucket, name).await
    }

    /// The object's row in a body, and its head in the headers.
    async fn inform(&self, stored: Stored) -> Result<Response, Refusal> {
        let Opened { headers, .. } = self.open(&stored).await?;
        Ok((headers, Json(stored.info)).into_response())
    }

    async fn open(&self, stored: &Stored) -> Result<Opened, Refusal> {
        let file = self.files.open(&stored.version).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Refusal::NoSuchObject,
            _ => error.into(),
        })?;
        let on_disk = file.metadata().await?;
        let modified = on_disk.modified()?;
        let mut opened = Opened { file, size: on_disk.len(), modified, headers: HeaderMap::new() };
        let said = |key: &str| stored.metadata[key].as_str();
        opened.set(header::ETAG, said("eTag").unwrap_or_default().to_owned());
        opened.set(header::CACHE_CONTROL, said("cacheControl").unwrap_or("no-cache").to_owned());
        opened.set(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
        Ok(opened)
    }

    /// The bytes. `until` (seconds since 1970) is when the address ends that they were asked for at, if it does.
    async fn answer(
        &self,
        asked: &HeaderMap,
        stored: &Stored,
        save_as: Option<&str>,
        until: Option<u64>,
    ) -> Result<Response, Refusal> {
        let mut opened = self.open(stored).await?;
        if let Some(until) = until {
            opened.headers.remove(header::CACHE_CONTROL);
            // The last second that has such a date.
            let until = UNIX_EPOCH + Duration::from_secs(until.min(253_402_300_799));
            opened.set(header::EXPIRES, httpdate::fmt_http_date(until));
        }
        if opened.is_known(asked) {
            return Ok((StatusCode::NOT_MODIFIED, opened.headers).into_response());
        }
        // A page that somebody uploaded must not run under this origin.
        let mime_type = stored.metadata["mimetype"].as_str().unwrap_or("application/octet-stream");
        let mime_type = if mime_type.contains("text/html") { "text/plain" } else { mime_type };
        opened.set(header::CONTENT_TYPE, mime_type.to_owned());
        opened.set(header::ACCEPT_RANGES, "bytes".to_owned());
        if let Some(name) = save_as {
            opened.set(header::CONTENT_DISPOSITION, disposition(name));
        }
        let size = opened.size;
        let (status, part) = match asked.get(header::RANGE) {
            None => (StatusCode::OK, size),
            Some(range) => {
                let range = part(range, size)?;
                opened.set(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start(), range.end()));
                opened.file.seek(std::io::SeekFrom::Start(*range.start())).await?;
                (StatusCode::PARTIAL_CONTENT, range.end() - range.start() + 1)
            }
        };
        opened.set(header::CONTENT_LENGTH, part.to_string());
        let body = Body::from_stream(ReaderStream::with_capacity(opened.file.take(part), 64 << 10));
        Ok((status, opened.headers, body).into_response())
    }
}

/// An object's file, with the headers that every answer about it has.
struct Opened {
    file: File,
    size: u64,
    modified: SystemTime,
    headers: HeaderMap,
}

impl Opened {
    fn set(&mut self, name: header::HeaderName, value: String) {
        // What a person wrote as content type or cache control came in a header, so it fits into one.
        HeaderValue::try_from(value).map(|value| self.headers.insert(name, value)).ok();
    }

    /// Whether the one who asks has it already. As in the real server, a list of tags or `*` says nothing, and either way of asking is
    /// enough.
    fn is_known(&self, asked: &HeaderMap) -> bool {
        let same = asked.get(header::IF_NONE_MATCH).is_some_and(|tag| self.headers.get(header::ETAG) == Some(tag));
        let since = asked.get(header::IF_MODIFIED_SINCE).and_then(|since| since.to_str().ok());
        let since = since.and_then(|since| httpdate::parse_http_date(since).ok());
        // Dates of HTTP have whole seconds.
        same || since.is_some_and(|since| self.modified < since + Duration::from_secs(1))
    }
}

fn disposition(name: &str) -> String {
    if name.is_empty() {
        return "attachment;".to_owned();
    }
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    format!("attachment; filename={name}; filename*=UTF-8''{name};")
}

/// The bytes that `range` asks for of `size`. Whatever is no single part that the file has is refused.
fn part(range: &HeaderValue, size: u64) -> Result<RangeInclusive<u64>, Refusal> {
    let last_byte = size.checked_sub(1).ok_or(Refusal::Range)?;
    let range = range.to_str().map_err(|_| Refusal::Range)?;
    let (unit, range) = range.split_once('=').ok_or(Refusal::Range)?;
    let (first, last) = range.split_once('-').ok_or(Refusal::Range)?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) => first..=last.min(last_byte),
        (Some(first), None) if last.trim().is_empty() => first..=last_byte,
        (None, Some(last)) if first.trim().is_empty() && last > 0 => size.saturating_sub(last)..=last_byte,
        _ => return Err(Refusal::Range),
    };
    if part.is_empty() || !unit.eq_ignore_ascii_case("bytes") { Err(Refusal::Range) } else { Ok(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten(range: &'static str) -> Result<RangeInclusive<u64>, Refusal> {
        part(&HeaderValue::from_static(range), 10)
    }

    #[test]
    fn a_range_is_cut_to_what_the_file_has() {
        assert_eq!(of_ten("bytes=0-3").unwrap(), 0..=3);
        assert_eq!(of_ten("Bytes=4-").unwrap(), 4..=9);
        assert_eq!(of_ten("bytes=-3").unwrap(), 7..=9);
        assert_eq!(of_ten("bytes=-30").unwrap(), 0..=9);
        assert_eq!(of_ten("bytes=8-300").unwrap(), 8..=9);
    }

    #[test]
    fn a_range_that_the_file_has_not_or_that_is_none_is_refused() {
        let behind = ["bytes=10-", "bytes=10-12", "bytes=-0"];
        let none = ["bytes=3-1", "lines=0-1", "bytes=a-b", "bytes=0-1,3-4", "bytes=", "bytes=-", "0-1", ""];
        for range in behind.into_iter().chain(none) {
            assert!(matches!(of_ten(range), Err(Refusal::Range)), "{range}");
        }
        assert!(matches!(part(&HeaderValue::from_static("bytes=0-0"), 0), Err(Refusal::Range)));
    }

    #[test]
    fn a_file_name_is_encoded_in_the_disposition() {
        assert_eq!(disposition(""), "attachment;");
        assert_eq!(disposition("ü 1.png"), "attachment; filename=%C3%BC%201.png; filename*=UTF-8''%C3%BC%201.png;");
    }
}
