//! The rate and the pauses that all workers share.

use std::time::Duration;

use carousel::queue::Begun;

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
    running.pause_provider(Duration::from_secs(300), "the quota is spent").await.unwrap();
    running.pause_provider(Duration::from_secs(1), "a shorter one").await.unwrap();
    assert!(claim(&two, 1).await.is_empty());
    let image = running.start_job().await.unwrap()[0];
    match running.begin_call(image.id, objects("a.png"), "gpt-image-2", None, "a cup", Some(53_000)).await.unwrap() {
        Begun::Paused(pause) => assert!(pause > Duration::from_secs(290), "{pause:?}"),
        other => panic!("the provider was to be left alone: {other:?}"),
    }
    let (_, next) = two.stage_jobs().await.unwrap();
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
    assert!(first.reserve_call().await.unwrap() < Duration::from_millis(900), "the first call need not wait");
    for lease in [&second, &first, &second] {
        lease.reserve_call().await.unwrap();
    }
    let next = "select next_at from carousel_private.provider_budget";
    let next: time::OffsetDateTime = project.owner.query_one(next, &[]).await.unwrap().get(0);
    assert!(next - before >= Duration::from_secs(4), "four calls at 60 a minute take four places of a second");
}
