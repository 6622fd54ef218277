//! Applies what is missing.

use anyhow::{Context, bail};
use refinery::{Migration, Runner};
use tokio_postgres::Client;

use super::MIGRATIONS;
use super::adopt::before;
use super::history::{REFINERY, applied, is_pushed_from_clone, missing};

/// Refinery's history, as it makes it.
const HISTORY: &str = "
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.refinery_schema_history (
        version int8 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255)
    );";

/// Any number that nobody else locks; it spells "carousel".
pub(super) const LOCK: &str = "x'6361726f7573656c'::bigint";

/// Applies what is missing, as the role that `client` is connected as (on Supabase: `postgres`), and returns the names of what it
/// applied. Two runs at once take their turn.
///
/// The Supabase CLI's history is left as it is, so that an app's own `db push` goes on; where the CLI has pushed ours from a clone of this
/// repository, each enters itself there, and the next push finds nothing to do.
pub async fn apply(client: &mut Client) -> anyhow::Result<Vec<String>> {
    client.execute(&format!("select pg_advisory_lock({LOCK})"), &[]).await?;
    let applied = apply_alone(client).await;
    client.execute(&format!("select pg_advisory_unlock({LOCK})"), &[]).await?;
    applied
}

async fn apply_alone(client: &mut Client) -> anyhow::Result<Vec<String>> {
    stand_guard(client).await?;
    client
        .batch_execute(HISTORY)
        .await
        .context("the migration history can't be made: connect as `postgres`, the role that owns the database")?;
    let enter_in_cli = is_pushed_from_clone(client).await?;
    let migrations =
        MIGRATIONS.iter().map(|migration| to_refinery(migration, enter_in_cli)).collect::<anyhow::Result<Vec<_>>>()?;

    let applied = applied(client).await?;
    for migration in migrations.iter().filter(|migration| applied.contains(migration.name())) {
        let enter = format!(
            "insert into {REFINERY} (version, name, applied_on, checksum) \
             values ($1, $2, to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), $3) on conflict do nothing"
        );
        let version = migration.version();
        client.execute(&enter, &[&version, &migration.name(), &migration.checksum().to_string()]).await?;
    }

    // A landed migration is never edited: its text differs here only by whether it enters itself in the CLI's history.
    let mut runner = Runner::new(&migrations).set_abort_divergent(false);
    runner.set_migration_table_name(REFINERY);
    let report = runner.run_async(client).await.map_err(|error| failed(&error))?;
    Ok(report
        .applied_migrations()
        .iter()
        .map(|migration| format!("{}_{}", migration.version(), migration.name()))
        .collect())
}

/// Asks the first migration what stands in the way before anything is written, the histories included.
async fn stand_guard(client: &mut Client) -> anyhow::Result<()> {
    let (version, name, text) = MIGRATIONS[0];
    if missing(client).await?.contains(&format!("{version}_{name}")) {
        if let Some(before) = before(client).await? {
            bail!("nothing was changed: {before}");
        }
        // Rolled back: what it remembers it remembers when it is applied.
        let transaction = client.transaction().await?;
        transaction.batch_execute(text).await.map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// A migration's failure in the database's own words.
fn failed(error: &refinery::Error) -> anyhow::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<tokio_postgres::Error>() {
            return refused(error).context("a migration failed, and nothing of it was kept");
        }
        cause = inner.source();
    }
    anyhow::anyhow!("{error}").context("a migration failed, and nothing of it was kept")
}

/// What the database said, with its advice on lines of its own.
pub(super) fn refused(error: &tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(refusal) => {
            let advice = [refusal.detail(), refusal.hint()].into_iter().flatten().filter(|words| words.contains(' '));
            let lines: Vec<&str> = [refusal.message()].into_iter().chain(advice).collect();
            anyhow::anyhow!("{}", lines.join("\n"))
        }
        None => anyhow::anyhow!("{error}"),
    }
}

fn to_refinery((version, name, text): &(&str, &str, &str), enter_in_cli: bool) -> anyhow::Result<Migration> {
    // Unversioned (U): whatever is missing is applied, also when later ones were before it was written.
    let file = format!("U{version}__{name}");
    if !enter_in_cli {
        return Ok(Migration::unapplied(&file, text)?);
    }
    // Refinery runs a migration's text and its own entry in one transaction: so the CLI's entry is part of the text.
    let tag = "$carousel$";
    if text.contains(tag) {
        bail!("migration {version} holds {tag}, which is used to quote it");
    }
    let enter = format!(
        "insert into supabase_migrations.schema_migrations (version, name, statements) values ('{version}', '{name}', array[{tag}{text}{tag}]);"
    );
    Ok(Migration::unapplied(&file, &format!("{text}\n{enter}"))?)
}
