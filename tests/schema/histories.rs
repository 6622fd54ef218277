//! `supabase db push` and `carousel migrate` give the same schema, and each knows what the other has applied.

use carousel::migrations::{self, MIGRATIONS};
use carousel_local::postgres::ADMIN;
use tokio_postgres::Client;

use crate::catalog;
use crate::client::value;
use crate::project::{Shared, fresh, shared};
use crate::supabase_cli::Repository;

/// A new project's database, with connections of its owner and of the superuser.
async fn database(name: &str) -> (&'static Shared, Client, Client) {
    let shared = shared().await;
    fresh(&shared.server, name, true).await;
    let owner = shared.server.connect("postgres", name).await.unwrap();
    (shared, owner, shared.server.connect(ADMIN, name).await.unwrap())
}

async fn exists(owner: &Client, relation: &str) -> bool {
    owner.query_one("select to_regclass($1) is not null", &[&relation]).await.unwrap().get(0)
}

#[tokio::test]
async fn both_tools_make_the_same_schema() {
    let (shared, _, pushed) = database("by_cli").await;
    assert_eq!(Repository::whole().await.push(&shared.server.url("postgres", "by_cli")).await, MIGRATIONS.len());
    let (_, mut owner, migrated) = database("by_carousel").await;
    assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), MIGRATIONS.len());
    catalog::assert_same(
        ("supabase db push", &catalog::read(&pushed).await),
        ("carousel migrate", &catalog::read(&migrated).await),
    );
}

#[tokio::test]
async fn what_one_tool_began_the_other_finishes() {
    let half = MIGRATIONS.len() / 2;
    let (shared, mut owner, cli_first) = database("cli_first").await;
    assert_eq!(Repository::with_migrations(half).await.push(&shared.server.url("postgres", "cli_first")).await, half);
    assert_eq!(migrations::missing(&owner).await.unwrap().len(), MIGRATIONS.len() - half);
    let applied = migrations::apply(&mut owner).await.unwrap();
    assert_eq!(
        applied,
        MIGRATIONS[half..].iter().map(|(version, name, _)| format!("{version}_{name}")).collect::<Vec<_>>()
    );

    let (_, mut owner, carousel_first) = database("carousel_first").await;
    // As a failed or an older `carousel migrate` leaves it: the last ones are in neither history.
    let past_the_guard = Repository::with_migrations(1).await;
    past_the_guard.push(&shared.server.url("postgres", "carousel_first")).await;
    owner.batch_execute("create view public.generated_carousels as select 1").await.unwrap();
    migrations::apply(&mut owner).await.unwrap_err();
    let missing = migrations::missing(&owner).await.unwrap().len();
    assert!((1..MIGRATIONS.len()).contains(&missing), "{missing} are missing");
    owner.batch_execute("drop view public.generated_carousels").await.unwrap();
    let pushed = Repository::whole().await.push(&shared.server.url("postgres", "carousel_first")).await;
    assert_eq!(pushed, missing);
    assert!(migrations::apply(&mut owner).await.unwrap().is_empty());
    catalog::assert_same(
        ("the CLI first", &catalog::read(&cli_first).await),
        ("carousel first", &catalog::read(&carousel_first).await),
    );
}

#[tokio::test]
async fn two_runs_at_once_take_their_turn() {
    let (shared, mut one, admin) = database("at_once").await;
    let mut two = shared.server.connect("postgres", "at_once").await.unwrap();
    let (first, second) = tokio::join!(migrations::apply(&mut one), migrations::apply(&mut two));
    let mut counts = [first.unwrap().len(), second.unwrap().len()];
    counts.sort_unstable();
    assert_eq!(counts, [0, MIGRATIONS.len()]);
    let applied = "select count(*) from supabase_migrations.refinery_schema_history";
    assert_eq!(admin.query_one(applied, &[]).await.unwrap().get::<_, i64>(0), i64::try_from(MIGRATIONS.len()).unwrap());
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_of_itself_and_can_be_tried_again() {
    let (shared, mut owner, admin) = database("failing").await;
    // What comes after the guard has looked is met by the migration itself.
    Repository::with_migrations(1).await.push(&shared.server.url("postgres", "failing")).await;
    // The jobs table's migration makes the table before it stumbles over this.
    let obstacle = "create table public.obstacle (batch_id uuid); create index image_generation_jobs_of_batch on public.obstacle (batch_id)";
    owner.batch_execute(obstacle).await.unwrap();
    let error = format!("{:#}", migrations::apply(&mut owner).await.unwrap_err());
    assert!(error.contains("nothing of it was kept"), "{error}");
    assert!(error.contains("image_generation_jobs_of_batch"), "it says what is in the way: {error}");
    assert!(exists(&owner, "public.image_generation_templates").await, "what came before is kept");
    assert!(!exists(&owner, "public.image_generation_jobs").await);
    let applied = "select array_agg(version order by version) from supabase_migrations.schema_migrations";
    let applied: Vec<String> = admin.query_one(applied, &[]).await.unwrap().get(0);
    assert_eq!(applied, [MIGRATIONS[0].0, MIGRATIONS[1].0, MIGRATIONS[2].0]);

    owner.batch_execute("drop table public.obstacle").await.unwrap();
    assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), MIGRATIONS.len() - 3);
    let (_, mut straight, straight_admin) = database("straight").await;
    migrations::apply(&mut straight).await.unwrap();
    catalog::assert_same(
        ("a failure on the way", &catalog::read(&admin).await),
        ("none", &catalog::read(&straight_admin).await),
    );
}

/// A project has migrations of its own beside ours.
#[tokio::test]
async fn migrations_that_are_not_ours_do_not_matter() {
    let (_, mut owner, _) = database("not_ours").await;
    let theirs = "
        create schema supabase_migrations;
        create table supabase_migrations.schema_migrations (version text not null primary key, statements text[], name text);
        insert into supabase_migrations.schema_migrations values ('20200101000000', '{}', 'theirs'), ('20990101000000', '{}', 'later')";
    owner.batch_execute(theirs).await.unwrap();
    assert_eq!(migrations::apply(&mut owner).await.unwrap().len(), MIGRATIONS.len());
    assert!(migrations::apply(&mut owner).await.unwrap().is_empty());
    let left = "select string_agg(name, ' ' order by version) from supabase_migrations.schema_migrations";
    assert_eq!(value(&owner, left).await, "theirs later", "the CLI's history is the app's");
}
