//! What stands in `sql/` fits the schema, and the schema explains itself.

use tokio_postgres::Client;

use crate::project::Project;

/// Plans every file in `sql/`, which also asks for all the rights that it needs, and returns what was refused.
async fn refusals(role: &Client) -> Vec<String> {
    let (mut refusals, mut files) = (Vec::new(), 0);
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).expect("sql/ is there") {
        let path = entry.expect("it can be listed").path();
        let statement = std::fs::read_to_string(&path).expect("it can be read");
        role.prepare(&statement).await.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        if let Err(error) = role.batch_execute(&format!("explain (generic_plan) {statement}")).await {
            refusals.push(format!("{}: {}", path.display(), error.as_db_error().expect("the database refuses it")));
        }
        files += 1;
    }
    assert!(files > 10, "only {files} statements were found");
    refusals
}

#[tokio::test]
async fn the_workers_role_and_postgres_may_run_every_statement() {
    let project = Project::new().await;
    let worker = carousel::local::database::connect(&project.worker_url()).await.expect("the worker may connect");
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
