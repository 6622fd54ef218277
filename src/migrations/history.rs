//! What is applied, as the record tells it; before that is there, as the histories of the tools do.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Error};

use super::MIGRATIONS;

/// Refinery's history, out of the schemas that an API exposes. Each run of `carousel migrate` goes by it.
pub(super) const REFINERY: &str = "supabase_migrations.refinery_schema_history";
const CLI: &str = "supabase_migrations.schema_migrations";

/// Names of the migrations that the database lacks, each with its version.
pub async fn missing(client: &Client) -> Result<Vec<String>, Error> {
    let applied = applied(client).await?;
    let lacking = MIGRATIONS.iter().filter(|(_, name, _)| !applied.contains(*name));
    Ok(lacking.map(|(version, name, _)| format!("{version}_{name}")).collect())
}

/// Names of the applied migrations, whichever tool has applied them.
pub(super) async fn applied(client: &Client) -> Result<BTreeSet<String>, Error> {
    if let Some(record) = names(client, "carousel_private.migrations").await? {
        return Ok(record);
    }
    // Begun, by an earlier version or by one that was stopped on its way.
    let mut applied = names(client, REFINERY).await?.unwrap_or_default();
    for (version, name) in remote(client).await? {
        let known = MIGRATIONS.iter().find(|known| is_ours(known, &version, &name));
        applied.extend(known.map(|(_, name, _)| (*name).to_owned()));
    }
    Ok(applied)
}

/// The Supabase CLI's history, version and name: mostly the app's. None when it has applied nothing here.
pub async fn remote(client: &Client) -> Result<Vec<(String, String)>, Error> {
    if !exists(client, CLI).await? {
        return Ok(Vec::new());
    }
    // An early CLI kept no names.
    let rows = format!("select version, coalesce(to_jsonb(row) ->> 'name', '') as name from {CLI} as row");
    let rows = client.query(&rows, &[]).await?;
    Ok(rows.iter().map(|row| (row.get("version"), row.get("name"))).collect())
}

/// Whether the CLI's history has ours under their own versions: this project is pushed to from a clone of carousel's repository.
pub(super) async fn is_pushed_from_clone(client: &Client) -> Result<bool, Error> {
    let remote = remote(client).await?;
    Ok(MIGRATIONS.iter().any(|ours| remote.iter().any(|(version, name)| is_from_clone(ours, version, name))))
}

/// Whether a row of the CLI's history is this migration: pushed from a clone, or under a version and a name that an app gave it.
fn is_ours(ours: &(&str, &str, &str), version: &str, told: &str) -> bool {
    is_from_clone(ours, version, told) || told.strip_prefix("carousel_").is_some_and(|told| told == ours.1)
}

/// An app's own migration may have been written in the same second.
pub(super) fn is_from_clone((ours, name, _): &(&str, &str, &str), version: &str, told: &str) -> bool {
    version == *ours && (told == *name || told.is_empty())
}

async fn names(client: &Client, table: &str) -> Result<Option<BTreeSet<String>>, Error> {
    if !exists(client, table).await? {
        return Ok(None);
    }
    let rows = client.query(&format!("select name::text from {table}"), &[]).await?;
    Ok(Some(rows.iter().map(|row| row.get(0)).collect()))
}

async fn exists(client: &Client, table: &str) -> Result<bool, Error> {
    // By name: a cast to regclass fails for who may not enter the schema.
    let (schema, name) = table.split_once('.').unwrap_or(("public", table));
    let there = "select exists (select from pg_tables where schemaname = $1 and tablename = $2)";
    client.query_one(there, &[&schema, &name]).await?.try_get(0)
}
