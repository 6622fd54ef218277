//! How jobs end, and what is made again.

use std::pin::pin;

use carousel::job::Ending;
use carousel::queue::Fault;

use crate::project::Project;
use crate::{LEASE, begin, claim, insert, make, make_all, queue, record, text};

#[tokio::test]
async fn a_finished_job_has_counts_cost_and_usage() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    make_all(&lease).await;
    lease.report_progress().await.unwrap();
    assert_eq!(
        text(&project, job, "(stage, progress, completed_images, message)").await.unwrap(),
        r#"(generating,99,2,"2 of 2 images are done")"#
    );
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Completed);
    let row = text(&project, job, "(status, stage, progress, completed_images, failed_images, cost_usd, usage)")
        .await
        .unwrap();
    assert_eq!(
        row,
        r#"(completed,finished,100,2,0,0.106000,"{""out"": 20, ""total"": 60, ""text_in"": 10, ""image_in"": 30}")"#
    );
    let open = "select count(*) from carousel_private.provider_calls where finished_at is null";
    assert_eq!(project.owner.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0);
    let leases = "select count(*) from carousel_private.leases";
    assert_eq!(project.owner.query_one(leases, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_could_not_be_made_decides_between_partial_and_failed() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let fault = Fault { code: "moderation_blocked", message: "refused", request_id: None };
    for (made, ending) in [(1, Ending::Partial), (0, Ending::Failed)] {
        let job = insert(&project, user, "slide_prompts='{one,two}'").await;
        let lease = claim(&queue, 1).await.pop().unwrap();
        for (index, image) in lease.start_job().await.unwrap().into_iter().enumerate() {
            if index < made {
                make(&lease, image.id).await.unwrap();
            } else {
                lease.record_failure(image.id, None, &fault).await.unwrap();
            }
        }
        assert_eq!(lease.finish_job(false, None).await.unwrap(), ending);
        assert_eq!(text(&project, job, "error_code").await.as_deref(), Some("moderation_blocked"));
    }
}

#[tokio::test]
async fn a_job_without_readable_sources_fails_with_all_its_images() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let fault = Fault { code: "source_not_found", message: "there is no such object", request_id: None };
    assert_eq!(lease.finish_job(false, Some(&fault)).await.unwrap(), Ending::Failed);
    let row = text(&project, job, "(status, error_code, failed_images)").await.unwrap();
    assert_eq!(row, "(failed,source_not_found,2)");
}

#[tokio::test]
async fn the_wish_to_cancel_comes_back_with_the_renewal() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    lease.start_job().await.unwrap();
    let renewed = queue.renew_leases(&[lease.token()], LEASE).await.unwrap();
    assert!(!renewed[0].cancel_requested);
    project
        .signed_in(user)
        .await
        .execute("update public.image_generation_jobs set cancel_requested_at = now()", &[])
        .await
        .unwrap();
    assert!(queue.renew_leases(&[lease.token()], LEASE).await.unwrap()[0].cancel_requested);
    assert_eq!(lease.finish_job(true, None).await.unwrap(), Ending::Cancelled);
    assert_eq!(text(&project, job, "status").await.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_retry_makes_only_what_is_not_completed() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    make(&lease, images[0].id).await.unwrap();
    let fault = Fault { code: "server_error", message: "broken", request_id: None };
    lease.record_failure(images[1].id, None, &fault).await.unwrap();
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Partial);
    project
        .signed_in(user)
        .await
        .execute("update public.image_generation_jobs set retry_requested_at = now()", &[])
        .await
        .unwrap();
    let lease = claim(&queue, 1).await.pop().unwrap();
    assert_eq!(lease.start_job().await.unwrap(), [images[1]]);
    make_all(&lease).await;
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Completed);
    assert_eq!(text(&project, job, "(error_code is null and error_message is null)").await.as_deref(), Some("true"));
}

/// The statement that records an image, and the one that ends its job, at the same time: a cancelled job drops what it waits for, but
/// what the database has begun it carries out.
#[tokio::test]
async fn an_image_that_is_recorded_while_its_job_ends_is_counted() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    let call = begin(&lease, image).await.unwrap();

    // Who holds the call's row holds up the recording, which has its locks and has written the image.
    let (watcher, mut admin) = (project.admin().await, project.admin().await);
    let held_up = admin.transaction().await.unwrap();
    held_up.execute("select from carousel_private.provider_calls for update", &[]).await.unwrap();
    {
        let mut recording = pin!(record(&lease, image, call));
        tokio::select! {
            _ = &mut recording => panic!("the recording is held up"),
            () = until_waiting(&watcher, "Records finished images") => {}
        }
        // Here it is dropped.
    }
    let finishing = tokio::spawn(lease.finish_job(true, None));
    until_waiting(&watcher, "Ends jobs").await;
    held_up.commit().await.unwrap();
    assert_eq!(finishing.await.unwrap().unwrap(), Ending::Cancelled);
    let row = text(&project, job, "(completed_images, cost_usd, usage is not null)").await.unwrap();
    assert_eq!(row, "(1,0.053000,t)");
}

/// Returns when a statement that begins with this comment waits for a lock.
pub async fn until_waiting(watcher: &tokio_postgres::Client, words: &str) {
    let waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like $1";
    while watcher.query(waiting, &[&format!("-- {words}%")]).await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
