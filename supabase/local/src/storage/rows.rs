//! The statements on `storage.buckets` and `storage.objects`. Whose role they run under is up to the transaction.

use std::collections::HashSet;

use deadpool_postgres::Transaction;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::refusal::Refusal;
use crate::caller::Caller;

/// A row of `storage.objects` as answers show it.
const ROW: &str = "jsonb_build_object(
    'id', id, 'name', name, 'bucket_id', bucket_id, 'owner', owner, 'owner_id', owner_id, 'version', version,
    'metadata', metadata, 'user_metadata', user_metadata,
    'created_at', to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
    'updated_at', to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
    'last_accessed_at', to_char(last_accessed_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))";

/// What a bucket allows.
pub(super) struct Bucket {
    pub(super) public: bool,
    pub(super) limit: Option<u64>,
    pub(super) mime_types: Option<Vec<String>>,
}

/// An object as a download or a copy needs it.
pub(super) struct Stored {
    pub(super) version: String,
    pub(super) metadata: Value,
    pub(super) user_metadata: Option<Value>,
    /// The row in the form of the real server's `info`.
    pub(super) info: Value,
}

/// An object that is about to be written.
pub(super) struct NewObject<'a> {
    pub(super) id: Uuid,
    pub(super) bucket: &'a str,
    pub(super) name: &'a str,
    /// `sub` of the person who uploads.
    pub(super) owner: Option<&'a str>,
    pub(super) version: String,
    pub(super) metadata: Option<Value>,
    pub(super) user_metadata: Option<Value>,
}

/// `sub` of `caller`, if it has one.
pub(super) fn owner(caller: &Caller) -> Option<&str> {
    caller.claims["sub"].as_str()
}

pub(super) async fn bucket(transaction: &Transaction<'_>, id: &str) -> Result<Bucket, Refusal> {
    let sql = "select coalesce(public, false), file_size_limit, allowed_mime_types from storage.buckets where id = $1";
    let row = transaction.query_opt(sql, &[&id]).await?.ok_or(Refusal::NoSuchBucket)?;
    Ok(Bucket {
        public: row.get(0),
        limit: row.get::<_, Option<i64>>(1).and_then(|limit| u64::try_from(limit).ok()),
        mime_types: row.get(2),
    })
}

pub(super) async fn find(transaction: &Transaction<'_>, bucket: &str, name: &str) -> Result<Stored, Refusal> {
    let sql = "
        select coalesce(version, ''), coalesce(metadata, '{}'), user_metadata, jsonb_build_object(
            'id', id, 'name', name, 'version', version, 'bucket_id', bucket_id,
            'size', metadata -> 'size', 'content_type', metadata -> 'mimetype',
            'cache_control', metadata -> 'cacheControl', 'etag', metadata -> 'eTag', 'metadata', user_metadata,
            'last_modified', to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
            'created_at', to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))
        from storage.objects where bucket_id = $1 and name = $2";
    let row = transaction.query_opt(sql, &[&bucket, &name]).await?.ok_or(Refusal::NoSuchObject)?;
    Ok(Stored { version: row.get(0), metadata: row.get(1), user_metadata: row.get(2), info: row.get(3) })
}

/// One after the other for everybody who writes this object, until the transaction ends.
pub(super) async fn lock(transaction: &Transaction<'_>, bucket: &str, name: &str) -> Result<(), Refusal> {
    let key = format!("{bucket}/{name}");
    transaction.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", &[&key]).await?;
    Ok(())
}

/// Whether the role may add the object, or with `upsert` replace the one that is there.
///
/// Adding reads nothing back, so a policy for INSERT is enough; replacing needs SELECT, INSERT and UPDATE.
pub(super) async fn try_write(
    transaction: &Transaction<'_>,
    object: &NewObject<'_>,
    upsert: bool,
) -> Result<(), Refusal> {
    let sql = if upsert { format!("{INSERT} {REPLACE} returning id") } else { INSERT.to_owned() };
    let written = execute(transaction, &sql, object).await;
    written.map(drop).map_err(|refusal| refusal.or_duplicate("KeyAlreadyExists"))
}

/// Adds the object, or replaces the one that is there. Answers its id and its row.
pub(super) async fn put(transaction: &Transaction<'_>, object: &NewObject<'_>) -> Result<(Uuid, Value), Refusal> {
    let rows = execute(transaction, &format!("{INSERT} {REPLACE} returning id, {ROW}"), object).await?;
    rows.first().map(|row| (row.get(0), row.get(1))).ok_or(Refusal::NoSuchObject)
}

const INSERT: &str = "
    insert into storage.objects (id, bucket_id, name, owner, owner_id, version, metadata, user_metadata)
    values ($1, $2, $3, $4, $5, $6, $7, $8)";

const REPLACE: &str = "
    on conflict (bucket_id, name) do update set
        owner = excluded.owner, owner_id = excluded.owner_id, version = excluded.version,
        metadata = excluded.metadata, user_metadata = excluded.user_metadata";

async fn execute(transaction: &Transaction<'_>, sql: &str, object: &NewObject<'_>) -> Result<Vec<Row>, Refusal> {
    let uuid = object.owner.and_then(|owner| Uuid::parse_str(owner).ok());
    let NewObject { id, bucket, name, owner, version, metadata, user_metadata } = object;
    Ok(transaction.query(sql, &[id, bucket, name, &uuid, owner, version, metadata, user_metadata]).await?)
}

/// Gives the object another place.
pub(super) async fn rename(
    transaction: &Transaction<'_>,
    (from_bucket, from): (&str, &str),
    (to_bucket, to): (&str, &str),
    owner: Option<&str>,
) -> Result<(), Refusal> {
    let sql = "
        update storage.objects set bucket_id = $3, name = $4, owner = $5, owner_id = $6
        where bucket_id = $1 and name = $2 returning id";
    let uuid = owner.and_then(|owner| Uuid::parse_str(owner).ok());
    let row = transaction.query_opt(sql, &[&from_bucket, &from, &to_bucket, &to, &uuid, &owner]).await?;
    row.map(drop).ok_or(Refusal::NoSuchObject)
}

/// Deletes what the role may see and delete of `names`. Answers the version of each, and its row as JSON.
pub(super) async fn delete(
    transaction: &Transaction<'_>,
    bucket: &str,
    names: &[String],
) -> Result<Vec<(String, Value)>, Refusal> {
    let sql = format!(
        "delete from storage.objects where bucket_id = $1 and name = any($2) returning coalesce(version, ''), {ROW}"
    );
    let rows = transaction.query(&sql, &[&bucket, &names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Which of `names` the role may see.
pub(super) async fn visible(
    transaction: &Transaction<'_>,
    bucket: &str,
    names: &[String],
) -> Result<HashSet<String>, Refusal> {
    let sql = "select name from storage.objects where bucket_id = $1 and name = any($2)";
    let rows = transaction.query(sql, &[&bucket, &names]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
