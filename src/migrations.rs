//! Applies `supabase/migrations` with refinery, the same files that `supabase db push` applies, and keeps both histories true.
//!
//! The CLI's history is the table `supabase_migrations.schema_migrations`; refinery's stands beside it. What the CLI has applied is
//! entered into refinery's history before a run, and each migration enters itself into the CLI's in its own transaction.

use anyhow::{Context, bail};
use refinery::{Migration, Runner};
use tokio_postgres::Client;

/// Version, name and text of every migration, in order.
pub const MIGRATIONS: &[(&str, &str, &str)] = &[
    migration("20261122000000", "guard", include_str!("../supabase/migrations/20261122000000_guard.sql")),
    migration("20261122000100", "foundation", include_str!("../supabase/migrations/20261122000100_foundation.sql")),
    migration("20261122000200", "templates", include_str!("../supabase/migrations/20261122000200_templates.sql")),
    migration("20261122000300", "jobs", include_str!("../supabase/migrations/20261122000300_jobs.sql")),
    migration("20261122000400", "images", include_str!("../supabase/migrations/20261122000400_images.sql")),
    migration(
        "20261122000500",
        "private_tables",
        include_str!("../supabase/migrations/20261122000500_private_tables.sql"),
    ),
    migration("20261122000600", "queue_order", include_str!("../supabase/migrations/20261122000600_queue_order.sql")),
    migration("20261122000650", "job_rules", include_str!("../supabase/migrations/20261122000650_job_rules.sql")),
    migration("20261122000670", "variables", include_str!("../supabase/migrations/20261122000670_variables.sql")),
    migration("20261122000700", "job_triggers", include_str!("../supabase/migrations/20261122000700_job_triggers.sql")),
    migration(
        "20261122000800",
        "cleanup_triggers",
        include_str!("../supabase/migrations/20261122000800_cleanup_triggers.sql"),
    ),
    migration("20261122000900", "storage", include_str!("../supabase/migrations/20261122000900_storage.sql")),
    migration(
        "20261122000910",
        "shared_bucket",
        include_str!("../supabase/migrations/20261122000910_shared_bucket.sql"),
    ),
    migration("20261122001000", "realtime", include_str!("../supabase/migrations/20261122001000_realtime.sql")),
    migration(
        "20261122001100",
        "provider_pause",
        include_str!("../supabase/migrations/20261122001100_provider_pause.sql"),
    ),
    migration("20261122001200", "sweep", include_str!("../supabase/migrations/20261122001200_sweep.sql")),
    migration("20261122001300", "dashboard", include_str!("../supabase/migrations/20261122001300_dashboard.sql")),
    migration(
        "20261125000100",
        "leased_while_pending",
        include_str!("../supabase/migrations/20261125000100_leased_while_pending.sql"),
    ),
    migration(
        "20261125000200",
        "count_images_of_many",
        include_str!("../supabase/migrations/20261125000200_count_images_of_many.sql"),
    ),
    migration(
        "20261125000300",
        "turns_by_index",
        include_str!("../supabase/migrations/20261125000300_turns_by_index.sql"),
    ),
    migration(
        "20261125000400",
        "pause_planned_once",
        include_str!("../supabase/migrations/20261125000400_pause_planned_once.sql"),
    ),
    migration(
        "20261201040000",
        "objects_of_calls",
        include_str!("../supabase/migrations/20261201040000_objects_of_calls.sql"),
    ),
    migration("20261201040100", "uploads", include_str!("../supabase/migrations/20261201040100_uploads.sql")),
    migration("20261201040200", "one_project", include_str!("../supabase/migrations/20261201040200_one_project.sql")),
    migration("20261201050000", "billed_tries", include_str!("../supabase/migrations/20261201050000_billed_tries.sql")),
    migration(
        "20261201060000",
        "pause_storage",
        include_str!("../supabase/migrations/20261201060000_pause_storage.sql"),
    ),
    migration(
        "20261201080000",
        "room_in_prompt",
        include_str!("../supabase/migrations/20261201080000_room_in_prompt.sql"),
    ),
    migration(
        "20261201090000",
        "image_updated_at",
        include_str!("../supabase/migrations/20261201090000_image_updated_at.sql"),
    ),
    migration("20261201090100", "broadcasts", include_str!("../supabase/migrations/20261201090100_broadcasts.sql")),
    migration("20261201100000", "slides", include_str!("../supabase/migrations/20261201100000_slides.sql")),
    migration(
        "20261201100100",
        "slides_validated",
        include_str!("../supabase/migrations/20261201100100_slides_validated.sql"),
    ),
    migration("20261201130000", "search_paths", include_str!("../supabase/migrations/20261201130000_search_paths.sql")),
    migration("20261201130100", "few_words", include_str!("../supabase/migrations/20261201130100_few_words.sql")),
];

const fn migration(
    version: &'static str,
    name: &'static str,
    text: &'static str,
) -> (&'static str, &'static str, &'static str) {
    (version, name, text)
}

/// Beside the CLI's own table, out of the schemas that an API exposes.
const HISTORY: &str = "supabase_migrations.refinery_schema_history";

/// The tables of both histories. The first is as the CLI makes it.
const HISTORIES: &str = "
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
    create table if not exists supabase_migrations.refinery_schema_history (
        version int8 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255)
    );";

/// Applies what is missing, as the role that `client` is connected as (on Supabase: `postgres`), and returns the names of what it
/// applied. Two runs at once take their turn.
pub async fn apply(client: &mut Client) -> anyhow::Result<Vec<String>> {
    // Any number that nobody else locks; it spells "carousel".
    client.execute("select pg_advisory_lock(x'6361726f7573656c'::bigint)", &[]).await?;
    let applied = apply_alone(client).await;
    client.execute("select pg_advisory_unlock(x'6361726f7573656c'::bigint)", &[]).await?;
    applied
}

async fn apply_alone(client: &mut Client) -> anyhow::Result<Vec<String>> {
    stand_guard(client).await?;
    client
        .batch_execute(HISTORIES)
        .await
        .context("the migration history can't be made: connect as `postgres`, the role that owns the database")?;
    let migrations = MIGRATIONS.iter().map(to_refinery).collect::<anyhow::Result<Vec<_>>>()?;

    let known_to_cli = applied_by_cli(client).await?;
    for migration in &migrations {
        if known_to_cli.contains(&migration.version().to_string()) {
            let enter = format!(
                "insert into {HISTORY} (version, name, applied_on, checksum) \
                 values ($1, $2, to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), $3) on conflict do nothing"
            );
            let version = migration.version();
            client.execute(&enter, &[&version, &migration.name(), &migration.checksum().to_string()]).await?;
        }
    }

    let mut runner = Runner::new(&migrations);
    runner.set_migration_table_name(HISTORY);
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
fn refused(error: &tokio_postgres::Error) -> anyhow::Error {
    match error.as_db_error() {
        Some(refusal) => match refusal.hint() {
            Some(hint) => anyhow::anyhow!("{}\n{hint}", refusal.message()),
            None => anyhow::anyhow!("{}", refusal.message()),
        },
        None => anyhow::anyhow!("{error}"),
    }
}

fn to_refinery((version, name, text): &(&str, &str, &str)) -> anyhow::Result<Migration> {
    // Refinery runs a migration's text and its own entry in one transaction: so the CLI's entry is part of the text.
    let tag = "$carousel$";
    if text.contains(tag) {
        bail!("migration {version} holds {tag}, which is used to quote it");
    }
    let enter = format!(
        "insert into supabase_migrations.schema_migrations (version, name, statements) values ('{version}', '{name}', array[{tag}{text}{tag}]);"
    );
    // Unversioned (U): whatever is missing is applied, also when later ones were before it was written.
    Ok(Migration::unapplied(&format!("U{version}__{name}"), &format!("{text}\n{enter}"))?)
}

async fn applied_by_cli(client: &Client) -> anyhow::Result<Vec<String>> {
    let rows = client.query("select version from supabase_migrations.schema_migrations", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Names of the migrations that the database lacks. Reads the CLI's history, which both tools keep.
pub async fn missing(client: &Client) -> anyhow::Result<Vec<String>> {
    let exists =
        client.query_one("select to_regclass('supabase_migrations.schema_migrations') is not null", &[]).await?;
    let applied = if exists.get(0) { applied_by_cli(client).await? } else { Vec::new() };
    Ok(MIGRATIONS
        .iter()
        .filter(|(version, ..)| !applied.iter().any(|known| known == version))
        .map(|(version, name, _)| format!("{version}_{name}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_file_of_the_migrations_folder_is_applied() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("names are text"))
            .collect();
        files.sort();
        let listed: Vec<String> = MIGRATIONS.iter().map(|(version, name, _)| format!("{version}_{name}.sql")).collect();
        assert_eq!(files, listed);
    }
}
