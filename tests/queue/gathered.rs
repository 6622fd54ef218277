//! Writes of many jobs in one statement: each gets its own answer, and none suffers for another.

use carousel::job::Ending;
use carousel::queue::{Error, Lease};
use futures::future::join_all;

use crate::project::Project;
use crate::{begin, claim, insert, make, make_all, objects, queue, text};

/// So many jobs, claimed and started.
async fn started(project: &Project, jobs: usize) -> Vec<Lease> {
    let (queue, user) = (queue(project), project.user().await);
    for _ in 0..jobs {
        insert(project, user, "").await;
    }
    let mut leases = Vec::new();
    while leases.len() < jobs {
        leases.extend(claim(&queue, jobs - leases.len()).await);
    }
    for images in join_all(leases.iter().map(Lease::start_job)).await {
        assert_eq!(images.unwrap().len(), 1);
    }
    leases
}

async fn statements(project: &Project) -> i64 {
    let sql = "select count(distinct xmin::text) from public.generated_carousel_images";
    project.owner.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn writes_that_come_together_go_together_and_each_gets_its_own_answer() {
    let project = Project::new().await;
    let leases = started(&project, 40).await;
    assert!(statements(&project).await < 40, "the starts of forty jobs were fewer transactions");
    join_all(leases.iter().map(make_all)).await;
    assert!(statements(&project).await < 40, "the recordings of forty images were fewer transactions");
    let wrong = "select count(*) from public.generated_carousel_images image
         join carousel_private.provider_calls call on call.image_id = image.id
         where image.status <> 'completed' or call.job_id <> image.job_id or call.outcome <> 'completed'
            or image.storage_path <> format('%s/jobs/%s/%s.png', image.user_id, image.job_id, image.id)";
    assert_eq!(project.owner.query_one(wrong, &[]).await.unwrap().get::<_, i64>(0), 0);
    for ending in join_all(leases.into_iter().map(|lease| lease.finish_job(false, None))).await {
        assert_eq!(ending.unwrap(), Ending::Completed);
    }
}

#[tokio::test]
async fn a_lost_lease_among_others_loses_only_its_own_write() {
    let project = Project::new().await;
    let leases = started(&project, 12).await;
    let lost = leases[5].job.id;
    project.owner.execute("delete from public.image_generation_jobs where id = $1", &[&lost]).await.unwrap();
    for (lease, reported) in leases.iter().zip(join_all(leases.iter().map(Lease::report_progress)).await) {
        assert_eq!(matches!(reported, Err(Error::Lost)), lease.job.id == lost, "{reported:?}");
    }
}

#[tokio::test]
async fn a_write_that_the_database_refuses_fails_alone() {
    let project = Project::new().await;
    let leases = started(&project, 12).await;
    let images: Vec<_> =
        join_all(leases.iter().map(Lease::start_job)).await.into_iter().map(|images| images.unwrap()[0].id).collect();
    let wishes = leases.iter().zip(&images).enumerate().map(|(index, (lease, image))| {
        // A text that PostgreSQL can't hold.
        let prompt = if index == 5 { "a\0cup" } else { "a cup" };
        lease.begin_call(*image, objects("a.png"), "gpt-image-2", None, prompt, Some(53_000))
    });
    for (index, begun) in join_all(wishes).await.into_iter().enumerate() {
        assert_eq!(matches!(begun, Err(Error::Refused(_))), index == 5, "{begun:?}");
    }
}

#[tokio::test]
async fn a_row_that_somebody_holds_keeps_nobody_elses_job_waiting() {
    let project = Project::new().await;
    let leases = started(&project, 12).await;
    let held = leases[5].job.id;
    let mut admin = project.admin().await;
    let holding = admin.transaction().await.unwrap();
    holding.execute("select from public.image_generation_jobs where id = $1 for update", &[&held]).await.unwrap();
    let (others, mut waiting): (Vec<_>, Vec<_>) = leases.into_iter().partition(|lease| lease.job.id != held);
    let waiting = waiting.pop().unwrap();
    let waits = tokio::spawn(async move { (waiting.report_progress().await, waiting) });
    // Each of these ends while the row is held, or this test never does.
    for lease in &others {
        make_all(lease).await;
    }
    for ending in join_all(others.into_iter().map(|lease| lease.finish_job(false, None))).await {
        assert_eq!(ending.unwrap(), Ending::Completed);
    }
    assert!(!waits.is_finished());
    holding.commit().await.unwrap();
    let (reported, lease) = waits.await.unwrap();
    reported.unwrap();
    let image = lease.start_job().await.unwrap()[0].id;
    make(&lease, image).await.unwrap();
    assert_eq!(lease.finish_job(false, None).await.unwrap(), Ending::Completed);
}

#[tokio::test]
async fn a_write_whose_caller_is_gone_does_not_hold_up_the_others() {
    let project = Project::new().await;
    let leases = started(&project, 12).await;
    let mut admin = project.admin().await;
    let holding = admin.transaction().await.unwrap();
    holding.execute("lock table carousel_private.provider_calls in exclusive mode", &[]).await.unwrap();
    let image = leases[0].start_job().await.unwrap()[0].id;
    let watcher = project.admin().await;
    tokio::select! {
        begun = begin(&leases[0], image) => panic!("nothing can be written down: {begun:?}"),
        () = crate::endings::until_waiting(&watcher, "Writes down that paid calls") => {}
    }
    holding.commit().await.unwrap();
    join_all(leases.iter().map(make_all)).await;
    let job = leases[0].job.id;
    leases.into_iter().next().unwrap().finish_job(false, None).await.unwrap();
    assert_eq!(text(&project, job, "status").await.as_deref(), Some("completed"));
}
