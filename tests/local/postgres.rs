//! The local stack's floor: PostgreSQL, set up as a hosted project has it.

use std::path::Path;

use carousel_local::postgres::{ADMIN, Options, Server};
use carousel_local::{bootstrap, install};
use tokio::sync::OnceCell;

/// One server for this binary; it goes when the binary ends.
async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let start = || async {
        let runtime = install::ensure(&install::home(), |step| eprintln!("{step}")).await.unwrap();
        Server::temporary(&runtime.postgres).await.unwrap()
    };
    SERVER.get_or_init(start).await
}

/// A new database like a fresh project's.
async fn project(name: &str) -> &'static Server {
    let server = server().await;
    server.create_database(name, None).await.unwrap();
    let admin = server.connect(ADMIN, name).await.unwrap();
    bootstrap::project(&admin, true).await.unwrap();
    server
}

async fn refusal(client: &tokio_postgres::Client, statement: &str) -> String {
    let error = client.batch_execute(statement).await.expect_err(statement);
    error.code().expect("an answer of the server").code().to_owned()
}

#[tokio::test]
async fn a_fresh_project_is_owned_by_a_postgres_that_is_no_superuser() {
    let server = project("owned").await;
    let postgres = server.connect("postgres", "owned").await.unwrap();
    postgres
        .batch_execute(
            "create role worker_of_owned nologin;
             grant worker_of_owned to postgres;
             create schema private_of_owned;
             create table public.notes (id uuid primary key, owner uuid references auth.users on delete cascade);
             grant select on public.notes to worker_of_owned;
             alter publication supabase_realtime add table public.notes;
             set role worker_of_owned;
             select * from public.notes;
             reset role;
             set role authenticated;
             reset role;",
        )
        .await
        .unwrap();
    assert_eq!(refusal(&postgres, "alter system set work_mem = '1MB'").await, "42501");
    assert_eq!(refusal(&postgres, "create table auth.mine (id int)").await, "42501");
    assert_eq!(refusal(&postgres, "alter role postgres superuser").await, "42501");
}

#[tokio::test]
async fn the_services_are_not_postgres_to_change_but_for_policies_and_triggers() {
    let server = project("services").await;
    let postgres = server.connect("postgres", "services").await.unwrap();
    postgres
        .batch_execute(
            "create policy mine on storage.objects for select using (true);
             alter policy mine on storage.objects using (false);
             drop policy mine on storage.objects;
             create policy mine on realtime.messages for select using (true);
             create function public.told() returns trigger language plpgsql as 'begin return new; end';
             create trigger told after insert on storage.objects execute function public.told();
             create trigger told after insert on auth.users execute function public.told();
             insert into storage.buckets (id, name) values ('mine', 'mine');
             grant select on storage.objects to anon;
             create table public.mine ();
             drop table public.mine;",
        )
        .await
        .unwrap();
    for role in ["supabase_storage_admin", "supabase_realtime_admin", "supabase_auth_admin"] {
        assert_eq!(refusal(&postgres, &format!("set role {role}")).await, "42501", "{role}");
    }
    for statement in [
        "alter table storage.objects disable row level security",
        "alter table storage.objects add column mine text",
        "create index mine on storage.objects (owner)",
        "create table storage.mine ()",
        "create or replace function storage.filename(name text) returns text language sql return 'mine'",
        "drop function storage.extension(text)",
        "drop table storage.objects",
        "alter table realtime.messages disable row level security",
        "drop schema storage cascade",
        "alter table auth.users disable row level security",
        "create table auth.mine ()",
    ] {
        assert_eq!(refusal(&postgres, statement).await, "42501", "{statement}");
    }
}

#[tokio::test]
async fn new_tables_are_closed_to_clients_until_a_migration_opens_them() {
    let server = project("closed").await;
    let postgres = server.connect("postgres", "closed").await.unwrap();
    postgres.batch_execute("create table public.notes (id int primary key)").await.unwrap();
    for role in ["anon", "authenticated", "service_role"] {
        let read = format!("begin; set local role {role}; select * from public.notes");
        assert_eq!(refusal(&postgres, &read).await, "42501", "{role}");
        postgres.batch_execute("rollback").await.unwrap();
        let create = format!("begin; set local role {role}; create table public.other ()");
        assert_eq!(refusal(&postgres, &create).await, "42501", "{role}");
        postgres.batch_execute("rollback").await.unwrap();
    }
}

/// Debian and others put each version's programs into a directory of its own; where 15 isn't installed there is nothing to try.
#[tokio::test]
async fn a_postgresql_15_of_the_system_serves_as_well() {
    let programs = Path::new("/usr/lib/postgresql/15/bin");
    if !programs.join("initdb").exists() {
        eprintln!("PostgreSQL 15 isn't installed here");
        return;
    }
    let server = Server::temporary(programs).await.unwrap();
    server.create_database("old", None).await.unwrap();
    bootstrap::project(&server.connect(ADMIN, "old").await.unwrap(), true).await.unwrap();
    let postgres = server.connect("postgres", "old").await.unwrap();
    postgres.batch_execute("create role worker nologin; grant worker to postgres; set role worker").await.unwrap();
    let version = postgres.query_one("show server_version_num", &[]).await.unwrap().get::<_, String>(0);
    assert!(version.starts_with("15"), "{version}");
    server.stop().await;
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_a_stopped_one_starts_again() {
    let runtime = install::ensure(&install::home(), |step| eprintln!("{step}")).await.unwrap();
    // The parent must let PostgreSQL's own account in.
    let directory = std::env::temp_dir().join(format!("carousel-kept-{}", std::process::id()));
    let start = || Server::start(&runtime.postgres, &directory, Options::default());
    let first = start().await.unwrap();
    first.create_database("kept", None).await.unwrap();
    let error = start().await.err().expect("the second start is refused").to_string();
    assert!(error.contains("is in use by another PostgreSQL (process "), "{error}");
    first.stop().await;
    let second = start().await.unwrap();
    second.connect("postgres", "kept").await.unwrap();
    second.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn a_bootstrap_may_be_repeated_and_realtime_left_out() {
    let server = server().await;
    server.create_database("repeated", None).await.unwrap();
    let admin = server.connect(ADMIN, "repeated").await.unwrap();
    bootstrap::project(&admin, false).await.unwrap();
    bootstrap::project(&admin, false).await.unwrap();
    let row = admin.query_one("select to_regnamespace('realtime') is null, to_regnamespace('auth') is null", &[]).await;
    let row = row.unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (true, false));
}

#[tokio::test]
async fn a_copied_database_brings_everything_but_the_replication() {
    let server = project("pattern").await;
    server.create_database("copied", Some("pattern")).await.unwrap();
    let postgres = server.connect("postgres", "copied").await.unwrap();
    let owner = "select pg_get_userbyid(pubowner) from pg_publication where pubname = 'supabase_realtime'";
    assert_eq!(postgres.query_one(owner, &[]).await.unwrap().get::<_, String>(0), "postgres");
}

#[tokio::test]
async fn a_dropped_database_takes_its_sessions_and_slots_along() {
    let server = project("dropped").await;
    let postgres = server.connect("postgres", "dropped").await.unwrap();
    postgres.query("select pg_create_logical_replication_slot('of_dropped', 'pgoutput')", &[]).await.unwrap();
    server.drop_database("dropped").await.unwrap();
    let admin = server.connect(ADMIN, "postgres").await.unwrap();
    let left = "select (select count(*) from pg_database where datname = 'dropped')
                     + (select count(*) from pg_replication_slots where slot_name = 'of_dropped')";
    assert_eq!(admin.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}
