//! Between the claim and the start a job is leased and still pending: what can happen to it there.

use std::time::Duration;

use carousel::job::Ending;
use carousel::queue::{Error, Fault};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::project::Project;
use crate::{claim, insert, make_all, queue, text};

async fn count(project: &Project, table: &str) -> i64 {
    project.owner.query_one(&format!("select count(*) from carousel_private.{table}"), &[]).await.unwrap().get(0)
}

async fn change(project: &Project, job: Uuid, change: &str) {
    let sql = format!("update public.image_generation_jobs set {change} where id = $1");
    assert_eq!(project.owner.execute(&sql, &[&job]).await.unwrap(), 1);
}

#[tokio::test]
async fn it_is_in_nobodys_reach_and_its_row_says_pending() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    assert_eq!(text(&project, job, "(status, stage, attempt)").await.unwrap(), "(pending,queued,0)");
    assert_eq!(lease.job.attempt, 1);
    assert_eq!((count(&project, "queue").await, count(&project, "leases").await), (0, 1));
    // The operator changes what would put it into the queue.
    change(&project, job, "priority = 5, run_at = now()").await;
    assert_eq!(count(&project, "queue").await, 0);
    assert!(claim(&queue, 1).await.is_empty());
    make_all(&lease).await;
    assert_eq!(text(&project, job, "(status, stage, attempt)").await.unwrap(), "(processing,fetching,1)");
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Completed);
}

#[tokio::test]
async fn cancelled_it_is_over_at_once_and_its_worker_finds_the_lease_lost() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let client = project.signed_in(user).await;
    client.execute("update public.image_generation_jobs set cancel_requested_at = now()", &[]).await.unwrap();
    assert_eq!(text(&project, job, "(status, attempt)").await.unwrap(), "(cancelled,0)");
    assert_eq!(count(&project, "leases").await, 0);
    assert!(matches!(lease.start_job().await, Err(Error::Lost)));
    assert!(matches!(lease.finish_job(true, None).await, Err(Error::Lost)));
    // And it can be asked for again.
    client.execute("update public.image_generation_jobs set retry_requested_at = now()", &[]).await.unwrap();
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.id, job);
}

#[tokio::test]
async fn deleted_it_takes_its_lease_along() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    project.signed_in(user).await.execute("delete from public.image_generation_jobs", &[]).await.unwrap();
    assert_eq!(count(&project, "leases").await, 0);
    assert!(matches!(lease.start_job().await, Err(Error::Lost)));
}

#[tokio::test]
async fn given_back_it_waits_as_if_nothing_had_been() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    claim(&queue, 1).await.pop().unwrap().release_job(Duration::ZERO, "Waiting for another worker").await.unwrap();
    assert_eq!(text(&project, job, "(status, stage, attempt)").await.unwrap(), "(pending,queued,0)");
    assert_eq!((count(&project, "queue").await, count(&project, "leases").await), (1, 0));
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.attempt, 1);
}

#[tokio::test]
async fn a_job_that_ends_before_it_was_started_says_why() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let fault = Fault { code: "source_missing", message: "It is not there.", request_id: None };
    assert_eq!(lease.finish_job(false, Some(&fault)).await.unwrap(), Ending::Failed);
    assert_eq!(text(&project, job, "(status, error_code, failed_images)").await.unwrap(), "(failed,source_missing,1)");
    assert_eq!((count(&project, "queue").await, count(&project, "leases").await), (0, 0));
}

#[tokio::test]
async fn started_twice_it_counts_one_attempt() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    // As after an answer that was lost.
    assert_eq!(lease.start_job().await.unwrap(), images);
    assert_eq!(text(&project, job, "attempt").await.as_deref(), Some("1"));
}

/// As after a cancellation, which does not wait for the answer to the start.
#[tokio::test]
async fn an_end_that_overtakes_the_start_takes_the_images_along() {
    let project = Project::new().await;
    let (queue, user, watcher) = (queue(&project), project.user().await, project.admin().await);
    for (fault, status) in
        [(None, "cancelled"), (Some(Fault { code: "internal", message: "It broke.", request_id: None }), "failed")]
    {
        let job = insert(&project, user, "slide_prompts='{one,two}'").await;
        let lease = claim(&queue, 1).await.pop().unwrap();
        let mut other = project.admin().await;
        let starting = other.transaction().await.unwrap();
        let values: [&(dyn ToSql + Sync); 2] = [&vec![job], &vec![lease.token()]];
        starting.query(include_str!("../../sql/start_job.sql"), &values).await.unwrap();
        let ending = tokio::spawn(async move { lease.finish_job(fault.is_none(), fault.as_ref()).await });
        crate::endings::until_waiting(&watcher, "Ends jobs").await;
        starting.commit().await.unwrap();
        ending.await.unwrap().unwrap();
        assert_eq!(text(&project, job, "status").await.as_deref(), Some(status));
        let images = "select array_agg(status) from public.generated_carousel_images where job_id = $1";
        let images: Vec<String> = project.owner.query_one(images, &[&job]).await.unwrap().get(0);
        assert_eq!(images, [status, status]);
    }
}
