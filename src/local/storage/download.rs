//! Downloads: whole or in part, streamed from disk, by caller, by public bucket or by signed URL.

use std::ops::RangeInclusive;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::refusal::Refusal;
use super::rows::{self, Stored};
use super::{Storage, as_caller, begin};
use crate::local::caller::Caller;

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
    storage.answer(&headers, &stored, wish.download.as_deref()).await
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
    storage.answer(&headers, &stored, wish.download.as_deref()).await
}

/// `GET /object/public/{bucket}/{name}`
pub(super) async fn public(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let stored = storage.find(None, &bucket, &name).await?;
    storage.answer(&headers, &stored, wish.download.as_deref()).await
}

/// `GET /object/sign/{bucket}/{name}?token=`: the token alone decides.
pub(super) async fn signed(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(wish): Query<Wish>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    storage.check_download_token(wish.token.as_deref(), &format!("{bucket}/{name}"))?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, None).await?;
    let stored = rows::find(&transaction, &bucket, &name).await?;
    drop(transaction);
    drop(connection);
    storage.answer(&headers, &stored, wish.download.as_deref()).await
}

/// `GET /object/info/authenticated/{bucket}/{name}`
pub(super) async fn info_authenticated(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    Ok(Json(storage.find(Some(&caller), &bucket, &name).await?.info))
}

/// `GET /object/info/{bucket}/{name}`
pub(super) async fn info(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers).ok();
    Ok(Json(storage.find(caller.as_ref(), &bucket, &name).await?.info))
}

/// `GET /object/info/public/{bucket}/{name}`
pub(super) async fn info_public(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(storage.find(None, &bucket, &name).await?.info))
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

    async fn answer(&self, asked: &HeaderMap, stored: &Stored, save_as: Option<&str>) -> Result<Response, Refusal> {
        let mut file = self.files.open(&stored.version).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Refusal::NoSuchObject,
            _ => error.into(),
        })?;
        let on_disk = file.metadata().await?;
        let size = on_disk.len();
        let said = |key: &str| stored.metadata[key].as_str();
        let etag = said("eTag").unwrap_or_default();

        let mut headers = HeaderMap::new();
        let mut set = |name: header::HeaderName, value: String| {
            // What a person wrote as content type or cache control came in a header, so it fits into one.
            HeaderValue::try_from(value).map(|value| headers.insert(name, value)).ok();
        };
        set(header::ETAG, etag.to_owned());
        set(header::CACHE_CONTROL, said("cacheControl").unwrap_or("no-cache").to_owned());
        if let Ok(modified) = on_disk.modified() {
            set(header::LAST_MODIFIED, httpdate::fmt_http_date(modified));
        }
        if asked.get(header::IF_NONE_MATCH).is_some_and(|tags| matches(tags, etag)) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        // A page that somebody uploaded must not run under this origin.
        let mime_type = said("mimetype").unwrap_or("application/octet-stream");
        let mime_type = if mime_type.contains("text/html") { "text/plain" } else { mime_type };
        set(header::CONTENT_TYPE, mime_type.to_owned());
        set(header::ACCEPT_RANGES, "bytes".to_owned());
        if let Some(name) = save_as {
            set(header::CONTENT_DISPOSITION, disposition(name));
        }

        let (status, part) = match asked.get(header::RANGE).map(|range| part(range, size)).transpose()?.flatten() {
            None => (StatusCode::OK, size),
            Some(range) => {
                set(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start(), range.end()));
                file.seek(std::io::SeekFrom::Start(*range.start())).await?;
                (StatusCode::PARTIAL_CONTENT, range.end() - range.start() + 1)
            }
        };
        set(header::CONTENT_LENGTH, part.to_string());
        let body = Body::from_stream(ReaderStream::with_capacity(file.take(part), 64 << 10));
        Ok((status, headers, body).into_response())
    }
}

fn matches(tags: &HeaderValue, etag: &str) -> bool {
    let tags = tags.to_str().unwrap_or_default();
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn disposition(name: &str) -> String {
    if name.is_empty() {
        return "attachment;".to_owned();
    }
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    format!("attachment; filename={name}; filename*=UTF-8''{name};")
}

/// The bytes that `range` asks for of `size`; none when it asks in a way that is answered with the whole.
fn part(range: &HeaderValue, size: u64) -> Result<Option<RangeInclusive<u64>>, Refusal> {
    let asked = range.to_str().ok().and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (first, last) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return Ok(None),
        (Some(first), Some(last)) => (first, last.min(size.saturating_sub(1))),
        (Some(first), None) if last.trim().is_empty() => (first, size.saturating_sub(1)),
        (None, Some(0)) => return Err(Refusal::Range),
        (None, Some(last)) if first.trim().is_empty() => (size.saturating_sub(last), size.saturating_sub(1)),
        _ => return Ok(None),
    };
    if first >= size { Err(Refusal::Range) } else { Ok(Some(first..=last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten(range: &'static str) -> Result<Option<RangeInclusive<u64>>, Refusal> {
        part(&HeaderValue::from_static(range), 10)
    }

    #[test]
    fn a_range_is_cut_to_what_the_file_has() {
        assert_eq!(of_ten("bytes=0-3").unwrap(), Some(0..=3));
        assert_eq!(of_ten("bytes=4-").unwrap(), Some(4..=9));
        assert_eq!(of_ten("bytes=-3").unwrap(), Some(7..=9));
        assert_eq!(of_ten("bytes=-30").unwrap(), Some(0..=9));
        assert_eq!(of_ten("bytes=8-300").unwrap(), Some(8..=9));
    }

    #[test]
    fn a_range_behind_the_end_is_refused() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert!(matches!(of_ten(range), Err(Refusal::Range)), "{range}");
        }
        assert!(matches!(part(&HeaderValue::from_static("bytes=0-0"), 0), Err(Refusal::Range)));
    }

    #[test]
    fn a_range_that_is_none_is_answered_with_the_whole() {
        for range in ["bytes=3-1", "lines=0-1", "bytes=a-b", "bytes=0-1,3-4", "bytes=", "bytes=-"] {
            assert_eq!(of_ten(range).unwrap(), None, "{range}");
        }
    }

    #[test]
    fn one_etag_of_many_is_enough() {
        let tags = HeaderValue::from_static("\"a\", W/\"b\"");
        assert!(matches(&tags, "\"b\""));
        assert!(!matches(&tags, "\"c\""));
        assert!(matches(&HeaderValue::from_static("*"), "\"c\""));
    }

    #[test]
    fn a_file_name_is_encoded_in_the_disposition() {
        assert_eq!(disposition(""), "attachment;");
        assert_eq!(disposition("ü 1.png"), "attachment; filename=%C3%BC%201.png; filename*=UTF-8''%C3%BC%201.png;");
    }
}
