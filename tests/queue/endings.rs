//! How jobs end, and what is made again.

use carousel::job::{Ending, Stage};
use carousel::queue::Fault;

use crate::project::Project;
use crate::{LEASE, claim, insert, make, make_all, queue, text};

#[tokio::test]
async fn a_finished_job_has_counts_cost_and_usage() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    lease.report_progress(Stage::Generating).await.unwrap();
    make_all(&lease).await;
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
        for (index, image) in lease.list_images().await.unwrap().into_iter().enumerate() {
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
    let images = lease.list_images().await.unwrap();
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
    assert_eq!(lease.list_images().await.unwrap(), [images[1]]);
    make_all(&lease).await;
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Completed);
    assert_eq!(text(&project, job, "(error_code is null and error_message is null)").await.as_deref(), Some("true"));
}
