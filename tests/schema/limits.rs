//! What an operator writes into `carousel_private.limits` holds, in every way around it.

use uuid::Uuid;

use crate::client::{Refusal, insert_job, pid, run, until_it_waits, value};
use crate::project::Project;

/// Limits for this user, or for everyone: active jobs, images a day, dollars a month, as SQL.
async fn limit(project: &Project, user: Option<Uuid>, [jobs, images, dollars]: [&str; 3]) {
    let user = user.map_or("null".to_owned(), |user| format!("'{user}'"));
    let insert = format!(
        "insert into carousel_private.limits (user_id, max_active_jobs, max_images_a_day, max_usd_a_month)
         values ({user}, {jobs}, {images}, {dollars})
         on conflict (user_id) do update set max_active_jobs = excluded.max_active_jobs, max_images_a_day = excluded.max_images_a_day,
            max_usd_a_month = excluded.max_usd_a_month"
    );
    project.owner.batch_execute(&insert).await.unwrap();
}

/// PostgREST turns this SQLSTATE into the HTTP status 429.
fn assert_refused(refusal: &Refusal, code: &str, message: &str) {
    assert_eq!((refusal.to_string(), refusal.message.as_str()), (format!("PT429 {code}"), message));
    assert!(!refusal.hint.is_empty());
}

/// Ends a job as a worker that could make nothing would.
async fn fail(project: &Project, job: Uuid) {
    let end = format!(
        "update public.image_generation_jobs set status = 'failed', stage = 'finished', finished_at = now(), error_code = 'x' where id = '{job}'"
    );
    assert_eq!(run(&project.owner, &end).await.unwrap(), 1);
}

#[tokio::test]
async fn unfinished_jobs_are_limited_and_ended_ones_make_room() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let client = project.signed_in(user).await;
    limit(&project, None, ["2", "null", "null"]).await;
    insert_job(&client, user, &[]).await.unwrap();
    let job = insert_job(&client, user, &[("run_at", "now() + interval '1 day'")]).await.unwrap();
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(&refusal, "too_many_active_jobs", "you have 2 unfinished jobs, and your limit is 2");
    insert_job(&project.signed_in(other).await, other, &[]).await.expect("everybody has limits of their own");
    run(&client, &format!("update public.image_generation_jobs set cancel_requested_at = now() where id = '{job}'"))
        .await
        .unwrap();
    insert_job(&client, user, &[]).await.expect("a cancelled job makes room");
}

#[tokio::test]
async fn one_statement_with_many_jobs_is_held_to_the_limit_too() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    limit(&project, None, ["2", "5", "null"]).await;
    let many = |count: usize, slides: &str| {
        format!(
            "insert into public.image_generation_jobs (prompt, source_paths, slide_prompts)
             select 'a cup', array['{user}/sources/a.png'], '{slides}' from generate_series(1, {count})"
        )
    };
    let refusal = run(&client, &many(3, "{}")).await.unwrap_err();
    assert_refused(&refusal, "too_many_active_jobs", "you have 2 unfinished jobs, and your limit is 2");
    let refusal = run(&client, &many(2, "{one,two,three}")).await.unwrap_err();
    assert_refused(
        &refusal,
        "too_many_images_a_day",
        "this job's 3 images would make 6 in 24 hours, and your limit is 5",
    );
    assert_eq!(value(&client, "select count(*) from public.image_generation_jobs").await, "0", "all or nothing");
    run(&client, &many(2, "{one,two}")).await.unwrap();
}

#[tokio::test]
async fn a_persons_own_limits_stand_before_everyones() {
    let project = Project::new().await;
    let (user, generous) = (project.user().await, project.user().await);
    limit(&project, None, ["0", "null", "null"]).await;
    limit(&project, Some(generous), ["null", "null", "null"]).await;
    let refusal = insert_job(&project.signed_in(user).await, user, &[]).await.unwrap_err();
    assert_refused(&refusal, "too_many_active_jobs", "you have 0 unfinished jobs, and your limit is 0");
    insert_job(&project.signed_in(generous).await, generous, &[]).await.expect("null is no limit");
}

#[tokio::test]
async fn only_this_months_dollars_count() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    limit(&project, None, ["null", "null", "0.50"]).await;
    let spend = |dollars: &str, when: &str| call(user, Uuid::new_v4(), when, "'completed'", dollars);
    let start = "date_trunc('month', now() at time zone 'utc') at time zone 'utc'";
    project.owner.batch_execute(&spend("9", &format!("{start} - interval '1 second'"))).await.unwrap();
    project.owner.batch_execute(&spend("0.49", start)).await.unwrap();
    let job = insert_job(&client, user, &[]).await.unwrap();
    project.owner.batch_execute(&spend("0.01", "now()")).await.unwrap();
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(&refusal, "monthly_budget_spent", "this month's budget of 0.50 dollars is spent");

    // Nor is a retry a way around it.
    fail(&project, job).await;
    let retry = format!("update public.image_generation_jobs set retry_requested_at = now() where id = '{job}'");
    let refusal = run(&client, &retry).await.unwrap_err();
    assert_refused(&refusal, "monthly_budget_spent", "this month's budget of 0.50 dollars is spent");
}

#[tokio::test]
async fn a_retry_is_a_request_like_any_other() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(insert_job(&client, user, &[("slide_prompts", "'{one,two}'")]).await.unwrap());
        fail(&project, jobs[jobs.len() - 1]).await;
    }
    limit(&project, None, ["1", "3", "null"]).await;
    let retry =
        |job: Uuid| format!("update public.image_generation_jobs set retry_requested_at = now() where id = '{job}'");
    let refusal = run(&client, "update public.image_generation_jobs set retry_requested_at = now()").await.unwrap_err();
    assert_refused(&refusal, "too_many_active_jobs", "you have 1 unfinished jobs, and your limit is 1");
    run(&client, &retry(jobs[0])).await.unwrap();
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(&refusal, "too_many_active_jobs", "you have 1 unfinished jobs, and your limit is 1");
    fail(&project, jobs[0]).await;
    for _ in 0..2 {
        project.owner.batch_execute(&call(user, jobs[0], "now()", "'result_damaged'", "0.05")).await.unwrap();
    }
    let refusal = run(&client, &retry(jobs[1])).await.unwrap_err();
    assert_refused(
        &refusal,
        "too_many_images_a_day",
        "this job's 2 images would make 4 in 24 hours, and your limit is 3",
    );
    let made = "alter table public.image_generation_jobs disable trigger change_job;
        update public.image_generation_jobs set status = 'partial', completed_images = 1 where id = $1;
        alter table public.image_generation_jobs enable trigger change_job";
    project.owner.batch_execute(&made.replace("$1", &format!("'{}'", jobs[0]))).await.unwrap();
    run(&client, &retry(jobs[0])).await.expect("what is made is not asked for again");
}

/// A call of this user's for a job, begun then; it ended with this outcome and cost so much, as SQL.
fn call(user: Uuid, job: Uuid, when: &str, outcome: &str, dollars: &str) -> String {
    format!(
        "insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model, started_at, finished_at, outcome, cost_usd)
         select '{job}', id, '{user}', id, 1, 'm', {when}, case when {outcome} is not null then now() end, {outcome}, {dollars}
         from gen_random_uuid() as id;"
    )
}

#[tokio::test]
async fn calls_count_when_their_job_is_gone_and_those_that_cost_nothing_do_not() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    limit(&project, None, ["null", "2", "1"]).await;
    let job = insert_job(&client, user, &[("slide_prompts", "'{one,two}'")]).await.unwrap();
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(
        &refusal,
        "too_many_images_a_day",
        "this job's 1 images would make 3 in 24 hours, and your limit is 2",
    );
    project.owner.batch_execute(&call(user, job, "now()", "null", "null")).await.unwrap();
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(
        &refusal,
        "too_many_images_a_day",
        "this job's 1 images would make 3 in 24 hours, and your limit is 2",
    );
    run(&client, "delete from public.image_generation_jobs where id is not null").await.unwrap();
    let refusal = insert_job(&client, user, &[("slide_prompts", "'{one,two}'")]).await.unwrap_err();
    assert_refused(
        &refusal,
        "too_many_images_a_day",
        "this job's 2 images would make 3 in 24 hours, and your limit is 2",
    );

    // Nobody knows what became of it, so it counts for what it may have cost.
    limit(&project, None, ["null", "null", "0.25"]).await;
    let refusal = insert_job(&client, user, &[]).await.unwrap_err();
    assert_refused(&refusal, "monthly_budget_spent", "this month's budget of 0.25 dollars is spent");
    let unbilled =
        "update carousel_private.provider_calls set unbilled = true, finished_at = now(), outcome = 'rate_limited'";
    project.owner.batch_execute(unbilled).await.unwrap();
    limit(&project, None, ["null", "2", "0.25"]).await;
    insert_job(&client, user, &[("slide_prompts", "'{one,two}'")]).await.expect("that cost nothing");
}

#[tokio::test]
async fn a_key_whose_job_is_being_deleted_passes_no_limit() {
    let project = Project::new().await;
    let user = project.user().await;
    let (one, two) = (project.signed_in(user).await, project.signed_in(user).await);
    let key = [("idempotency_key", "'order'")];
    let job = insert_job(&one, user, &key).await.unwrap();
    let id = format!("'{job}'");
    limit(&project, None, ["0", "null", "null"]).await;
    let refusal = insert_job(&two, user, &key).await.unwrap_err();
    assert_eq!(refusal.code, "23505", "while it is there, it is found by its key");
    let second = pid(&two).await;
    for columns in [key, [("id", id.as_str())]] {
        one.batch_execute("begin; delete from public.image_generation_jobs where id is not null").await.unwrap();
        let (_, asked) = tokio::join!(
            async {
                until_it_waits(&project.owner, second).await;
                one.batch_execute("commit").await.unwrap();
            },
            insert_job(&two, user, &columns)
        );
        assert_refused(&asked.unwrap_err(), "too_many_active_jobs", "you have 0 unfinished jobs, and your limit is 0");
        limit(&project, None, ["null", "null", "null"]).await;
        insert_job(&one, user, &[("id", id.as_str()), key[0]]).await.unwrap();
        limit(&project, None, ["0", "null", "null"]).await;
    }
}

#[tokio::test]
async fn a_new_project_has_limits_and_another_keeps_its_own() {
    let project = Project::new().await;
    let told = "select string_agg(format('%s %s %s %s', user_id, max_active_jobs, max_images_a_day, max_usd_a_month), ';') from carousel_private.limits";
    assert_eq!(
        value(&project.owner, &told.replacen("select ", "(select ", 1).replace("limits", "limits)")).await,
        " 500 1000 "
    );
    let (_, _, text) =
        carousel::migrations::MIGRATIONS.iter().find(|(_, name, _)| *name == "limits_of_the_ledger").unwrap();
    let default = &text[text.find("do $$").expect("it decides there")..];
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let user = project.user().await;
    insert_job(&project.signed_in(user).await, user, &[]).await.unwrap();
    project.owner.batch_execute(default).await.unwrap();
    assert_eq!(
        value(&project.owner, "(select count(*) from carousel_private.limits)").await,
        "0",
        "it had none, and jobs"
    );
}

#[tokio::test]
async fn two_requests_at_once_can_not_pass_a_limit_together() {
    let project = Project::new().await;
    let user = project.user().await;
    let (one, two) = (project.signed_in(user).await, project.signed_in(user).await);
    let job = insert_job(&one, user, &[]).await.unwrap();
    fail(&project, job).await;
    limit(&project, None, ["1", "null", "null"]).await;
    let second = pid(&two).await;
    let retry = format!("update public.image_generation_jobs set retry_requested_at = now() where id = '{job}'");
    for retried in [false, true] {
        one.batch_execute("begin").await.unwrap();
        insert_job(&one, user, &[]).await.unwrap();
        let (_, outcome) = tokio::join!(
            async {
                until_it_waits(&project.owner, second).await;
                one.batch_execute("commit").await.unwrap();
            },
            async {
                if retried { run(&two, &retry).await.map(drop) } else { insert_job(&two, user, &[]).await.map(drop) }
            }
        );
        assert_refused(
            &outcome.unwrap_err(),
            "too_many_active_jobs",
            "you have 1 unfinished jobs, and your limit is 1",
        );
        run(&one, "delete from public.image_generation_jobs where status = 'pending'").await.unwrap();
    }
}
