//! Uploads: judged before the body is read, streamed to disk, and then kept by the server itself.
//!
//! Like the real server, nobody is asked again when the row is written: of several uploads to one new path that began together, all
//! are answered with success, and the last one stays.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::files::Arrived;
use super::refusal::Refusal;
use super::rows::{self, Bucket, NewObject};
use super::{Storage, as_caller, begin, names};
use crate::caller::Caller;

mod body;

use body::{Content, Incoming};

/// Where an upload goes, and in whose name.
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) name: String,
    /// `sub` of the person who uploads.
    pub(super) owner: Option<String>,
    /// Whether an object that is there already is replaced.
    pub(super) upsert: bool,
    /// Whose right to write is asked for; none for the server itself, which a signed URL lets act.
    pub(super) caller: Option<Caller>,
}

/// `POST /object/{bucket}/{name}`
pub(super) async fn create(
    State(storage): State<Storage>,
    Path(place): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let upsert = wants_upsert(request.headers());
    as_person(storage, place, upsert, request).await
}

/// `PUT /object/{bucket}/{name}`: as the real server does it, an upload that may replace.
pub(super) async fn replace(
    State(storage): State<Storage>,
    Path(place): Path<(String, String)>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    as_person(storage, place, true, request).await
}

/// The token of a signed upload.
#[derive(Deserialize)]
pub(super) struct Signed {
    token: Option<String>,
}

/// `PUT /object/upload/sign/{bucket}/{name}?token=`
pub(super) async fn signed(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    Query(query): Query<Signed>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let (headers, body) = split(request);
    let answer = async {
        let token = query.token.as_deref();
        let (owner, upsert) = storage.check_upload_token(token, &format!("{bucket}/{name}"))?;
        let target = Target { bucket, name, owner, upsert, caller: None };
        let (_, key) = receive(storage, target, &headers, &body).await?;
        Ok(Json(json!({ "Key": key })))
    };
    answer_at_once(answer.await, body)
}

/// Whether the headers ask for an upload that replaces.
pub(super) fn wants_upsert(headers: &HeaderMap) -> bool {
    headers.get("x-upsert").is_some_and(|value| value == "true")
}

async fn as_person(
    storage: Storage,
    (bucket, name): (String, String),
    upsert: bool,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let (headers, body) = split(request);
    let answer = async {
        let caller = storage.caller(&headers)?;
        let owner = rows::owner(&caller).map(str::to_owned);
        let target = Target { bucket, name, owner, upsert, caller: Some(caller) };
        let (id, key) = receive(storage, target, &headers, &body).await?;
        Ok(Json(json!({ "Id": id, "Key": key })))
    };
    answer_at_once(answer.await, body)
}

fn split(request: Request<Body>) -> (HeaderMap, Incoming) {
    let (parts, body) = request.into_parts();
    (parts.headers, Incoming::new(body))
}

/// Like the real server, a refusal does not wait for the rest of the upload: a short rest is read, but behind a long one the
/// connection stays open and silent for a minute.
fn answer_at_once<T>(answer: Result<T, Refusal>, body: Incoming) -> Result<T, Refusal> {
    if answer.is_err() {
        tokio::spawn(body.linger(Duration::from_secs(60)));
    }
    answer
}

async fn receive(
    storage: Storage,
    target: Target,
    headers: &HeaderMap,
    body: &Incoming,
) -> Result<(Uuid, String), Refusal> {
    let bucket = storage.judge(&target).await?;
    let limit = bucket.limit.unwrap_or(u64::MAX);
    let mut content = Content::of(headers, body, limit).await?;
    check_mime_type(&bucket, content.mime_type())?;

    let mut file = storage.files.receive().await?;
    while let Some(chunk) = content.next().await? {
        if content.is_counted() && file.bytes + chunk.len() as u64 > limit {
            return Err(Refusal::TooLarge("object"));
        }
        file.write(&chunk).await?;
    }
    let arrived = file.keep().await?;
    let (metadata, user_metadata) = content.metadata(&arrived);
    // From here on a client that hangs up must not part the file from its row.
    let finish = async move { storage.finish(target, arrived, metadata, user_metadata).await };
    tokio::spawn(finish).await.map_err(|error| Refusal::Broken(error.to_string()))?
}

fn check_mime_type(bucket: &Bucket, mime_type: &str) -> Result<(), Refusal> {
    let Some(allowed) = bucket.mime_types.as_ref().filter(|allowed| !allowed.is_empty()) else {
        return Ok(());
    };
    let matches = |allowed: &String| match allowed.strip_suffix("/*") {
        Some(kind) => mime_type.split_once('/').is_some_and(|(asked, _)| asked == kind),
        None => allowed == mime_type,
    };
    if allowed.iter().any(matches) { Ok(()) } else { Err(Refusal::MimeType(mime_type.to_owned())) }
}

impl Storage {
    /// Asks the policies, in a transaction that is undone, whether `target` may be written; answers what its bucket allows.
    pub(super) async fn judge(&self, target: &Target) -> Result<Bucket, Refusal> {
        names::object(&target.name)?;
        let mut connection = self.connection().await?;
        let transaction = begin(&mut connection, None).await?;
        let bucket = rows::bucket(&transaction, &target.bucket).await?;
        if let Some(caller) = &target.caller {
            as_caller(&transaction, caller).await?;
        }
        rows::try_write(&transaction, &target.row(Uuid::new_v4(), "", None, None), target.upsert).await?;
        transaction.rollback().await?;
        Ok(bucket)
    }

    /// Writes the row of a file that is on disk; without the row the file goes again, and so does the version it replaces.
    async fn finish(
        &self,
        target: Target,
        arrived: Arrived,
        metadata: Value,
        user_metadata: Value,
    ) -> Result<(Uuid, String), Refusal> {
        let version = arrived.version.to_string();
        let row = target.row(Uuid::new_v4(), &version, Some(metadata), Some(user_metadata));
        match self.commit(&row).await {
            Ok((id, _)) => Ok((id, format!("{}/{}", target.bucket, target.name))),
            Err(refusal) => {
                self.files.remove(&version).await;
                Err(refusal)
            }
        }
    }

    /// Writes `row` over what is there, then forgets the bytes of what it replaced. Answers the object's id and its row.
    pub(super) async fn commit(&self, row: &NewObject<'_>) -> Result<(Uuid, Value), Refusal> {
        let mut connection = self.connection().await?;
        let transaction = begin(&mut connection, None).await?;
        rows::lock(&transaction, row.bucket, row.name).await?;
        let replaced = match rows::find(&transaction, row.bucket, row.name).await {
            Err(Refusal::NoSuchObject) => None,
            found => Some(found?.version),
        };
        let written = rows::put(&transaction, row).await?;
        transaction.commit().await?;
        if let Some(replaced) = replaced {
            self.files.remove(&replaced).await;
        }
        Ok(written)
    }
}

impl Target {
    fn row(&self, id: Uuid, version: &str, metadata: Option<Value>, user_metadata: Option<Value>) -> NewObject<'_> {
        NewObject {
            id,
            bucket: &self.bucket,
            name: &self.name,
            owner: self.owner.as_deref(),
            version: version.to_owned(),
            metadata,
            user_metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(mime_types: &[&str]) -> Bucket {
        let mime_types = mime_types.iter().map(|kind| (*kind).to_owned()).collect();
        Bucket { public: false, limit: None, mime_types: Some(mime_types) }
    }

    #[test]
    fn a_bucket_takes_only_the_types_it_names() {
        let photos = bucket(&["image/png", "image/jpeg"]);
        assert!(check_mime_type(&photos, "image/png").is_ok());
        for refused in ["image/gif", "image/png; charset=utf-8", "image", "", "IMAGE/PNG/"] {
            let answer = check_mime_type(&photos, refused);
            assert!(matches!(answer, Err(Refusal::MimeType(kind)) if kind == refused));
        }
    }

    #[test]
    fn a_wildcard_stands_for_every_subtype_of_one_kind() {
        let images = bucket(&["image/*"]);
        assert!(check_mime_type(&images, "image/webp").is_ok());
        assert!(check_mime_type(&images, "imagery/webp").is_err());
        assert!(check_mime_type(&images, "video/mp4").is_err());
    }

    #[test]
    fn a_bucket_without_a_list_takes_everything() {
        assert!(check_mime_type(&bucket(&[]), "anything").is_ok());
    }
}
