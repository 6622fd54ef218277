//! What stands in a database's catalog, to be compared with another's.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::project::Project;

/// A line for each table, column, grant, constraint, index, view, trigger, policy, function, publication and so on of our schemas.
pub async fn read(client: &Client) -> BTreeSet<String> {
    // Definitions leave out the schemas that the search path names.
    client.batch_execute("set search_path = ''").await.expect("the search path can be set");
    let rows = client.query(include_str!("catalog.sql"), &[]).await.expect("the catalog can be read");
    client.batch_execute("reset search_path").await.expect("the search path can be reset");
    let mut lines: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    // The tools' histories are theirs.
    lines.retain(|line| !line.contains("supabase_migrations"));
    // Before the first migration there is no record of them.
    if lines.iter().any(|line| line.contains("carousel_private.migrations")) {
        let record = "select format('applied %s %s', version, name) from carousel_private.migrations";
        let record = client.query(record, &[]).await.expect("the record can be read");
        lines.extend(record.iter().map(|row| row.get::<_, String>(0)));
    }
    lines
}

/// Fails with the lines that only one of the two has.
pub fn assert_same(left: (&str, &BTreeSet<String>), right: (&str, &BTreeSet<String>)) {
    let only = |(name, these): (&str, &BTreeSet<String>), those: &BTreeSet<String>| -> String {
        these.difference(those).map(|line| format!("only with {name}: {line}\n")).collect()
    };
    let difference = only(left, right.1) + &only(right, left.1);
    assert!(difference.is_empty(), "{difference}");
    assert!(left.1.len() > 300, "only {} lines were compared", left.1.len());
}

/// Without this, a comparison that sees nothing would pass.
#[tokio::test]
async fn a_change_of_any_kind_is_seen() {
    let project = Project::new().await;
    let changes = [
        "comment on column public.image_generation_jobs.title is 'other'",
        "comment on function carousel_private.change_job() is 'other'",
        "grant update (prompt) on public.image_generation_jobs to authenticated",
        "grant select on carousel_private.leases to service_role",
        "grant execute on function carousel_private.change_job() to public",
        "grant usage on schema carousel_private to service_role",
        "alter default privileges in schema public grant select on tables to anon",
        "alter table public.image_generation_jobs alter column variants set default 1",
        "alter table public.image_generation_jobs alter column title set not null",
        "alter table public.image_generation_jobs drop constraint variants_between_1_and_10",
        "alter table public.image_generation_jobs disable trigger change_job",
        "alter table public.image_generation_jobs reset (fillfactor)",
        "alter table public.image_generation_jobs disable row level security",
        "alter policy \"Owners see their jobs\" on public.image_generation_jobs using (true)",
        "alter view public.generated_carousels reset (security_invoker)",
        "alter publication supabase_realtime drop table public.image_generation_jobs",
        "drop index carousel_private.leases_of_user",
        "drop policy \"carousel: owners delete sources\" on storage.objects",
        "update storage.buckets set public = true",
        "alter function carousel_private.change_job() reset search_path",
        "create or replace function carousel_private.clean_up_replaced_preview() returns trigger language plpgsql as 'begin return null; end'",
    ];
    let before = read(&project.owner).await;
    for change in changes {
        project
            .owner
            .batch_execute(&format!("begin; {change}"))
            .await
            .unwrap_or_else(|error| panic!("{change}: {error:?}"));
        assert_ne!(read(&project.owner).await, before, "not seen: {change}");
        project.owner.batch_execute("rollback").await.expect("it can be undone");
    }
    assert_eq!(read(&project.owner).await, before);
}
