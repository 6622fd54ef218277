//! Moving and copying objects, inside a bucket or to another.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::refusal::Refusal;
use super::rows::{self, NewObject};
use super::upload::{Target, wants_upsert};
use super::{Storage, begin, names};

/// From where to where.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Way {
    bucket_id: String,
    source_key: String,
    destination_key: String,
    destination_bucket: Option<String>,
}

/// `POST /object/move`: only the row changes, the bytes stay where they are.
pub(super) async fn move_object(
    State(storage): State<Storage>,
    headers: HeaderMap,
    body: Result<Json<Way>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(way) = body?;
    let caller = storage.caller(&headers)?;
    names::object(&way.destination_key)?;
    let (from, to) = ((way.bucket_id.as_str(), way.source_key.as_str()), way.destination());
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    rows::find(&transaction, from.0, from.1).await?;
    rows::rename(&transaction, from, to, rows::owner(&caller)).await?;
    transaction.commit().await?;
    Ok(Json(json!({ "message": "Successfully moved" })))
}

/// `POST /object/copy`: answers the whole row. The copy gets bytes of its own, so that neither depends on the other.
pub(super) async fn copy_object(
    State(storage): State<Storage>,
    headers: HeaderMap,
    body: Result<Json<Way>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(way) = body?;
    let caller = storage.caller(&headers)?;
    let (bucket, name) = way.destination();
    let source = {
        let mut connection = storage.connection().await?;
        let transaction = begin(&mut connection, Some(&caller)).await?;
        rows::find(&transaction, &way.bucket_id, &way.source_key).await?
    };
    let owner = rows::owner(&caller).map(str::to_owned);
    let upsert = wants_upsert(&headers);
    let target = Target { bucket: bucket.to_owned(), name: name.to_owned(), owner, upsert, caller: Some(caller) };
    storage.judge(&target).await?;

    let copying = async move {
        let version = storage.files.copy(&source.version).await?.to_string();
        let row = NewObject {
            id: Uuid::new_v4(),
            bucket: &target.bucket,
            name: &target.name,
            owner: target.owner.as_deref(),
            version: version.clone(),
            metadata: Some(source.metadata),
            user_metadata: source.user_metadata,
        };
        let written = storage.commit(&row).await;
        if written.is_err() {
            storage.files.remove(&version).await;
        }
        let (id, mut answer) = written?;
        answer["Id"] = json!(id);
        answer["Key"] = json!(format!("{}/{}", target.bucket, target.name));
        Ok(Json(answer))
    };
    // A client that hangs up must not part the copied file from its row.
    tokio::spawn(copying).await.map_err(|error| Refusal::Broken(error.to_string()))?
}

impl Way {
    fn destination(&self) -> (&str, &str) {
        (self.destination_bucket.as_deref().unwrap_or(&self.bucket_id), &self.destination_key)
    }
}
