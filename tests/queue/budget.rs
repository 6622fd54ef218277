//! The rate and the pauses that all workers share.

use std::time::Duration;

use carousel::queue::{Begun, Fault};

use crate::project::Project;
use crate::{begin, claim, insert, objects, queue};

#[tokio::test]
async fn a_pause_stops_claims_and_calls_of_every_worker_and_is_looked_at_when_it_ends() {
    let project = Project::new().await;
    let (one, two) = (queue(&project), queue(&project));
    let user = project.user().await;
    insert(&project, user, "slide_prompts='{one,two}'").await;
    insert(&project, user, "").await;
    let running = claim(&one, 1).await.pop().unwrap();
    running.queue().pause_provider(Duration::from_secs(300), "the quota is spent").await.unwrap();
    running.queue().pause_provider(Duration::from_secs(1), "a shorter one").await.unwrap();
    assert!(claim(&two, 1).await.is_empty());
    let image = running.start_job().await.unwrap()[0];
    match running.begin_call(image.id, objects("a.png"), "gpt-image-2", None, "a cup", Some(53_000)).await.unwrap() {
        Begun::Paused(pause) => assert!(pause > Duration::from_secs(290), "{pause:?}"),
        other => panic!("the provider was to be left alone: {other:?}"),
    }
    let (_, next) = two.promote_jobs().await.unwrap();
    assert!(next.unwrap() > Duration::from_secs(290));
    let reason = "select paused_reason from carousel_private.provider_budget";
    assert_eq!(project.owner.query_one(reason, &[]).await.unwrap().get::<_, String>(0), "the quota is spent");
    project.owner.execute("update carousel_private.provider_budget set paused_until = null", &[]).await.unwrap();
    assert_eq!(claim(&two, 5).await.len(), 1);
    begin(&running, image.id).await.unwrap();
}

#[tokio::test]
async fn calls_of_all_workers_stand_in_one_row() {
    let project = Project::new().await;
    let (one, two) = (queue(&project), queue(&project));
    let user = project.user().await;
    insert(&project, user, "").await;
    insert(&project, user, "").await;
    one.set_rate(60).await.unwrap();
    let (first, second) = (claim(&one, 1).await.pop().unwrap(), claim(&two, 1).await.pop().unwrap());
    let before: time::OffsetDateTime = project.owner.query_one("select clock_timestamp()", &[]).await.unwrap().get(0);
    assert!(first.queue().reserve_call().await.unwrap() < Duration::from_millis(900), "the first call need not wait");
    for lease in [&second, &first, &second] {
        lease.queue().reserve_call().await.unwrap();
    }
    let next = "select next_at from carousel_private.provider_budget";
    let next: time::OffsetDateTime = project.owner.query_one(next, &[]).await.unwrap().get(0);
    assert!(next - before >= Duration::from_secs(4), "four calls at 60 a minute take four places of a second");
}

/// Begins a call with this model, and says what came of it.
async fn begin_with(lease: &carousel::queue::Lease, image: uuid::Uuid, model: &str) -> Begun {
    let name = format!("{}.png", uuid::Uuid::new_v4());
    lease.begin_call(image, objects(&name), model, Some("low"), "a cup", Some(53_000)).await.unwrap()
}

#[tokio::test]
async fn a_model_that_is_left_alone_keeps_only_the_jobs_that_have_chosen_it() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let queue = queue(&project);
    let (busy, other) = (project.user().await, project.user().await);
    let many = "insert into public.image_generation_jobs (user_id, prompt, source_paths, model)
        select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], 'old-model' from generate_series(1, 2000)";
    project.owner.execute(many, &[&busy]).await.unwrap();
    let mut running = claim(&queue, 2).await;
    let images = running[0].start_job().await.unwrap();
    running[0].queue().pause_model("old-model", Duration::from_secs(300), "rate_limited").await.unwrap();
    running[0].queue().pause_model("old-model", Duration::from_secs(10), "shorter").await.unwrap();
    assert!(
        matches!(begin_with(&running[0], images[0].id, "old-model").await, Begun::Paused(left) if left > Duration::from_secs(200))
    );
    assert!(matches!(begin_with(&running[0], images[0].id, "another").await, Begun::Call(_)));

    let first = insert(&project, other, "").await;
    let claimed = claim(&queue, 8).await;
    assert_eq!(claimed.iter().map(|lease| lease.job.id).collect::<Vec<_>>(), [first], "whoever waits in front");
    let waiting = "select concat_ws(' ', count(*), count(turn), bool_and(run_at > now() + interval '200 seconds')) from carousel_private.queue";
    let waiting: String = project.owner.query_one(waiting, &[]).await.unwrap().get(0);
    assert_eq!(waiting, "1998 0 t", "they are scheduled for the end of the pause, and no claim meets them again");

    // When it is over they are claimed as before.
    project.owner.execute("update carousel_private.model_pauses set paused_until = now()", &[]).await.unwrap();
    project.owner.execute("update carousel_private.queue set run_at = now()", &[]).await.unwrap();
    while queue.promote_jobs().await.unwrap().0 {}
    assert_eq!(claim(&queue, 8).await.len(), 8);
    drop(running.pop());
}

#[tokio::test]
async fn an_image_that_is_tried_in_vain_has_an_end_although_nothing_was_billed() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    for _ in 0..32 {
        let Begun::Call(call) = begin_with(&lease, image, "gpt-image-2").await else { panic!("it may be tried") };
        lease.queue().end_call(call, "quota_exhausted", None, true).await.unwrap();
    }
    match begin_with(&lease, image, "gpt-image-2").await {
        Begun::Refused { code, words } => {
            assert_eq!(code, "quota_exhausted");
            assert!(words.contains("32 times") && words.contains("retry"), "{words}");
        }
        other => panic!("it was tried often enough: {other:?}"),
    }
    // Asked for once more, it begins anew.
    lease.finish_job(false, Some(&Fault { code: "quota_exhausted", message: "no", request_id: None })).await.unwrap();
    let retry = "update public.image_generation_jobs set retry_requested_at = now() where id = $1";
    project.signed_in(user).await.execute(retry, &[&job]).await.unwrap();
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    assert!(matches!(begin_with(&lease, image, "gpt-image-2").await, Begun::Call(_)));
}
