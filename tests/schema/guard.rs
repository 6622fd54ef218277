//! What has our names and is not ours: nothing is changed, and every one of them is named with what mends it.

use std::collections::BTreeSet;

use carousel::migrations::{self, MIGRATIONS};
use carousel_local::postgres::{ADMIN, Server};
use tokio_postgres::Client;

use crate::catalog;
use crate::project::{Project, fresh, shared};
use crate::supabase_cli::Repository;

/// Versions that were written after later ones had been applied.
const LATE: [&str; 2] = ["20261122000000", "20261122000910"];
/// The first version that came with them.
const FIRST_BESIDE: &str = "20261201";

/// A statement for each name that the migrations take outside of their own schema, which gives it to something else, and how that is
/// named. Read from a migrated project, so that no name is forgotten here.
async fn planted() -> Vec<(String, String)> {
    let names = "
        select format('create sequence public.%I', relname), format('sequence public.%I', relname)
        from pg_class where relnamespace = 'public'::regnamespace
        union all
        select format('create policy %I on storage.objects for select using (true)', policyname), format('policy \"%s\"', policyname)
        from pg_policies where schemaname = 'storage' and policyname like 'carousel:%'
        union all
        values ('create schema carousel_private', 'schema carousel_private'), (
            'insert into storage.buckets (id, name, public) values (''generated-carousels'', ''generated-carousels'', true)',
            'bucket generated-carousels'
        )";
    let migrated = Project::new().await;
    migrated.owner.query(names, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What stands in a database, its buckets and the histories included.
async fn everything(admin: &Client) -> BTreeSet<String> {
    let mut lines = catalog::read(admin).await;
    let more = "
        select to_jsonb(bucket)::text from storage.buckets bucket
        union all select format('schema %s', nspname) from pg_namespace where nspname not like 'pg_%' and nspname <> 'supabase_migrations'";
    lines.extend(admin.query(more, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
    lines
}

#[tokio::test]
async fn whatever_has_a_name_of_ours_is_named_before_anything_is_changed() {
    let server = &shared().await.server;
    fresh(server, "foreign", true).await;
    let mut owner = server.connect("postgres", "foreign").await.unwrap();
    let planted = planted().await;
    assert!(planted.len() > 20, "{planted:?}");
    for (statement, _) in &planted {
        owner.batch_execute(statement).await.unwrap();
    }
    let history = "create schema supabase_migrations;
        create table supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text)";
    owner.batch_execute(history).await.unwrap();
    let admin = server.connect(ADMIN, "foreign").await.unwrap();
    let before = everything(&admin).await;

    let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
    let pushed = Repository::whole().await.try_push(&server.url("postgres", "foreign"), &[]).await;
    assert!(!pushed.success);
    for (_, name) in &planted {
        assert!(said.contains(name.as_str()), "{name} is not named: {said}");
        assert!(pushed.stderr.contains(name.as_str()), "{name} is not named: {}", pushed.stderr);
    }
    for words in ["create schema carousel_shared_bucket", "alter schema carousel_private rename to"] {
        assert!(said.contains(words), "{said}");
        assert!(pushed.stderr.contains(words), "{}", pushed.stderr);
    }
    assert!(!said.contains("DbError") && !said.contains("Some("), "one readable error: {said}");
    assert_eq!(everything(&admin).await, before);
    let histories = "select to_regclass('supabase_migrations.refinery_schema_history') is null";
    assert!(admin.query_one(histories, &[]).await.unwrap().get::<_, bool>(0), "not even a history was made");
}

#[tokio::test]
async fn what_the_advice_says_lets_the_migrations_through() {
    let server = &shared().await.server;
    fresh(server, "advised", true).await;
    let mut owner = server.connect("postgres", "advised").await.unwrap();
    owner
        .batch_execute(
            "create table public.image_generation_jobs (id uuid primary key, name text);
             insert into public.image_generation_jobs values (gen_random_uuid(), 'kept');
             create index image_generation_jobs_of_user on public.image_generation_jobs (name);
             create view public.generated_carousels as select name from public.image_generation_jobs;
             create domain public.generated_carousel_images as text;
             create type public.image_generation_templates as enum ('a');
             create schema carousel_private;
             create policy \"carousel: owners read their folder\" on storage.objects for select using (false);
             insert into storage.buckets (id, name) values ('generated-carousels', 'generated-carousels')",
        )
        .await
        .unwrap();
    let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
    for line in said.lines().filter(|line| line.starts_with("alter ")) {
        owner.batch_execute(line).await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
    }
    owner.batch_execute("create schema carousel_shared_bucket").await.unwrap();
    assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), MIGRATIONS.len());
    let kept = "select name from public.generated_carousels_before_carousel";
    assert_eq!(owner.query_one(kept, &[]).await.unwrap().get::<_, String>(0), "kept");
}

/// An earlier `carousel migrate` made its first schema and then stopped at a table.
#[tokio::test]
async fn what_is_ours_is_told_from_what_is_not_in_a_project_that_was_begun() {
    let server = &shared().await.server;
    fresh(server, "begun", true).await;
    let mut owner = server.connect("postgres", "begun").await.unwrap();
    let mine: Vec<_> = MIGRATIONS.iter().filter(|(version, ..)| !LATE.contains(version)).take(2).collect();
    Repository::of(mine).await.push(&server.url("postgres", "begun")).await;
    owner.batch_execute("create table public.image_generation_jobs (id uuid)").await.unwrap();
    let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
    assert!(said.contains("table public.image_generation_jobs"), "{said}");
    assert!(!said.contains("image_generation_templates") && !said.contains("carousel_private rename"), "{said}");
    owner.batch_execute("drop table public.image_generation_jobs").await.unwrap();
    assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), MIGRATIONS.len() - 2);
}

#[tokio::test]
async fn what_was_written_late_is_applied_where_later_ones_are() {
    let server = &shared().await.server;
    let mut schemas = Vec::new();
    for (name, by_cli) in [("late_by_carousel", false), ("late_by_cli", true)] {
        fresh(server, name, true).await;
        let mut owner = server.connect("postgres", name).await.unwrap();
        let url = server.url("postgres", name);
        let deployed: Vec<_> =
            MIGRATIONS.iter().filter(|(version, ..)| !LATE.contains(version) && *version < FIRST_BESIDE).collect();
        let left = MIGRATIONS.len() - deployed.len();
        Repository::of(deployed).await.push(&url).await;
        if by_cli {
            let repository = Repository::whole().await;
            let refused = repository.try_push(&url, &[]).await;
            assert!(!refused.success && refused.stderr.contains("--include-all"), "{}", refused.stderr);
            let pushed = repository.try_push(&url, &["--include-all"]).await;
            assert!(pushed.success, "{}", pushed.stderr);
            assert!(migrations::apply(&mut owner).await.unwrap().is_empty());
        } else {
            assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), left);
            assert_eq!(Repository::whole().await.push(&url).await, 0);
        }
        assert!(migrations::missing(&owner).await.unwrap().is_empty());
        schemas.push(catalog::read(&server.connect(ADMIN, name).await.unwrap()).await);
    }
    let straight = Project::new().await;
    let straight = catalog::read(&straight.admin().await).await;
    catalog::assert_same(("late, by carousel", &schemas[0]), ("late, by the CLI", &schemas[1]));
    catalog::assert_same(("late", &schemas[0]), ("in order", &straight));
}

#[tokio::test]
async fn a_shared_bucket_keeps_its_settings_whatever_they_are() {
    let server = &shared().await.server;
    let kinds = [
        ("true", "5242880", "'{image/png,image/jpeg,image/webp}'"),
        ("false", "null", "null"),
        ("null", "1000000000", "'{image/*}'"),
    ];
    for (number, (public, limit, types)) in kinds.into_iter().enumerate() {
        let by_cli = number == 0;
        let name = format!("sharing_{number}");
        fresh(server, &name, true).await;
        let mut owner = server.connect("postgres", &name).await.unwrap();
        let bucket = format!(
            "insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
             values ('generated-carousels', 'generated-carousels', {public}, {limit}, {types});
             insert into storage.objects (bucket_id, name) values
             ('generated-carousels', 'published/summer/1.png'), ('generated-carousels', 'carousels/42/2.png')"
        );
        owner.batch_execute(&bucket).await.unwrap();
        let settings = "select jsonb_build_array(public, file_size_limit, allowed_mime_types) from storage.buckets";
        let before: serde_json::Value = owner.query_one(settings, &[]).await.unwrap().get(0);
        let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
        assert!(said.contains("bucket generated-carousels") && !said.contains("schema carousel_private"), "{said}");

        owner.batch_execute("create schema carousel_shared_bucket").await.unwrap();
        if by_cli {
            Repository::whole().await.push(&server.url("postgres", &name)).await;
        } else {
            migrations::apply(&mut owner).await.unwrap();
        }
        let after: serde_json::Value = owner.query_one(settings, &[]).await.unwrap().get(0);
        assert_eq!(after, before);
        let left = "select (select count(*) from storage.objects), to_regnamespace('carousel_shared_bucket') is null,
                    (select count(*) from carousel_private.shared_bucket)";
        let left = owner.query_one(left, &[]).await.unwrap();
        assert_eq!((left.get::<_, i64>(0), left.get::<_, bool>(1), left.get::<_, i64>(2)), (2, true, 1));
        assert!(migrations::apply(&mut owner).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_word_without_a_bucket_shares_nothing() {
    let server = &shared().await.server;
    fresh(server, "word_alone", true).await;
    let mut owner = server.connect("postgres", "word_alone").await.unwrap();
    owner.batch_execute("create schema carousel_shared_bucket").await.unwrap();
    migrations::apply(&mut owner).await.unwrap();
    let bucket = "select public, (select count(*) from carousel_private.shared_bucket) from storage.buckets";
    let bucket = owner.query_one(bucket, &[]).await.unwrap();
    assert_eq!((bucket.get::<_, bool>(0), bucket.get::<_, i64>(1)), (false, 0));
}

/// Roles are the whole server's, so this server is the test's own.
#[tokio::test]
async fn a_role_of_the_workers_name_is_taken_only_if_it_may_do_nothing() {
    let server = Server::temporary(&shared().await.runtime.postgres).await.unwrap();
    fresh(&server, "roles", true).await;
    let admin = server.connect(ADMIN, "roles").await.unwrap();
    let mut owner = server.connect("postgres", "roles").await.unwrap();
    let foreign = [
        "create role carousel_worker login bypassrls",
        "create role carousel_worker createrole",
        "create role carousel_worker; grant pg_read_all_data to carousel_worker",
        "create role carousel_worker; create table public.theirs (); alter table public.theirs owner to carousel_worker",
        "create role carousel_worker; create table public.theirs (); grant select on public.theirs to carousel_worker",
    ];
    for role in foreign {
        admin.batch_execute(role).await.unwrap();
        let said = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
        assert!(said.contains("role carousel_worker") && said.contains("comment on role"), "{role}: {said}");
        admin.batch_execute("drop table if exists public.theirs; drop role carousel_worker").await.unwrap();
    }
    owner.batch_execute("create role carousel_worker login password 'chosen before'").await.unwrap();
    migrations::apply(&mut owner).await.unwrap();
    // Another database of the same server finds the role, with what the first has given it.
    fresh(&server, "second", true).await;
    let mut second = server.connect("postgres", "second").await.unwrap();
    migrations::apply(&mut second).await.unwrap();
    drop((admin, owner, second));
    server.stop().await;
}

#[tokio::test]
async fn a_later_migration_can_ask_for_its_names() {
    let project = Project::new().await;
    let ask = "select carousel_private.require_free('public.carousel_decks', 'public.carousel_decks_of_user', 'public.carousel_count(uuid)')";
    project.owner.batch_execute(ask).await.unwrap();
    let taken = [
        ("create table public.carousel_decks ()", "public.carousel_decks"),
        ("create domain public.carousel_decks_of_user as text", "public.carousel_decks_of_user"),
        (
            "create function public.carousel_count(uuid) returns integer language sql as 'select 1'",
            "public.carousel_count(uuid)",
        ),
    ];
    for (statement, name) in taken {
        project.owner.batch_execute(statement).await.unwrap();
        let error = project.owner.batch_execute(ask).await.unwrap_err();
        let refusal = error.as_db_error().unwrap();
        assert!(refusal.message().ends_with(name) || refusal.message().contains(&format!("{name},")), "{refusal}");
        assert_eq!(refusal.detail(), Some("Rename what has them, then apply the migrations again."));
    }
}
