//! What a worker hears when it says that it lives.

use std::time::Duration;

use carousel::queue::{Queue, ToDo, WorkerReport};
use uuid::Uuid;

use crate::project::Project;
use crate::{begin, claim, insert, queue};

const NOTHING: ToDo = ToDo { lost_leases: false, removals: false, jobs: false, next: None };

async fn look(queue: &Queue, held: &[i64]) -> ToDo {
    let report = WorkerReport { id: Uuid::nil(), name: "a", concurrency: 8, running: 0, state: "running" };
    queue.heartbeat(&report, held).await.expect("a worker can say that it lives")
}

#[tokio::test]
async fn a_worker_that_checks_in_is_seen_and_hears_of_nothing_where_nothing_is() {
    let project = Project::new().await;
    let queue = queue(&project);
    assert_eq!(look(&queue, &[]).await, NOTHING);
    project.owner.execute("update carousel_private.workers set seen_at = 'epoch'", &[]).await.unwrap();
    assert_eq!(look(&queue, &[]).await, NOTHING);
    let seen = "select count(*) from carousel_private.workers where name = 'a' and seen_at > 'epoch'";
    assert_eq!(project.owner.query_one(seen, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn it_hears_of_jobs_that_can_be_claimed_and_of_those_that_will_be_due() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "run_at=now() + interval '1 hour'").await;
    let found = look(&queue, &[]).await;
    assert!(!found.jobs && found.next.unwrap() > Duration::from_secs(3500), "{found:?}");
    project.owner.execute("update carousel_private.queue set run_at = now()", &[]).await.unwrap();
    assert_eq!(look(&queue, &[]).await, ToDo { next: Some(Duration::ZERO), ..NOTHING });
    queue.promote_jobs().await.unwrap();
    assert_eq!(look(&queue, &[]).await, ToDo { jobs: true, ..NOTHING });
    let lease = claim(&queue, 1).await.pop().unwrap();
    insert(&project, user, "").await;
    lease.queue().pause_provider(Duration::from_secs(600), "test").await.unwrap();
    let found = look(&queue, &[]).await;
    assert!(!found.jobs && found.next.unwrap() > Duration::from_secs(500), "nothing is claimed in a pause: {found:?}");
}

#[tokio::test]
async fn it_hears_of_leases_that_ran_out_but_not_of_its_own() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    assert_eq!(look(&queue, &[]).await, NOTHING);
    project
        .owner
        .execute("update carousel_private.leases set leased_until = now() - interval '1 second'", &[])
        .await
        .unwrap();
    assert_eq!(look(&queue, &[lease.token()]).await, NOTHING);
    assert_eq!(look(&queue, &[]).await, ToDo { lost_leases: true, ..NOTHING });
}

#[tokio::test]
async fn it_hears_of_objects_that_are_to_go() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    begin(&lease, image).await.unwrap();
    lease.record_preview(image, &format!("{user}/jobs/{}/a.png", lease.job.id)).await.unwrap();
    project.signed_in(user).await.execute("delete from public.image_generation_jobs", &[]).await.unwrap();
    assert_eq!(look(&queue, &[]).await, ToDo { removals: true, ..NOTHING });
    assert_eq!(queue.take_cleanup(10, Duration::from_secs(60)).await.unwrap().len(), 1);
    assert_eq!(look(&queue, &[]).await, NOTHING);
}
