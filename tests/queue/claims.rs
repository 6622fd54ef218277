//! Who gets which job, and when.

use std::collections::HashSet;
use std::time::Duration;

use carousel::queue::Queue;
use uuid::Uuid;

use crate::project::Project;
use crate::{claim, insert, queue, text};

#[tokio::test]
async fn a_job_is_claimed_once_and_its_images_stand_there_at_once() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job =
        insert(&project, user, "variants, slide_prompts, aspect_ratios=2, '{one,two,three}', '{1:1,4:5,9:16}'").await;
    let leases = claim(&queue, 10).await;
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].job.id, job);
    assert!(claim(&queue, 10).await.is_empty());
    let images = leases[0].start_job().await.unwrap();
    assert_eq!(images.len(), 18);
    let places: HashSet<_> = images.iter().map(|image| (image.variant, image.slide, image.ratio)).collect();
    assert_eq!(places.len(), 18);
    let carousels = "select count(distinct carousel_id) from public.generated_carousel_images where job_id = $1";
    assert_eq!(project.owner.query_one(carousels, &[&job]).await.unwrap().get::<_, i64>(0), 6);
    assert_eq!(text(&project, job, "status").await.as_deref(), Some("processing"));
}

#[tokio::test]
async fn claims_go_round_the_users_and_a_users_priority_orders_only_their_own() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (busy, other) = (project.user().await, project.user().await);
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(insert(&project, busy, "").await);
    }
    let urgent = insert(&project, busy, "priority=100").await;
    let late = insert(&project, other, "").await;
    let mut order = Vec::new();
    while let Some(lease) = claim(&queue, 1).await.pop() {
        order.push(lease.job.id);
        lease.finish_job(true, None).await.unwrap();
    }
    let place = |job: Uuid| order.iter().position(|claimed| *claimed == job).unwrap();
    assert!(place(late) <= 1, "the other user's only job waits for at most one of the busy user's: {}", place(late));
    assert!(place(urgent) <= 1, "the urgent job goes before its owner's others: {}", place(urgent));
    assert!(jobs.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "equal jobs keep their order");
}

#[tokio::test]
async fn ten_thousand_jobs_of_one_user_do_not_delay_anothers_first() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let queue = queue(&project);
    let (busy, other) = (project.user().await, project.user().await);
    let many = format!(
        "insert into public.image_generation_jobs (prompt, source_paths)
         select 'a cup', array['{busy}/sources/a.png'] from generate_series(1, 500)"
    );
    let client = project.signed_in(busy).await;
    for _ in 0..20 {
        assert_eq!(client.execute(&many, &[]).await.unwrap(), 500);
    }
    let running = claim(&queue, 8).await;
    assert!(running.iter().all(|lease| lease.job.user_id == busy));
    let first = insert(&project, other, "").await;
    let next = claim(&queue, 2).await;
    assert!(next.iter().any(|lease| lease.job.id == first), "at most one goes before it of 9,992 that came earlier");
}

#[tokio::test]
async fn two_workers_never_get_the_same_job() {
    let project = Project::new().await;
    let (one, two) = (queue(&project), queue(&project));
    let user = project.user().await;
    for _ in 0..40 {
        insert(&project, user, "").await;
    }
    let take = async |queue: &Queue| {
        let mut taken = Vec::new();
        loop {
            let leases = claim(queue, 3).await;
            if leases.is_empty() {
                return taken;
            }
            taken.extend(leases.iter().map(|lease| lease.job.id));
        }
    };
    let (mut first, second) = tokio::join!(take(&one), take(&two));
    first.extend(second);
    let unique: HashSet<_> = first.iter().collect();
    assert_eq!((first.len(), unique.len()), (40, 40));
}

#[tokio::test]
async fn a_scheduled_job_is_not_claimed_before_its_time() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "run_at=now() + interval '1 hour'").await;
    let (staged, next) = queue.stage_jobs().await.unwrap();
    assert_eq!(staged, 0);
    assert!(next.unwrap() > Duration::from_secs(3500));
    assert!(claim(&queue, 1).await.is_empty());
    project.owner.execute("update carousel_private.queue set run_at = now()", &[]).await.unwrap();
    assert_eq!(queue.stage_jobs().await.unwrap().0, 1);
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.id, job);
}

#[tokio::test]
async fn a_cancelled_pending_job_is_never_claimed() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let job = insert(&project, user, "").await;
    let client = project.signed_in(user).await;
    client.execute("update public.image_generation_jobs set cancel_requested_at = now()", &[]).await.unwrap();
    assert!(claim(&queue, 1).await.is_empty());
    assert_eq!(text(&project, job, "status").await.as_deref(), Some("cancelled"));
    client.execute("update public.image_generation_jobs set retry_requested_at = now()", &[]).await.unwrap();
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.id, job);
}

/// A client may set the time to long ago, and would ring every alarm.
#[tokio::test]
async fn a_job_waits_since_it_could_be_worked_on_and_no_longer() {
    let project = Project::new().await;
    let user = project.user().await;
    let queue = queue(&project);
    insert(&project, user, "run_at='2001-01-01'").await;
    let measured = queue.measure_queue().await.unwrap();
    assert!(measured.pending == 1 && measured.oldest < Duration::from_secs(86_400), "{:?}", measured.oldest);
    // One that waits long is still told to.
    let hours = "update public.image_generation_jobs set created_at = now() - interval '3 days'";
    project.owner.execute(hours, &[]).await.unwrap();
    let measured = queue.measure_queue().await.unwrap();
    assert!(measured.oldest > Duration::from_secs(2 * 86_400), "{:?}", measured.oldest);
}
