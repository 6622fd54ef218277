//! What an operator reads in the dashboard is what is.

use std::time::Duration;

use carousel::queue::{Begun, Fault, Objects, Queue, Settings, WorkerReport};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, run, value};
use crate::project::Project;

const VIEWS: [&str; 6] =
    ["queue_health", "failures_by_code", "worker_health", "spend_by_day", "spend_by_user", "open_calls"];
const LEASE: Duration = Duration::from_secs(600);

fn queue(project: &Project) -> Queue {
    let database = project.worker_url().parse().expect("it is a connection string");
    Queue::new(&Settings { database, certificates: Vec::new(), connections: 1 }).expect("a pool can be made")
}

async fn report(queue: &Queue, id: Uuid, name: &str, state: &'static str) {
    let report = WorkerReport { id, name, concurrency: 8, running: 0, state };
    queue.heartbeat(&report, &[]).await.expect("it is written");
}

/// Every row of a view, these columns of it, in their order.
async fn rows(client: &Client, view: &str, columns: &str) -> Vec<String> {
    let rows = format!("select row({columns})::text from carousel_private.{view} order by row({columns})");
    let rows = client.query(&rows, &[]).await.unwrap_or_else(|error| panic!("{view}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// A finished call, as SQL.
fn call(user: Uuid, model: &str, at: &str, outcome: &str, dollars: &str) -> String {
    format!(
        "insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model, started_at, finished_at, outcome, cost_usd)
         select id, id, '{user}', id, 1, '{model}', {at}, now(), '{outcome}', {dollars} from gen_random_uuid() as id;"
    )
}

#[tokio::test]
async fn the_queues_health_tells_what_waits_runs_is_lost_and_is_paused() {
    let project = Project::new().await;
    let (queue, user, other) = (queue(&project), project.user().await, project.user().await);
    let all = "waiting, waiting_images, waiting_users, oldest_waiting_since is null, running, running_images, lost, scheduled, next_scheduled_at is null, paused_reason";
    assert_eq!(rows(&project.owner, "queue_health", all).await, ["(0,0,0,t,0,0,0,0,t,)"]);
    let client = project.signed_in(user).await;
    insert_job(&client, user, &[("variants", "3")]).await.unwrap();
    let lease = queue.claim_jobs(Uuid::new_v4(), 1, LEASE).await.unwrap().pop().unwrap();
    insert_job(&client, user, &[]).await.unwrap();
    queue.claim_jobs(Uuid::new_v4(), 1, Duration::ZERO).await.unwrap();
    insert_job(&client, user, &[("run_at", "now() + interval '1 day'")]).await.unwrap();
    insert_job(&client, user, &[("run_at", "'2000-01-01'"), ("variants", "2")]).await.unwrap();
    insert_job(&project.signed_in(other).await, other, &[]).await.unwrap();
    lease.queue().pause_provider(LEASE, "no credit").await.unwrap();
    assert_eq!(rows(&project.owner, "queue_health", all).await, ["(2,3,2,f,1,3,1,1,f,\"no credit\")"]);
    let since =
        "oldest_waiting_since = (select created_at from public.image_generation_jobs where run_at = '2000-01-01')
        and oldest_waiting = now() - oldest_waiting_since";
    assert_eq!(rows(&project.owner, "queue_health", since).await, ["(t)"], "it waits since it is there");
}

#[tokio::test]
async fn failures_are_counted_by_code_for_a_day() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let client = project.signed_in(user).await;
    insert_job(&client, user, &[("slide_prompts", "'{one,two}'")]).await.unwrap();
    let lease = queue.claim_jobs(Uuid::new_v4(), 1, LEASE).await.unwrap().pop().unwrap();
    let fault = Fault { code: "moderation_blocked", message: "refused", request_id: None };
    for image in lease.start_job().await.unwrap() {
        let Begun::Call(call) = lease
            .begin_call(
                image.id,
                Objects { name: "a.png", previews: 0 },
                "gpt-image-2",
                Some("low"),
                "a cup",
                Some(53_000),
            )
            .await
            .unwrap()
        else {
            panic!("nobody paused the provider");
        };
        lease.record_failure(image.id, Some((call, false)), &fault).await.unwrap();
    }
    let counts = "code, jobs, images, calls, users, last_at <= now()";
    assert_eq!(
        rows(&project.owner, "failures_by_code", counts).await,
        ["(moderation_blocked,0,2,2,1,t)"],
        "seen before the job has ended"
    );
    lease.finish_job(false, None).await.unwrap();
    let calls = [
        call(user, "m", "now()", "quota_exhausted", "null"),
        call(user, "m", "now() - interval '25 hours'", "rate_limited", "null"),
        call(user, "m", "now()", "completed", "1"),
    ];
    project.owner.batch_execute(&calls.concat()).await.unwrap();
    let both = ["(moderation_blocked,1,2,2,1,t)", "(quota_exhausted,0,0,1,1,t)"];
    assert_eq!(rows(&project.owner, "failures_by_code", counts).await, both);
    let earlier = "update public.image_generation_jobs set finished_at = now() - interval '25 hours'";
    assert_eq!(run(&project.owner, earlier).await.unwrap(), 1);
    let left = ["(moderation_blocked,0,0,2,1,t)", "(quota_exhausted,0,0,1,1,t)"];
    assert_eq!(rows(&project.owner, "failures_by_code", counts).await, left, "its calls are a day old by themselves");
}

#[tokio::test]
async fn a_worker_is_silent_when_it_neither_reports_nor_holds_a_job() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let [busy, silent] = [Uuid::new_v4(), Uuid::new_v4()];
    for (id, name, state) in [
        (busy, "busy", "running"),
        (silent, "silent", "running"),
        (Uuid::new_v4(), "draining", "draining"),
        (Uuid::new_v4(), "stopped", "stopped"),
        (Uuid::new_v4(), "long gone", "stopped"),
    ] {
        report(&queue, id, name, state).await;
    }
    insert_job(&project.signed_in(user).await, user, &[]).await.unwrap();
    assert_eq!(queue.claim_jobs(busy, 1, LEASE).await.unwrap().len(), 1);
    let past = "update carousel_private.workers set seen_at = case name when 'long gone' then now() - interval '8 days' else now() - interval '2 minutes' end
        where name in ('busy', 'silent', 'stopped', 'long gone')";
    assert_eq!(run(&project.owner, past).await.unwrap(), 4);
    assert_eq!(
        rows(&project.owner, "worker_health", "name, health, running, concurrency, seen_ago = now() - seen_at").await,
        ["(busy,alive,1,8,t)", "(draining,draining,0,8,t)", "(silent,silent,0,8,t)", "(stopped,stopped,0,8,t)"]
    );
    report(&queue, silent, "silent", "running").await;
    assert!(rows(&project.owner, "worker_health", "name, health").await.contains(&"(silent,alive)".to_owned()));
}

#[tokio::test]
async fn spending_is_summed_by_day_and_by_user_and_month() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    // A session's time zone moves no call into another day.
    project.owner.batch_execute("set time zone 'Pacific/Auckland'").await.unwrap();
    let calls = [
        call(user, "a", "'2026-05-31 23:59:59+00'", "completed", "0.25"),
        call(user, "a", "'2026-06-01 00:00:00+00'", "completed", "0.50"),
        call(user, "a", "'2026-06-01 12:00:00+00'", "moderation_blocked", "null"),
        call(user, "b", "'2026-06-01 12:00:00+00'", "completed", "null"),
        call(other, "a", "'2026-06-01 23:59:59+00'", "completed", "1"),
        "update carousel_private.limits set max_usd_a_month = 20;".to_owned(),
        format!("insert into carousel_private.limits (user_id, max_usd_a_month) values ('{other}', null);"),
    ];
    project.owner.batch_execute(&calls.concat()).await.unwrap();
    let by_day = "day, model, calls, images, failed, open, unpriced, cost_usd";
    assert_eq!(
        rows(&project.owner, "spend_by_day", by_day).await,
        ["(2026-05-31,a,1,1,0,0,0,0.250000)", "(2026-06-01,a,3,2,1,0,0,1.500000)", "(2026-06-01,b,1,1,0,0,1,0)"]
    );
    let mut by_user = [
        format!("(2026-05-01,{user},1,1,1,0.250000,20.00)"),
        format!("(2026-06-01,{user},3,3,2,0.500000,20.00)"),
        format!("(2026-06-01,{other},1,1,1,1.000000,)"),
    ];
    by_user.sort();
    let columns = "month, user_id, jobs, calls, images, cost_usd, max_usd_a_month";
    assert_eq!(rows(&project.owner, "spend_by_user", columns).await, by_user);
}

#[tokio::test]
async fn an_open_call_is_running_only_while_its_worker_holds_the_job() {
    let project = Project::new().await;
    let (queue, user, worker) = (queue(&project), project.user().await, Uuid::new_v4());
    report(&queue, worker, "host-1", "running").await;
    insert_job(&project.signed_in(user).await, user, &[]).await.unwrap();
    let begin = async |worker| {
        let lease = queue.claim_jobs(worker, 1, LEASE).await.unwrap().pop().unwrap();
        let image = lease.start_job().await.unwrap().pop().unwrap();
        let name = format!("{worker}.png");
        lease
            .begin_call(
                image.id,
                Objects { name: &name, previews: 0 },
                "gpt-image-2",
                Some("low"),
                "a cup",
                Some(53_000),
            )
            .await
            .unwrap();
    };
    begin(worker).await;
    let columns = "state, worker, model, attempt, age = now() - started_at";
    assert_eq!(rows(&project.owner, "open_calls", columns).await, ["(running,host-1,gpt-image-2,1,t)"]);
    project
        .owner
        .batch_execute("update carousel_private.leases set leased_until = now() - interval '1 second'")
        .await
        .unwrap();
    let lost = "(\"perhaps paid for nothing\",host-1,gpt-image-2,1,t)";
    assert_eq!(rows(&project.owner, "open_calls", columns).await, [lost]);
    assert_eq!(queue.rescue_jobs(&[], false).await.unwrap(), 1);
    let second = Uuid::new_v4();
    begin(second).await;
    assert_eq!(
        rows(&project.owner, "open_calls", columns).await,
        [lost.to_owned(), format!("(running,{second},gpt-image-2,2,t)")],
        "another worker's call does not make the lost one run"
    );
}

#[tokio::test]
async fn postgres_and_the_worker_read_the_views_and_nobody_else() {
    let project = Project::new().await;
    let user = project.user().await;
    insert_job(&project.signed_in(user).await, user, &[]).await.unwrap();
    let worker = carousel_local::database::connect(&project.worker_url()).await.unwrap();
    let service = project.anonymous().await;
    service.batch_execute("set role service_role").await.unwrap();
    let clients = [project.anonymous().await, project.signed_in(user).await, service];
    for view in VIEWS {
        let count = format!("(select count(*) from carousel_private.{view})");
        assert_eq!(value(&worker, &count).await, value(&project.owner, &count).await, "{view}");
        for client in &clients {
            assert_eq!(run(client, &format!("select {count}")).await.unwrap_err().code, "42501", "{view}");
        }
    }
    assert_eq!(value(&worker, "select waiting from carousel_private.queue_health").await, "1");
    let unknown = "
        select string_agg(relname, ' ') from pg_class
        where relnamespace = 'carousel_private'::regnamespace and relkind = 'v'
            and (not relname = any ($1) or coalesce(not 'security_invoker=true' = any (reloptions), true))";
    let unknown: Option<String> = project.owner.query_one(unknown, &[&VIEWS.as_slice()]).await.unwrap().get(0);
    assert_eq!(unknown, None, "each view is tried here, and reads with its reader's rights");
}
