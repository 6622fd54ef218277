//! The database is cut off, frozen, full, or restarted, while images are being made: they finish, and are recorded when it is back.

use crate::invariants::{Cost, check};
use crate::proxy::Mode;
use crate::scene::{Request, Scene, soon};
use crate::steps::Step;

const STEPS: [Step; 10] = [
    Step::Claiming,
    Step::Fetching,
    Step::Calling,
    Step::Generating,
    Step::Reading,
    Step::Uploading,
    Step::Uploaded,
    Step::Recording,
    Step::Finishing,
    Step::Renewing,
];

#[tokio::test]
async fn connections_cut_at_any_step_cost_nothing() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    for step in STEPS {
        let request = Request::new(&scene, 3).await;
        let reached = step.reach(&scene, &worker, &request).await;
        scene.ways.database.cut();
        reached.let_go();
        let job = scene.over(request.id).await;
        // What a claim took whose answer was lost comes back when its lease has run out.
        let attempts = 1 + i32::from(step == Step::Claiming);
        assert_eq!((job.status.as_str(), job.attempt), ("completed", attempts), "{step:?}: {job:?}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn backends_terminated_at_any_step_cost_nothing() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    for step in STEPS {
        let request = Request::new(&scene, 3).await;
        let reached = step.reach(&scene, &worker, &request).await;
        terminate(&scene, "").await;
        reached.let_go();
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{step:?}: {job:?}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_database_frozen_for_longer_than_a_lease_costs_nothing_when_nobody_else_claims() {
    let scene = Scene::new().await;
    let worker = scene.worker().await;
    let request = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &worker, &request).await;
    scene.ways.database.set(Mode::Frozen);
    scene.until("select from carousel_private.leases where leased_until < now()", &[]).await;
    reached.let_go();
    scene.until("select from storage.objects where name like '%/1-2-%'", &[]).await;
    scene.ways.database.set(Mode::Open);
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_renewal_whose_connection_has_gone_silent_goes_over_another_in_time() {
    let scene = Scene::new().await;
    let worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "9")]).await;
    // The first renewal of this worker, with the connection that it opens for it.
    scene.ways.database.catch("Prolongs the leases", crate::proxy::Hold::Request);
    scene.deployment.openai.hold();
    let request = Request::new(&scene, 1).await;
    request.submit().await;
    scene.ways.database.caught().await;
    // Somebody who would take the job as soon as its lease has run out.
    let ways = scene.ways().await;
    let _second = scene.worker_over(&ways, &[]).ready().await;
    scene.until("select from carousel_private.leases where leased_until > leased_at + interval '9 seconds'", &[]).await;
    scene.deployment.openai.release();
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}\n{}", worker.log());
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_lost_listener_is_replaced_before_anybody_waits() {
    let scene = Scene::new().await;
    // Nothing but the listener may find the job.
    let _worker = scene.worker_with(&[("CAROUSEL_POLL_SECONDS", "3600")]).await;
    let listening = "select from pg_stat_activity where datname = current_database() and query like 'listen %'";
    for _ in 0..3 {
        scene.until(listening, &[]).await;
        let request = Request::new(&scene, 1).await;
        terminate(&scene, "and query like 'listen %'").await;
        request.submit().await;
        assert_eq!(scene.over(request.id).await.status, "completed");
        let waited = "select (extract(epoch from started_at - created_at) * 1000)::bigint from public.image_generation_jobs where id = $1";
        println!(
            "picked up {} ms after its insert, the listener being lost",
            scene.count(waited, &[&request.id]).await
        );
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_database_with_no_connection_to_give_is_waited_for() {
    let scene = Scene::new().await;
    let worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "30")]).await;
    let request = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &worker, &request).await;
    let database = &scene.deployment.project.database;
    scene.rows(&format!("alter database {database} connection limit 0"), &[]).await;
    terminate(&scene, "").await;
    reached.let_go();
    scene.until("select from storage.objects where name like '%/1-2-%'", &[]).await;
    worker.says("too many connections").await;
    scene.rows(&format!("alter database {database} connection limit -1"), &[]).await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_worker_started_while_the_database_is_away_says_so_and_ends() {
    let scene = Scene::new().await;
    scene.ways.database.go_away();
    let mut worker = scene.worker_over(&scene.ways, &[]);
    assert_eq!(worker.ended().await, Some(1));
    assert!(worker.log().contains("the database can't be reached"), "{}", worker.log());
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_worker_asked_to_end_while_the_database_is_away_ends_within_its_grace() {
    let scene = Scene::new().await;
    let mut worker = scene.worker_with(&[("CAROUSEL_GRACE_SECONDS", "1")]).await;
    let request = Request::new(&scene, 3).await;
    let reached = Step::Generating.reach(&scene, &worker, &request).await;
    scene.ways.database.go_away();
    worker.says("can't listen for jobs").await;
    worker.ask_to_end();
    soon("the worker ends", worker.ended()).await;
    scene.ways.database.set(Mode::Open);
    let _second = scene.worker().await;
    reached.let_go();
    assert_eq!(scene.over(request.id).await.status, "completed");
    check(&scene, Cost::one()).await;
}

/// Ends the workers' sessions, those for which `and` holds.
async fn terminate(scene: &Scene, and: &str) {
    let end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and usename = 'carousel_worker'";
    assert!(!scene.rows(&format!("{end} {and}"), &[]).await.is_empty(), "somebody was there");
}

/// Restarts the server while two images are being made, which finish while it is away.
async fn restarted(how: crate::server::Stop) {
    let (server, project) = crate::server::Restartable::new().await;
    let scene = Scene::on(project).await;
    let _worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "30"), ("CAROUSEL_CALLS_PER_JOB", "4")]).await;
    let request = Request::new(&scene, 3).await;
    scene.deployment.openai.hold();
    request.submit().await;
    crate::steps::billed(&scene, 3).await;
    server.stop(how).await;
    scene.deployment.openai.release();
    // The pictures are there, and Storage can't take them: its rows are in the same server.
    soon("the answers are read", scene.ways.provider.unused()).await;
    server.start().await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.completed, job.attempt), ("completed", 3, 1), "{job:?}");
    let next = Request::new(&scene, 1).await;
    // PostgREST takes its own time to come back, and refuses what is inserted before.
    scene.deployment.stack.until_served("image_generation_jobs").await.expect("PostgREST comes back");
    next.submit().await;
    assert_eq!(scene.over(next.id).await.status, "completed", "nobody has to restart anything");
    check(&scene, Cost::default()).await;
    server.end().await;
}

#[tokio::test]
async fn a_database_restarted_in_good_order_costs_nothing() {
    restarted(crate::server::Stop::Fast).await;
}

#[tokio::test]
async fn a_database_that_crashed_and_recovered_costs_nothing() {
    restarted(crate::server::Stop::Immediate).await;
}
