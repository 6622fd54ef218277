//! Removing objects: the rows that the policies let go, then their files.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Storage, begin, rows};
use crate::caller::Caller;

#[derive(Deserialize)]
pub(super) struct Prefixes {
    /// Whole names, in spite of the field's own.
    prefixes: Vec<String>,
}

/// `DELETE /object/{bucket}`: answers only what was removed; what may not be removed is passed over in silence.
pub(super) async fn many(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Prefixes>, JsonRejection>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let Json(Prefixes { prefixes }) = body?;
    Refusal::check_items("prefixes", prefixes.len())?;
    let caller = storage.caller(&headers)?;
    Ok(Json(storage.remove(&caller, bucket, prefixes).await?))
}

/// `DELETE /object/{bucket}/{name}`: looks for the object with the server's eyes, so that what is there and may not be removed is told.
pub(super) async fn one(
    State(storage): State<Storage>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    {
        let mut connection = storage.connection().await?;
        rows::find(&begin(&mut connection, None).await?, &bucket, &name).await?;
    }
    match storage.remove(&caller, bucket, vec![name]).await?.is_empty() {
        true => Err(Refusal::Denied("Access denied".to_owned())),
        false => Ok(Json(json!({ "message": "Successfully deleted" }))),
    }
}

impl Storage {
    /// Removes what `caller` may remove of `names`, and answers those rows.
    pub(super) async fn remove(
        &self,
        caller: &Caller,
        bucket: String,
        names: Vec<String>,
    ) -> Result<Vec<Value>, Refusal> {
        let (storage, caller) = (self.clone(), caller.clone());
        let removing = async move {
            let mut connection = storage.connection().await?;
            let transaction = begin(&mut connection, Some(&caller)).await?;
            let removed = rows::delete(&transaction, &bucket, &names).await?;
            transaction.commit().await?;
            for (version, _) in &removed {
                storage.files.remove(version).await;
            }
            Ok(removed.into_iter().map(|(_, row)| row).collect())
        };
        // A client that hangs up must not leave files behind whose rows are gone.
        tokio::spawn(removing).await.map_err(|error| Refusal::Broken(error.to_string()))?
    }
}
