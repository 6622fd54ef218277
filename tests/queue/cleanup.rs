//! Objects that are to leave the bucket.

use std::time::Duration;

use carousel::queue::{Begun, Error, Objects};
use uuid::Uuid;

use crate::project::Project;
use crate::{begin, begin_as, claim, insert, make, queue};

#[tokio::test]
async fn objects_of_deleted_images_are_written_down_for_removal() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "slide_prompts='{one,two}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    make(&lease, images[0].id).await.unwrap();
    begin(&lease, images[1].id).await.unwrap();
    for preview in ["first", "second"] {
        lease.record_preview(images[1].id, &format!("{user}/jobs/{}/{preview}.png", lease.job.id)).await.unwrap();
    }
    let replaced = queue.take_cleanup(10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(
        replaced.iter().map(|debris| debris.path.rsplit('/').next().unwrap()).collect::<Vec<_>>(),
        ["first.png"]
    );
    queue.end_cleanup(&[replaced[0].id]).await.unwrap();

    project.signed_in(user).await.execute("delete from public.image_generation_jobs", &[]).await.unwrap();
    let gone = queue.take_cleanup(10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(gone.len(), 2, "the image and the preview: {gone:?}");
    assert!(
        queue.take_cleanup(10, Duration::from_secs(60)).await.unwrap().is_empty(),
        "what is taken is hidden for a while"
    );
    assert!(matches!(make(&lease, images[1].id).await, Err(Error::Lost)));
}

/// Paths that wait for their removal, by name.
async fn doomed(project: &Project) -> Vec<String> {
    let names = "select split_part(path, '/', 4) from carousel_private.storage_cleanup order by 1";
    project.owner.query(names, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn the_sweep_takes_only_what_was_written_down_before_it_was_made() {
    let project = Project::new().await;
    let (queue, user, gone) = (queue(&project), project.user().await, Uuid::new_v4());
    insert(&project, user, "slide_prompts='{one,two,three}'").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    let folder = format!("{user}/jobs/{}", lease.job.id);
    make(&lease, images[0].id).await.unwrap();
    let call = |image: Uuid, name: &'static str, previews: u8| {
        lease.begin_call(image, Objects { name, previews }, "gpt-image-2", None, "a cup", Some(53_000))
    };
    let Begun::Call(ended) = call(images[1].id, "b.png", 2).await.unwrap() else { panic!("nobody paused it") };
    lease.queue().end_call(ended, "provider_error", None, false).await.unwrap();
    call(images[2].id, "c.png", 0).await.unwrap();
    let admin = project.admin().await;
    let recorded = format!("{folder}/{}.png", images[0].id);
    for path in [
        recorded.as_str(),
        &format!("{folder}/b.png"),
        &format!("{folder}/b-preview-2.png"),
        &format!("{folder}/c.png"),
        // Nobody wrote these down: the app has put them there, or an earlier version.
        "published/summer/1.png",
        "carousels/42/2.png",
        &format!("{user}/jobs/{}/1.png", lease.job.id),
        &format!("{user}/jobs/old/1.png"),
        &format!("{gone}/sources/a.png"),
        &format!("{user}/sources/a.png"),
    ] {
        let insert = "insert into storage.objects (bucket_id, name) values ('generated-carousels', $1)";
        admin.execute(insert, &[&path]).await.unwrap();
    }
    assert_eq!(queue.sweep_objects(Duration::from_secs(3600)).await.unwrap(), 0, "what is young may be on its way");
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(doomed(&project).await, ["b-preview-2.png", "b.png"], "c.png is being made");
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 0, "what is written down is not found again");
    // The worker is lost, and its job with it.
    admin.batch_execute("delete from carousel_private.leases").await.unwrap();
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(doomed(&project).await, ["b-preview-2.png", "b.png", "c.png"]);
}

#[tokio::test]
async fn what_a_call_has_made_is_found_when_its_job_was_deleted_meanwhile() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    let images = lease.start_job().await.unwrap();
    begin_as(&lease, images[0].id, &format!("{}.png", images[0].id)).await.unwrap();
    project.signed_in(user).await.execute("delete from public.image_generation_jobs", &[]).await.unwrap();
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 0, "there is nothing to remove");
    // A sweep that has passed the call does not look at it again.
    project.owner.batch_execute("update carousel_private.swept_calls set until = '-infinity'").await.unwrap();
    let path = format!("{user}/jobs/{}/{}.png", lease.job.id, images[0].id);
    let insert = "insert into storage.objects (bucket_id, name) values ('generated-carousels', $1)";
    project.admin().await.execute(insert, &[&path]).await.unwrap();
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 1);
}
