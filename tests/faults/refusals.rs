//! The database, or the pooler before it, says no: for a while or for good, before a statement is done or after. What is paid for is kept.

use crate::invariants::{Cost, check};
use crate::proxy::Mode;
use crate::scene::{Request, Scene};
use crate::steps::{Step, billed};

/// Passes by itself: connection, read-only, rollback, resources, locks, intervention, system.
const PASSING: [&str; 12] =
    ["08006", "25006", "25P04", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01", "58030"];
/// Somebody has to mend it: one of every other class that a statement of the worker's may be refused with.
const LASTING: [&str; 12] =
    ["0A000", "21000", "22001", "23514", "26000", "2BP01", "42501", "42P01", "54001", "55000", "P0001", "XX000"];

/// Lets `table` refuse the worker's changes of a row `when`, `times` in all, with this SQLSTATE.
pub async fn refuse(scene: &Scene, table: &str, when: &str, code: &str, times: u32) {
    for statement in [
        "create schema if not exists faults",
        "create sequence if not exists faults.refused",
        "select setval('faults.refused', 1, false)",
        // A sequence keeps its count when the statement is undone.
        "create or replace function faults.refuse() returns trigger language plpgsql security definer as $$
         begin
             if nextval('faults.refused') <= tg_argv[1]::bigint then
                 raise exception 'refused by a test' using errcode = tg_argv[0];
             end if;
             return new;
         end $$",
        &format!(
            "create or replace trigger refuse before update on {table} for each row when ({when})
             execute function faults.refuse('{code}', '{times}')"
        ),
    ] {
        scene.rows(statement, &[]).await;
    }
}

const IMAGES: &str = "public.generated_carousel_images";
/// Times that don't end.
pub const FOR_EVER: u32 = 1_000_000;

async fn worker_of_many_calls(scene: &Scene) -> crate::process::Worker {
    scene.worker_with(&[("CAROUSEL_CALLS_PER_JOB", "6"), ("CAROUSEL_LEASE_SECONDS", "30")]).await
}

#[tokio::test]
async fn a_record_that_is_refused_for_a_moment_with_whatever_code_costs_nothing() {
    let scene = Scene::new().await;
    let _worker = worker_of_many_calls(&scene).await;
    for code in PASSING.iter().chain(&LASTING) {
        refuse(&scene, IMAGES, "new.status = 'completed'", code, 3).await;
        let request = Request::new(&scene, 6).await;
        request.submit().await;
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{code}: {job:?}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_record_that_is_refused_for_good_lets_the_others_be_kept_and_ends_the_job_with_a_code() {
    let scene = Scene::new().await;
    let worker = worker_of_many_calls(&scene).await;
    refuse(&scene, IMAGES, "new.status = 'completed' and new.slide = 2", "42501", FOR_EVER).await;
    scene.deployment.openai.hold();
    let request = Request::new(&scene, 6).await;
    request.submit().await;
    billed(&scene, 6).await;
    scene.deployment.openai.release();
    let job = scene.over(request.id).await;
    assert_eq!(
        (job.status.as_str(), job.code.as_deref(), job.completed, job.attempt),
        ("partial", Some("database"), 5, 1),
        "{job:?}"
    );
    let log = worker.log();
    assert!(log.contains("refused by a test (42501)") && !log.contains("carousel migrate"), "{log}");
    let books = check(&scene, Cost { again: 1, open: 0, orphans: 1 }).await;
    assert_eq!(books.billed, 6, "each was paid for once");
}

#[tokio::test]
async fn no_further_image_is_paid_for_once_a_record_is_refused_for_good() {
    let scene = Scene::new().await;
    let _worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "30")]).await;
    refuse(&scene, IMAGES, "new.status = 'completed'", "23514", FOR_EVER).await;
    let request = Request::new(&scene, 6).await;
    request.submit().await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.code.as_deref()), ("failed", Some("database")), "{job:?}");
    let books = check(&scene, Cost { again: 1, open: 0, orphans: 1 }).await;
    assert_eq!(books.billed, 1);
}

#[tokio::test]
async fn progress_that_can_not_be_shown_costs_nothing() {
    let scene = Scene::new().await;
    let _worker = worker_of_many_calls(&scene).await;
    for code in ["42501", "57014", "23514"] {
        refuse(&scene, "public.image_generation_jobs", "new.stage = 'generating'", code, FOR_EVER).await;
        let request = Request::new(&scene, 6).await;
        request.submit().await;
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{code}: {job:?}");
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_time_limit_of_the_workers_role_is_waited_for() {
    for (limit, code) in [("statement_timeout", "57014"), ("lock_timeout", "55P03")] {
        let scene = Scene::new().await;
        let database = &scene.deployment.project.database;
        let set = format!("alter role carousel_worker in database {database} set {limit} = '400ms'");
        scene.rows(&set, &[]).await;
        let worker = scene.worker().await;
        let request = Request::new(&scene, 3).await;
        let reached = Step::Recording.reach(&scene, &worker, &request).await;
        worker.says(code).await;
        reached.let_go();
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{limit}: {job:?}");
        check(&scene, Cost::default()).await;
    }
}

#[tokio::test]
async fn a_refusal_of_what_was_done_all_the_same_costs_nothing() {
    let scene = Scene::new().await;
    let worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "30")]).await;
    for code in ["08006", "42501", "57014", "23514", "40001"] {
        let request = Request::new(&scene, 3).await;
        let reached = Step::Recording.reach(&scene, &worker, &request).await;
        // Of the record, and of what comes after it: the next call's row, and perhaps the report.
        scene.ways.database.refuse(&[code; 4]);
        reached.let_go();
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{code}: {job:?}\n{}", worker.log());
    }
    check(&scene, Cost::default()).await;
}

#[tokio::test]
async fn a_pooler_without_room_is_waited_for() {
    for (code, words) in [
        (
            "XX000",
            "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size",
        ),
        ("53300", "too many connections for role"),
        ("08006", "connection to the server was lost"),
    ] {
        let scene = Scene::new().await;
        let worker = scene.worker_with(&[("CAROUSEL_LEASE_SECONDS", "30")]).await;
        let request = Request::new(&scene, 3).await;
        let reached = Step::Generating.reach(&scene, &worker, &request).await;
        scene.ways.database.set(Mode::Full(code, words));
        scene.ways.database.cut();
        reached.let_go();
        // The second picture is in the bucket, and then its record is turned away more than once.
        scene.until("select from storage.objects where name like '%/1-2-%'", &[]).await;
        worker.says_again(&words[..20], 3).await;
        scene.ways.database.set(Mode::Open);
        let job = scene.over(request.id).await;
        assert_eq!((job.status.as_str(), job.attempt), ("completed", 1), "{job:?}");
        check(&scene, Cost::default()).await;
    }
}

#[tokio::test]
async fn an_image_is_paid_for_twice_at_most_however_many_workers_are_lost_to_it() {
    let scene = Scene::new().await;
    let attempts = [("CAROUSEL_JOB_ATTEMPTS", "20")];
    let request = Request::new(&scene, 1).await;
    scene.deployment.openai.hold();
    request.submit().await;
    for lost in 1..=2 {
        let mut worker = scene.worker_with(&attempts).await;
        billed(&scene, lost).await;
        worker.kill().await;
    }
    let _third = scene.worker_with(&attempts).await;
    let job = scene.over(request.id).await;
    assert_eq!((job.status.as_str(), job.code.as_deref()), ("failed", Some("worker_lost")), "{job:?}");
    assert_eq!(scene.deployment.openai.billed(), 2);
    scene.deployment.openai.release();
    request.retry().await;
    assert_eq!(scene.over(request.id).await.status, "completed", "its owner may ask for more");
    check(&scene, Cost { again: 2, open: 2, orphans: 0 }).await;
}
