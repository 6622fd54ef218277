//! Listing: one level of a bucket, folders and objects, as the caller may see them.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::refusal::Refusal;
use super::{Storage, begin};

#[derive(Deserialize)]
pub(super) struct Wish {
    prefix: String,
    #[serde(default = "hundred")]
    limit: i64,
    #[serde(default)]
    offset: i64,
    #[serde(rename = "sortBy", default)]
    sort_by: SortBy,
    #[serde(default)]
    search: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SortBy {
    column: Option<String>,
    order: Option<String>,
}

fn hundred() -> i64 {
    100
}

impl SortBy {
    /// By name folders stand among the objects; by a time, which they don't have, before them.
    fn clause(&self) -> Result<String, Refusal> {
        let wrong =
            |what: &str| Refusal::Invalid(format!("body/sortBy/{what} must be equal to one of the allowed values"));
        let order = match self.order.as_deref().unwrap_or("asc") {
            order @ ("asc" | "desc") => order,
            _ => return Err(wrong("order")),
        };
        match self.column.as_deref().unwrap_or("name") {
            "name" => Ok(format!("lower(entry) collate \"C\" {order}")),
            column @ ("created_at" | "updated_at" | "last_accessed_at") => {
                Ok(format!("id is not null, {column} {order}, entry collate \"C\""))
            }
            _ => Err(wrong("column")),
        }
    }
}

/// `POST /object/list/{bucket}`: a folder is a row without an id, an object stands with its name inside the prefix.
pub(super) async fn list(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let Json(wish) = body?;
    let caller = storage.caller(&headers)?;
    let sorted = wish.sort_by.clause()?;
    for (field, value, least) in [("limit", wish.limit, 1), ("offset", wish.offset, 0)] {
        if value < least {
            return Err(Refusal::Invalid(format!("body/{field} must be >= {least}")));
        }
    }
    // What is searched for may begin with folders: their names stay in the answer.
    let below = i32::try_from(wish.search.rfind('/').map_or(0, |slash| slash + 1)).unwrap_or(i32::MAX);
    let slash = if wish.prefix.is_empty() || wish.prefix.ends_with('/') { "" } else { "/" };
    let prefix = wish.prefix + slash;
    let sql = format!(
        "with inside as (
            select substr(name, length($2) + 1) as rest, id, created_at, updated_at, last_accessed_at, metadata
            from storage.objects
            where bucket_id = $1 and starts_with(lower(name), lower($2 || $3)) and length(name) > length($2)
        ), entries as (
            select left(rest, $6) || split_part(substr(rest, $6 + 1), '/', 1) as entry, null::uuid as id, null::timestamptz as created_at,
                null::timestamptz as updated_at, null::timestamptz as last_accessed_at, null::jsonb as metadata
            from inside where strpos(substr(rest, $6 + 1), '/') > 0 group by 1
            union all
            select * from inside where strpos(substr(rest, $6 + 1), '/') = 0
        )
        select jsonb_build_object('name', entry, 'id', id, 'metadata', metadata,
            'created_at', to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
            'updated_at', to_char(updated_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
            'last_accessed_at', to_char(last_accessed_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))
        from entries order by {sorted} limit $4 offset $5"
    );
    let mut connection = storage.connection().await?;
    let transaction = begin(&mut connection, Some(&caller)).await?;
    let limit = wish.limit.min(1000);
    let rows = transaction.query(&sql, &[&bucket, &prefix, &wish.search, &limit, &wish.offset, &below]).await?;
    Ok(Json(rows.iter().map(|row| row.get(0)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_columns_and_orders_reach_the_statement() {
        let sort = |column: &str, order: &str| {
            SortBy { column: Some(column.to_owned()), order: Some(order.to_owned()) }.clause()
        };
        assert_eq!(sort("created_at", "desc").unwrap(), "id is not null, created_at desc, entry collate \"C\"");
        assert_eq!(SortBy::default().clause().unwrap(), "lower(entry) collate \"C\" asc");
        assert!(matches!(sort("version", "asc"), Err(Refusal::Invalid(_))));
        assert!(matches!(sort("name", "asc; drop"), Err(Refusal::Invalid(_))));
    }
}
