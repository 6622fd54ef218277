//! How often an image may be paid for: counted in the ledger, over workers and attempts.

use carousel::queue::{BILLED_TRIES, Begun, Lease, Queue};
use uuid::Uuid;

use crate::project::Project;
use crate::{begin, begin_as, claim, insert, objects, queue};

/// The job's next lease, its last one having run out.
async fn taken_over(project: &Project, queue: &Queue) -> Lease {
    let end = "update carousel_private.leases set leased_until = now() - interval '1 second'";
    project.owner.execute(end, &[]).await.unwrap();
    queue.rescue_jobs(&[], false).await.unwrap();
    claim(queue, 1).await.pop().expect("it waits for another worker")
}

async fn spent(lease: &Lease, image: Uuid) -> Option<Option<String>> {
    match lease.begin_call(image, objects("next.png"), "gpt-image-2", None, "a cup", Some(53_000)).await.unwrap() {
        Begun::Spent(outcome) => Some(outcome),
        _ => None,
    }
}

#[tokio::test]
async fn an_image_is_begun_twice_at_most_however_many_workers_are_lost_with_it() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "slide_prompts='{one,two}'").await;
    let mut lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    for before in 0..BILLED_TRIES {
        assert_eq!(begin(&lease, images[0].id).await.unwrap().billed, before);
        lease = taken_over(&project, &queue).await;
        lease.start_job().await.unwrap();
    }
    assert_eq!(spent(&lease, images[0].id).await, Some(None), "what became of the last one, nobody knows");
    let status = "select status from public.generated_carousel_images where id = $1";
    let status: String = project.owner.query_one(status, &[&images[0].id]).await.unwrap().get(0);
    assert_eq!(status, "pending", "nothing was begun");
    assert_eq!(begin(&lease, images[1].id).await.unwrap().billed, 0, "each image is counted for itself");
}

#[tokio::test]
async fn only_calls_that_may_have_been_billed_count_and_the_last_one_says_why() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    let limited = ("rate_limited", true);
    for (outcome, unbilled) in [limited, ("provider_timeout", false), limited, limited, ("answer_truncated", false)] {
        let call = begin(&lease, image).await.unwrap();
        lease.queue().end_call(call, outcome, None, unbilled).await.unwrap();
    }
    assert_eq!(spent(&lease, image).await, Some(Some("answer_truncated".to_owned())));
}

#[tokio::test]
async fn who_asks_for_a_job_once_more_may_have_its_images_paid_for_once_more() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    for _ in 0..BILLED_TRIES {
        let call = begin(&lease, image).await.unwrap();
        lease.queue().end_call(call, "answer_truncated", None, false).await.unwrap();
    }
    assert!(spent(&lease, image).await.is_some());
    lease.finish_job(false, None).await.unwrap();
    let retry = "update public.image_generation_jobs set retry_requested_at = now() where id = $1";
    project.signed_in(user).await.execute(retry, &[&job]).await.unwrap();
    let lease = claim(&queue, 1).await.pop().unwrap();
    lease.start_job().await.unwrap();
    assert_eq!(begin(&lease, image).await.unwrap().billed, 0);
}

#[tokio::test]
async fn a_call_that_is_written_down_again_after_a_lost_answer_is_the_same_call() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    let call = begin_as(&lease, image, "a.png").await.unwrap();
    assert_eq!(begin_as(&lease, image, "a.png").await.unwrap(), call);
    assert_eq!(call.billed, 0);
    let calls = "select count(*) from carousel_private.provider_calls";
    assert_eq!(project.owner.query_one(calls, &[]).await.unwrap().get::<_, i64>(0), 1);
}
