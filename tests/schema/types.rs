//! `supabase/database.types.ts` is what `supabase gen types` says of the schema, and says what frontends need.

use std::collections::BTreeMap;

use crate::project::Project;
use crate::supabase_cli::Repository;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/database.types.ts");

#[tokio::test]
async fn the_types_for_frontends_are_up_to_date() {
    let project = Project::new().await;
    let remote = format!("--remote={}", project.shared.server.url("postgres", &project.database));
    let said =
        Repository::whole().await.supabase(&["gen", "types", "--lang=typescript", "--schema=public", &remote]).await;
    assert!(said.success, "{}", said.stderr);
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::write(KEPT, &said.stdout).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    assert!(
        kept == said.stdout,
        "supabase/database.types.ts is stale; renew it with: UPDATE_TYPES=1 cargo test --test schema types"
    );
}

/// The columns of a table in one form (`Row`, `Insert` or `Update`), each with its type; a key ends with `?` when it is optional.
fn columns(table: &str, form: &str) -> BTreeMap<String, String> {
    let kept = std::fs::read_to_string(KEPT).expect("the types are kept");
    let table = kept.split_once(&format!("\"{table}\": {{")).unwrap_or_else(|| panic!("no {table}")).1;
    let form = table.split_once(&format!("{form}: {{")).unwrap_or_else(|| panic!("no {form}")).1;
    let body = form.split_once('}').expect("it ends").0;
    let columns: BTreeMap<_, _> = body
        .trim()
        .split(',')
        .map(|column| column.split_once(": ").unwrap_or_else(|| panic!("not a column: {column}")))
        .map(|(name, kind)| (name.replace('"', ""), kind.to_owned()))
        .collect();
    assert!(columns.len() > 4, "{columns:?}");
    columns
}

/// Columns that may be null, in one form of a table.
fn nullable(table: &str, form: &str) -> Vec<String> {
    columns(table, form).into_iter().filter(|(_, kind)| kind.contains("null")).map(|(name, _)| name).collect()
}

#[test]
fn a_job_can_be_inserted_without_any_of_its_columns() {
    let required: Vec<_> =
        columns("image_generation_jobs", "Insert").into_keys().filter(|name| !name.ends_with('?')).collect();
    assert!(required.is_empty(), "a template may fill every column, but these are required: {required:?}");
    let required: Vec<_> =
        columns("image_generation_templates", "Insert").into_keys().filter(|name| !name.ends_with('?')).collect();
    assert_eq!(required, ["name", "source_paths"]);
}

#[test]
fn only_what_may_be_missing_is_nullable() {
    assert_eq!(
        nullable("image_generation_jobs", "Row"),
        [
            "background",
            "batch_id",
            "cancel_requested_at",
            "error_code",
            "error_message",
            "finished_at",
            "idempotency_key",
            "message",
            "model",
            "output_format",
            "quality",
            "retry_requested_at",
            "slide_sources",
            "started_at",
            "template_id",
            "template_version",
            "title",
            "usage"
        ]
    );
    assert_eq!(
        nullable("image_generation_templates", "Row"),
        ["description", "last_used_at", "prompt", "search_text", "slide_sources"]
    );
    assert_eq!(
        nullable("generated_carousels", "Row"),
        ["cost_usd", "cover_path", "cover_thumbhash", "last_completed_at"]
    );
    let images = nullable("generated_carousel_images", "Row");
    for always in [
        "id",
        "job_id",
        "user_id",
        "carousel_id",
        "variant",
        "slide",
        "aspect_ratio",
        "status",
        "is_favorite",
        "created_at",
    ] {
        assert!(!images.iter().any(|column| column == always), "{always} is never null");
    }
}

/// TypeScript's own compiler is not needed to see that a client's rights fit the types: what may be inserted is in `Insert`.
#[tokio::test]
async fn every_column_that_a_client_may_write_is_in_the_types() {
    let project = Project::new().await;
    let granted = "
        select table_name::text, column_name::text, privilege_type::text from information_schema.column_privileges
        where grantee = 'authenticated' and table_schema = 'public' and privilege_type in ('INSERT', 'UPDATE')";
    let rows = project.owner.query(granted, &[]).await.unwrap();
    assert!(rows.len() > 30, "only {} grants", rows.len());
    for row in rows {
        let (table, column): (&str, &str) = (row.get(0), row.get(1));
        let form = if row.get::<_, &str>(2) == "INSERT" { "Insert" } else { "Update" };
        let known = columns(table, form);
        assert!(known.contains_key(column) || known.contains_key(&format!("{column}?")), "{table}.{column} in {form}");
    }
}
