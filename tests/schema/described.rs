//! `supabase/schemas`, where the schema is read: it makes what all migrations together have made.

use std::path::PathBuf;

use carousel_local::postgres::ADMIN;
use tokio_postgres::Client;

use crate::project::{Project, fresh, shared};
use crate::schema::catalog;

/// The files in their order: their names, and what stands in them.
fn files() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/schemas")).expect("they are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("it can be read"));
    paths.into_iter().map(read).collect()
}

/// What the schema itself writes into its tables, but for the record of the migrations.
async fn rows(client: &Client) -> String {
    let rows = "
        select concat_ws(E'\n',
            (select string_agg(to_jsonb(one)::text, ' ') from carousel_private.limits one),
            (select string_agg(to_jsonb(one)::text, ' ') from carousel_private.provider_budget one),
            (select count(*) from carousel_private.swept_calls),
            (select count(*) from carousel_private.shared_bucket))";
    client.query_one(rows, &[]).await.expect("they can be read").get(0)
}

#[tokio::test]
async fn what_is_described_is_what_the_migrations_make() {
    let (shared, migrated) = (shared().await, Project::new().await);
    let described = "described";
    fresh(&shared.server, described, true).await;
    let owner = shared.server.connect("postgres", described).await.expect("postgres may connect");
    // A function may use what comes after it.
    owner.batch_execute("set check_function_bodies = off").await.expect("it can be set");
    for (name, text) in files() {
        owner.batch_execute(&format!("begin; {text} commit")).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    let admin = shared.server.connect(ADMIN, described).await.expect("the superuser may connect");
    let mut made = catalog::read(&migrated.admin().await).await;
    let said = catalog::read(&admin).await;
    made.retain(|line| !line.starts_with("applied "));
    catalog::assert_same(("the migrations", &made), ("supabase/schemas", &said));
    assert_eq!(rows(&admin).await, rows(&migrated.admin().await).await);
}

/// Each object stands once, so that whoever looks for it has found it.
#[test]
fn nothing_is_described_twice_or_changed_afterwards() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, text) in files() {
        for line in text.lines().filter(|line| line.starts_with("create ")) {
            let what = line.split(['(', ';']).next().unwrap_or(line).trim();
            // A trigger is of its table, and a function of its arguments.
            let whole =
                if what.starts_with("create trigger") || what.starts_with("create function") { line } else { what };
            assert!(!line.contains("or replace"), "{name}: {line}");
            assert!(seen.insert(whole.to_owned()), "{name}: {line} is there twice");
        }
        for line in text.lines() {
            assert!(!line.starts_with("drop "), "{name}: {line}");
        }
    }
    assert!(seen.len() > 100, "only {} objects were found", seen.len());
}

/// A version tells when a migration was made, and where it stands among an app's own.
#[test]
fn versions_are_times() {
    let format = time::macros::format_description!("[year][month][day][hour][minute][second]");
    let no_time: Vec<_> = carousel::migrations::MIGRATIONS
        .iter()
        .filter(|(version, ..)| time::PrimitiveDateTime::parse(version, format).is_err())
        .map(|(version, ..)| *version)
        .collect();
    // It has landed as it is.
    assert_eq!(no_time, ["20261122000670"]);
}
