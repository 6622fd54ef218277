//! What a lost lease can still do: nothing.

use std::time::Duration;

use carousel::job::{Ending, Format, Size};
use carousel::queue::{Error, Fault, Recorded};

use crate::project::Project;
use crate::{LEASE, begin, claim, insert, make, make_all, objects, queue, text};

#[tokio::test]
async fn a_lost_lease_writes_nothing() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let stale = claim(&queue, 1).await.pop().unwrap();
    let image = stale.start_job().await.unwrap()[0];
    let call = begin(&stale, image.id).await.unwrap();
    project
        .owner
        .execute("update carousel_private.leases set leased_until = now() - interval '1 second'", &[])
        .await
        .unwrap();
    let own = queue.rescue_jobs(&[stale.token()], false).await.unwrap();
    assert_eq!(own, 0, "a worker that was cut off does not take its own jobs away");
    assert_eq!(queue.rescue_jobs(&[], false).await.unwrap(), 1);
    let fresh = claim(&queue, 1).await.pop().unwrap();
    assert_eq!((fresh.job.id, fresh.job.attempt), (job, 2));
    assert_eq!(fresh.start_job().await.unwrap(), [image], "an image in the making is made again");

    let before = text(&project, job, "image_generation_jobs").await;
    let made = Recorded {
        path: &format!("{user}/jobs/{job}/late.png"),
        thumbhash: "",
        size: Size { width: 1, height: 1 },
        bytes: 1,
        format: Format::Png,
        sha256: "00",
        usage: None,
        cost: None,
        duration: Duration::ZERO,
        request_id: None,
    };
    let fault = Fault { code: "late", message: "late", request_id: None };
    assert!(matches!(stale.record_image(image.id, call, &made).await, Err(Error::Lost)));
    assert!(matches!(stale.record_failure(image.id, Some((call, false)), &fault).await, Err(Error::Lost)));
    assert!(matches!(stale.record_preview(image.id, made.path).await, Err(Error::Lost)));
    assert!(matches!(
        stale.begin_call(image.id, objects("a.png"), "m", None, "p", Some(53_000)).await,
        Err(Error::Lost)
    ));
    assert!(matches!(stale.report_progress().await, Err(Error::Lost)));
    assert!(queue.renew_leases(&[stale.token()], LEASE).await.unwrap().is_empty());
    assert!(matches!(stale.finish_job(false, None).await, Err(Error::Lost)));
    assert_eq!(text(&project, job, "image_generation_jobs").await, before);
    make_all(&fresh).await;
    assert_eq!(fresh.finish_job(false, None).await.unwrap(), Ending::Completed);
}

#[tokio::test]
async fn a_released_job_gets_its_attempt_back_and_keeps_what_is_made() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    make(&lease, images[0].id).await.unwrap();
    begin(&lease, images[1].id).await.unwrap();
    lease.release_job(Duration::ZERO, "later").await.unwrap();
    let lease = claim(&queue, 1).await.pop().unwrap();
    assert_eq!(lease.job.attempt, 1);
    assert_eq!(lease.start_job().await.unwrap(), [images[1]]);
}

#[tokio::test]
async fn a_job_that_loses_its_workers_waits_again_with_an_attempt_more() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    for _ in 0..2 {
        claim(&queue, 1).await.pop().unwrap();
        project
            .owner
            .execute("update carousel_private.leases set leased_until = now() - interval '1 second'", &[])
            .await
            .unwrap();
        assert_eq!(queue.rescue_jobs(&[], false).await.unwrap(), 1);
    }
    assert_eq!(text(&project, job, "(status, stage, attempt)").await.unwrap(), "(pending,queued,2)");
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.attempt, 3);
}

/// It ends under the lease of whoever claims it.
#[tokio::test]
async fn a_job_that_loses_its_worker_is_still_not_wanted() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    lease.start_job().await.unwrap();
    let cancel = "update public.image_generation_jobs set cancel_requested_at = now() where id = $1";
    project.signed_in(user).await.execute(cancel, &[&job]).await.unwrap();
    let lapse = "update carousel_private.leases set leased_until = now() - interval '1 second'";
    project.owner.execute(lapse, &[]).await.unwrap();
    assert_eq!(queue.rescue_jobs(&[], false).await.unwrap(), 1);
    let lease = claim(&queue, 1).await.pop().unwrap();
    assert!(lease.cancel_requested);
    assert_eq!(lease.release_job(Duration::ZERO, "later").await.unwrap(), Some(Ending::Cancelled), "it ends instead");
    let shown = text(&project, job, "(status, message)").await.unwrap();
    assert_eq!(shown, "(cancelled,\"Cancelled with 0 of 1 images ready\")");
}

/// Whoever deletes a job, slowly, holds its lease as well.
#[tokio::test]
async fn a_lease_that_somebody_holds_keeps_no_other_from_being_renewed() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let (held, free) = (insert(&project, user, "").await, insert(&project, user, "").await);
    let tokens: Vec<i64> = claim(&queue, 2).await.iter().map(carousel::queue::Lease::token).collect();
    let left = async |job| {
        let left =
            "select extract(epoch from leased_until - now())::float8 from carousel_private.leases where job_id = $1";
        project.owner.query_one(left, &[&job]).await.unwrap().get::<_, f64>(0)
    };
    let client = project.admin().await;
    client.batch_execute("begin").await.unwrap();
    client.execute("delete from public.image_generation_jobs where id = $1", &[&held]).await.unwrap();
    let renewed = queue.renew_leases(&tokens, LEASE * 10).await.unwrap();
    assert_eq!(renewed.len(), 2, "as long as the deletion may be undone, the lease is not lost");
    assert!(left(free).await > LEASE.as_secs_f64() && left(held).await <= LEASE.as_secs_f64());
    client.batch_execute("commit").await.unwrap();
    let renewed = queue.renew_leases(&tokens, LEASE).await.unwrap();
    assert_eq!(renewed.len(), 1);
}
