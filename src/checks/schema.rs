//! The schema: migrations applied, and everything that they made still there.

use std::collections::HashSet;

use tokio_postgres::{Client, Error};

use super::Report;
use super::promises::{self, Object, Promises};
use crate::migrations;

/// What Realtime is to show.
const SHOWN: [&str; 3] = ["image_generation_jobs", "generated_carousel_images", "image_generation_templates"];

/// Which of the objects with kind $1, name $2 and table $3 are missing, counted from 1, and whether a trigger is only switched off.
///
/// The catalogs are read by name: unlike casts to regclass, they may be read by every role.
const MISSING: &str = "
    with relation as (
        select class.oid, nspname, format('%s.%s', nspname, relname) as name
        from pg_class class join pg_namespace on pg_namespace.oid = relnamespace
    )
    select ordinal, exists (
        select from pg_trigger join relation on relation.oid = tgrelid
        where tgname = wanted.name and relation.name = wanted.of_table
    ) as is_disabled
    from unnest($1::text[], $2::text[], $3::text[]) with ordinality as wanted (kind, name, of_table, ordinal)
    where not case kind
        when 'function' then exists (
            select from pg_proc join pg_namespace on pg_namespace.oid = pronamespace
            where format('%s.%s', nspname, proname) = wanted.name
        )
        when 'domain' then exists (
            select from pg_type join pg_namespace on pg_namespace.oid = typnamespace
            where format('%s.%s', nspname, typname) = wanted.name
        )
        when 'index' then exists (
            select from relation where name = format('%s.%s', split_part(wanted.of_table, '.', 1), wanted.name)
        )
        when 'trigger' then exists (
            select from pg_trigger join relation on relation.oid = tgrelid
            where tgname = wanted.name and relation.name = wanted.of_table and tgenabled in ('O', 'A')
        )
        when 'policy' then exists (
            select from pg_policies
            where policyname = wanted.name and format('%s.%s', schemaname, tablename) = wanted.of_table
        )
        else exists (select from relation where relation.name = wanted.name)
    end";

/// Whether there is a schema at all, and this role may enter it.
pub(super) async fn is_open(report: &mut Report, client: &Client) -> Result<bool, Error> {
    // Nothing: no such schema. False: not for this role.
    let visible =
        "select (select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = 'carousel_private')";
    match client.query_one(visible, &[]).await?.get(0) {
        Some(true) => return Ok(true),
        Some(false) => report.failed(
            "schema",
            "the role in DATABASE_URL may not enter the schema carousel_private",
            "connect as carousel_worker or postgres",
        ),
        None => match migrations::before(client).await? {
            Some(before) => report.failed("schema", "the schema is missing", before.to_string()),
            None => report.failed(
                "schema",
                "the schema is missing",
                "run `carousel migrate` (or `supabase db push`) as postgres",
            ),
        },
    }
    Ok(false)
}

/// Whether the app had the bucket before, and shares it. What can't be asked is not shared.
pub(super) async fn is_bucket_shared(client: &Client) -> bool {
    let shared = "select exists (select from carousel_private.shared_bucket)";
    client.query_one(shared, &[]).await.is_ok_and(|row| row.get(0))
}

/// Looks at migrations and objects, row level security, and the publication.
pub(super) async fn look(report: &mut Report, client: &Client) -> Result<(), Error> {
    // The worker's own role need not see the history.
    let unapplied = migrations::missing(client).await.ok();
    let promises = promises::of(client).await?;
    let kinds: Vec<&str> = promises.objects.iter().map(|object| object.kind).collect();
    let names: Vec<&str> = promises.objects.iter().map(|object| object.name.as_str()).collect();
    let tables: Vec<&str> = promises.objects.iter().map(|object| object.table.as_deref().unwrap_or("")).collect();
    let rows = client.query(MISSING, &[&kinds, &names, &tables]).await?;
    let (mut faults, mut unguarded) = (Vec::new(), Vec::new());
    for row in rows {
        let at = usize::try_from(row.get::<_, i64>("ordinal")).unwrap_or(1);
        let Some(object) = promises.objects.get(at - 1) else { continue };
        // A migration that was never applied is one fault, however much it would make.
        let later = |(version, name, text): &(&str, &str, &str)| {
            unapplied.iter().flatten().any(|missing| *missing == format!("{version}_{name}"))
                && text.contains(&object.name)
        };
        if !migrations::MIGRATIONS.iter().any(later) {
            let to = if object.kind == "policy" { &mut unguarded } else { &mut faults };
            to.push(missing(object, row.get("is_disabled")));
        }
    }
    let migrate = "run `carousel migrate` (or `supabase db push`) as postgres";
    for name in unapplied.iter().flatten() {
        faults.push((format!("the migration {name} is not applied"), migrate.to_owned()));
    }
    let history = if unapplied.is_some() {
        "all migrations are applied"
    } else {
        "this role can't see the history of migrations"
    };
    report.faults("schema", format!("{history}; {} objects of theirs are there", kinds.len()), faults);

    unguarded.extend(unsecured(client, promises).await?);
    report.faults("row_level_security", "it is on everywhere, and every policy is there", unguarded);
    let unseen = unpublished(client).await?;
    report.faults("publication", "Realtime is told of every change", unseen);
    Ok(())
}

fn missing(object: &Object, is_disabled: bool) -> (String, String) {
    let Object { kind, name, table, statement, file } = object;
    let on = table.as_ref().map(|table| format!(" on {table}")).unwrap_or_default();
    match *kind {
        "trigger" if is_disabled => (
            format!("the trigger {name}{on} is switched off"),
            format!("alter table {} enable trigger {name};", table.as_deref().unwrap_or_default()),
        ),
        // Their statements are too long for a line.
        "table" | "function" => (
            format!("the {kind} {name} is missing"),
            format!(
                "run `carousel migrate` as postgres; if that finds nothing to do, run what supabase/{file} says of it"
            ),
        ),
        _ => (format!("the {kind} {name}{on} is missing"), line(statement)),
    }
}

/// A statement on one line.
pub(super) fn line(statement: &str) -> String {
    let code = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

async fn unsecured(client: &Client, promises: &Promises) -> Result<Vec<(String, String)>, Error> {
    let statement = "
        select format('%s.%s', nspname, relname) from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where not relrowsecurity and format('%s.%s', nspname, relname) = any($1)";
    let tables: Vec<&str> = promises.secured.iter().map(|(table, _)| table.as_str()).collect();
    let rows = client.query(statement, &[&tables]).await?;
    let open: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
    let open = promises.secured.iter().filter(|(table, _)| open.contains(table));
    Ok(open.map(|(table, mend)| (format!("{table} is open: everybody sees everybody's rows"), line(mend))).collect())
}

async fn unpublished(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let statement = "
        select coalesce(pubinsert and pubupdate and pubdelete, false), array(
            select name from unnest($1::text[]) as name where not exists (
                select from pg_publication_tables
                where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = name
            )
        )
        from (values ('supabase_realtime')) as wanted (name) left join pg_publication on pubname = wanted.name";
    let row = client.query_one(statement, &[&&SHOWN[..]]).await?;
    let (is_whole, missing): (bool, Vec<String>) = (row.get(0), row.get(1));
    let mut faults: Vec<(String, String)> = missing
        .iter()
        .map(|table| {
            (
                format!("the table {table} is not in the publication supabase_realtime: clients see no progress"),
                format!("alter publication supabase_realtime add table public.{table};"),
            )
        })
        .collect();
    if !is_whole && missing.len() == SHOWN.len() {
        faults.insert(
            0,
            (
                "the publication supabase_realtime is missing".to_owned(),
                "create publication supabase_realtime;".to_owned(),
            ),
        );
    } else if !is_whole {
        faults.push((
            "the publication supabase_realtime leaves out inserts, updates or deletes".to_owned(),
            "alter publication supabase_realtime set (publish = 'insert, update, delete, truncate');".to_owned(),
        ));
    }
    Ok(faults)
}
