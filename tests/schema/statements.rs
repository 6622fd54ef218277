//! What stands in `sql/` fits the schema, and the schema explains itself.

use std::path::PathBuf;

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::project::Project;

/// The files in `sql/`: their paths, and what stands in them.
fn statements() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).expect("sql/ is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("it can be read"));
    let files: Vec<_> = paths.map(read).collect();
    assert!(files.len() > 10, "only {} statements were found", files.len());
    files
}

/// Plans every file in `sql/`, which also asks for all the rights that it needs, and returns what was refused.
async fn refusals(role: &Client) -> Vec<String> {
    let mut refusals = Vec::new();
    for (path, statement) in statements() {
        role.prepare(&statement).await.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        if let Err(error) = role.batch_execute(&format!("explain (generic_plan) {statement}")).await {
            refusals.push(format!("{path}: {}", error.as_db_error().expect("the database refuses it")));
        }
    }
    refusals
}

#[tokio::test]
async fn the_workers_role_and_postgres_may_run_every_statement() {
    let project = Project::new().await;
    let worker = carousel_local::database::connect(&project.worker_url()).await.expect("the worker may connect");
    assert_eq!(refusals(&worker).await, Vec::<String>::new());
    assert_eq!(refusals(&project.owner).await, Vec::<String>::new());
    project
        .owner
        .batch_execute("revoke update (failed_images) on public.image_generation_jobs from carousel_worker")
        .await
        .unwrap();
    assert!(!refusals(&worker).await.is_empty(), "a missing right is noticed");
}

#[tokio::test]
async fn everything_in_the_schema_has_a_comment() {
    let project = Project::new().await;
    project.let_frontend_go_on("https://p/").await;
    let silent = "
        select format('%s.%s', class.oid::regclass, attribute.attname)
        from pg_class class
        join pg_namespace namespace on namespace.oid = class.relnamespace
        left join pg_attribute attribute on attribute.attrelid = class.oid and attribute.attnum > 0 and not attribute.attisdropped
        where class.relkind in ('r', 'v') and namespace.nspname in ('public', 'carousel_private')
            and (obj_description(class.oid, 'pg_class') is null or col_description(class.oid, attribute.attnum) is null)
        union all
        select proc.oid::regprocedure::text
        from pg_proc proc join pg_namespace namespace on namespace.oid = proc.pronamespace
        where namespace.nspname = 'carousel_private' and obj_description(proc.oid, 'pg_proc') is null
        union all
        select type.oid::regtype::text
        from pg_type type join pg_namespace namespace on namespace.oid = type.typnamespace
        where namespace.nspname = 'carousel_private' and type.typtype = 'd' and obj_description(type.oid, 'pg_type') is null";
    let rows = project.owner.query(silent, &[]).await.expect("the catalog can be read");
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(names.is_empty(), "without a comment: {names:?}");
}

#[tokio::test]
async fn no_statement_reads_as_a_whole_what_grows_for_ever() {
    let project = Project::new().await;
    // The tables are empty and known to be: a plan that is made now is kept while they grow.
    project.owner.batch_execute("analyze").await.unwrap();
    let worker = carousel_local::database::connect(&project.worker_url()).await.unwrap();
    worker.batch_execute(carousel::queue::LOOK_UP).await.unwrap();
    let (mut scanned, mut whole) = (0, Vec::new());
    for (name, statement) in statements() {
        let explained = worker.simple_query(&format!("explain (generic_plan, format json) {statement}")).await.unwrap();
        let plan: String = explained
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        scans(&plan, &mut |scan| {
            let table = scan["Relation Name"].as_str().unwrap();
            if ["image_generation_jobs", "generated_carousel_images", "provider_calls"].contains(&table) {
                scanned += 1;
                if scan.get("Index Cond").is_none() {
                    whole.push(format!("{name}: {table} by {}", scan["Index Name"]));
                }
            }
        });
    }
    assert_eq!(whole, Vec::<String>::new());
    assert!(scanned > 20, "{scanned} scans were looked at");
}

/// Calls `each` with every node of a plan that scans a table.
fn scans(node: &Value, each: &mut impl FnMut(&Value)) {
    if node.get("Relation Name").is_some() && node["Node Type"].as_str().unwrap().contains("Scan") {
        each(node);
    }
    match node {
        Value::Array(all) => all.iter().for_each(|node| scans(node, each)),
        Value::Object(all) => all.values().for_each(|node| scans(node, each)),
        _ => {}
    }
}

/// Where a hosted project's clients come in, no statement without WHERE runs, not even inside of a function or a trigger.
#[tokio::test]
async fn no_function_changes_every_row_of_a_table() {
    let project = Project::new().await;
    let sql = "select oid::regprocedure::text, lower(regexp_replace(prosrc, '--[^\\n]*', '', 'g')) from pg_proc
               where pronamespace::regnamespace::text in ('public', 'carousel_private')";
    let functions = project.owner.query(sql, &[]).await.expect("functions can be listed");
    assert!(functions.len() > 10, "only {} functions were found", functions.len());
    for function in functions {
        let (name, body): (String, String) = (function.get(0), function.get(1));
        for statement in body.split(';') {
            let words: Vec<_> =
                statement.split(|letter: char| letter.is_whitespace() || "()".contains(letter)).collect();
            let changes = |pair: &[&str]| match pair {
                ["delete", "from"] => true,
                ["update", table] => !["set", "of", "skip", ""].contains(table) && words.contains(&"set"),
                _ => false,
            };
            let all = words.windows(2).any(changes) && !words.contains(&"where");
            assert!(!all, "{name} changes every row: {statement}");
        }
    }
}
