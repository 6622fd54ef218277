//! What a session makes for itself alone is never taken for what the catalog has: not even its owner's functions of ours run it.

use uuid::Uuid;

use crate::client::{insert_job, run, value};
use crate::project::Project;

/// Types that a function may name, each of which a session can have one of its own of.
const TYPES: [&str; 8] = ["uuid", "text", "jsonb", "int4", "int8", "numeric", "timestamptz", "interval"];

/// A connection of the worker's own role in which each of these types has a check that says who runs it.
async fn armed(project: &Project) -> tokio_postgres::Client {
    let worker = carousel_local::database::connect(&project.worker_url()).await.expect("the worker may connect");
    let who = "create function pg_temp.tell_who() returns boolean language plpgsql as
        'begin raise exception ''run by %'', current_user; end'";
    worker.batch_execute(who).await.unwrap();
    for name in TYPES {
        let domain = format!("create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.tell_who())");
        worker.batch_execute(&domain).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    worker
}

#[tokio::test]
async fn a_type_of_a_sessions_own_is_run_by_nobody_else() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let job = insert_job(&client, user, &[]).await.unwrap();
    let worker = armed(&project).await;
    // The check is a real one.
    let refusal = run(&worker, &format!("select '{}'::pg_temp.uuid", Uuid::new_v4())).await.unwrap_err();
    assert_eq!(refusal.message, "run by carousel_worker");
    // Each of these makes a function of the owner's run.
    for statement in [
        format!("update public.image_generation_jobs set run_at = now() where id = '{job}'"),
        format!(
            "update public.image_generation_jobs set status = 'processing', stage = 'fetching', attempt = 1, started_at = now() where id = '{job}'"
        ),
        format!("update public.image_generation_jobs set status = 'pending', stage = 'queued' where id = '{job}'"),
        "select carousel_private.sweep_objects(interval '1 day')".to_owned(),
    ] {
        run(&worker, &statement).await.unwrap_or_else(|refusal| panic!("{statement}: {refusal:?}"));
    }
}

#[tokio::test]
async fn every_function_of_ours_looks_into_pg_temp_last() {
    let project = Project::new().await;
    project.let_frontend_go_on("https://p/").await;
    let ours = "
        from pg_proc where pronamespace = 'carousel_private'::regnamespace
            or pronamespace = 'public'::regnamespace
                and not exists (select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e')";
    let others = format!(
        "select coalesce(string_agg(oid::regprocedure::text, ', '), 'none') {ours}
            and coalesce('search_path=pg_catalog, pg_temp' <> all (proconfig), true)"
    );
    // The condition holds for both halves.
    let others = others.replace("from pg_proc where ", "from pg_proc where (").replace("'e')", "'e'))");
    assert_eq!(value(&project.owner, &others).await, "none", "write set search_path = pg_catalog, pg_temp");
    let all = value(&project.owner, &format!("select count(*) {ours}")).await;
    assert!(all.parse::<u32>().unwrap() > 30, "{all}");
}
