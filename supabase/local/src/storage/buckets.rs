//! Buckets: made, changed and removed by whoever the policies let, which is the secret key unless the project says otherwise.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::{Storage, begin, names, rows};

const BUCKET: &str = "
    select jsonb_build_object('id', id, 'name', name, 'owner', coalesce(owner_id, ''), 'public', coalesce(public, false),
        'type', type, 'file_size_limit', file_size_limit, 'allowed_mime_types', allowed_mime_types,
        'created_at', to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
        'updated_at', to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))
    from storage.buckets";

/// `GET /bucket`
pub(super) async fn list(State(storage): State<Storage>, headers: HeaderMap) -> Result<Json<Vec<Value>>, Refusal> {
    let caller = storage.caller(&headers)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let rows = transaction.query(&format!("{BUCKET} order by name"), &[]).await?;
    Ok(Json(rows.iter().map(|row| row.get(0)).collect()))
}

/// `GET /bucket/{bucket}`
pub(super) async fn get(
    State(storage): State<Storage>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let row = transaction.query_opt(&format!("{BUCKET} where id = $1"), &[&id]).await?;
    Ok(Json(row.ok_or(Refusal::NoSuchBucket)?.get(0)))
}

/// `POST /bucket`
pub(super) async fn create(
    State(storage): State<Storage>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(asked) = body?;
    let caller = storage.caller(&headers)?;
    let name = asked["name"].as_str().ok_or_else(|| invalid("must have required property 'name'"))?;
    let id = asked["id"].as_str().unwrap_or(name);
    names::bucket(id)?;
    let Limits { public, size, mime_types } = Limits::of(&asked)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let sql = "
        insert into storage.buckets (id, name, owner_id, public, file_size_limit, allowed_mime_types)
        values ($1, $2, $3, $4, $5, $6)";
    let owner = rows::owner(&caller);
    let (public, size, mime_types) = (public.unwrap_or(false), size.flatten(), mime_types.flatten());
    let added = transaction.execute(sql, &[&id, &name, &owner, &public, &size, &mime_types]).await;
    added.map_err(|error| Refusal::from(error).or_duplicate("BucketAlreadyExists"))?;
    transaction.commit().await?;
    Ok(Json(json!({ "name": id })))
}

/// `PUT /bucket/{bucket}`: what is left out stays, what is null is taken away.
pub(super) async fn update(
    State(storage): State<Storage>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(asked) = body?;
    let caller = storage.caller(&headers)?;
    let Limits { public, size, mime_types } = Limits::of(&asked)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let sql = "
        update storage.buckets set public = coalesce($2, public), updated_at = now(),
            file_size_limit = case when $3 then $4 else file_size_limit end,
            allowed_mime_types = case when $5 then $6 else allowed_mime_types end
        where id = $1";
    let (has_size, has_types) = (size.is_some(), mime_types.is_some());
    let (size, mime_types) = (size.flatten(), mime_types.flatten());
    let updated = transaction.execute(sql, &[&id, &public, &has_size, &size, &has_types, &mime_types]).await?;
    transaction.commit().await?;
    if updated == 0 { Err(Refusal::NoSuchBucket) } else { Ok(done("Successfully updated")) }
}

/// `DELETE /bucket/{bucket}`: only an empty one goes.
pub(super) async fn delete(
    State(storage): State<Storage>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let deleted = transaction.execute("delete from storage.buckets where id = $1", &[&id]).await;
    match deleted.map_err(Refusal::from) {
        Ok(0) => return Err(Refusal::NoSuchBucket),
        Err(Refusal::NoRelated) => return Err(Refusal::BucketNotEmpty),
        deleted => deleted?,
    };
    transaction.commit().await?;
    Ok(done("Successfully deleted"))
}

/// `POST /bucket/{bucket}/empty`
pub(super) async fn empty(
    State(storage): State<Storage>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    let caller = storage.caller(&headers)?;
    let objects = {
        let mut connection = storage.connection().await?;
        let transaction = begin(&mut connection, Some(&caller)).await?;
        rows::bucket(&transaction, &id).await?;
        let rows = transaction.query("select name from storage.objects where bucket_id = $1", &[&id]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    };
    storage.remove(&caller, id, objects).await?;
    Ok(done("Successfully emptied"))
}

fn done(message: &str) -> Json<Value> {
    Json(json!({ "message": message }))
}

fn invalid(what: &str) -> Refusal {
    Refusal::Invalid(format!("body {what}"))
}

/// What a bucket lets in. The outer option says whether it was named at all, the inner one whether there is a limit.
struct Limits {
    public: Option<bool>,
    size: Option<Option<i64>>,
    mime_types: Option<Option<Vec<String>>>,
}

impl Limits {
    fn of(asked: &Value) -> Result<Self, Refusal> {
        let wrong = || invalid("names a limit that can't be read; use a number of bytes or 20GB / 20MB / 30KB / 3B");
        let size = match asked.get("file_size_limit") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(bytes(text).ok_or_else(wrong)?)),
            Some(number) => Some(Some(number.as_i64().ok_or_else(wrong)?)),
        };
        let mime_types = match asked.get("allowed_mime_types") {
            None => None,
            Some(list) => {
                let read = serde_json::from_value(list.clone());
                Some(read.map_err(|_| invalid("/allowed_mime_types must be an array of strings"))?)
            }
        };
        Ok(Self { public: asked["public"].as_bool(), size, mime_types })
    }
}

/// A size such as `50MB`, in powers of a thousand.
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let units = [("gb", 1e9), ("mb", 1e6), ("kb", 1e3), ("b", 1.0), ("", 1.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, unit)))?;
    let number = number.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.is_finite())?;
    Some((number * unit) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_and_without_unit() {
        assert_eq!(bytes("50MB"), Some(50_000_000));
        assert_eq!(bytes("1.5kb"), Some(1_500));
        assert_eq!(bytes("7"), Some(7));
        assert_eq!(bytes("-1MB"), None);
        assert_eq!(bytes("many"), None);
    }

    #[test]
    fn what_is_left_out_is_not_what_is_null() {
        let limits = Limits::of(&json!({ "file_size_limit": null })).unwrap();
        assert_eq!((limits.size, limits.mime_types), (Some(None), None));
    }
}
