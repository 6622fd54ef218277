//! Objects that are to leave the bucket.

use std::collections::HashSet;
use std::time::Duration;

use carousel::queue::Error;
use uuid::Uuid;

use crate::project::Project;
use crate::{begin, claim, insert, make, make_all, queue};

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

#[tokio::test]
async fn the_sweep_finds_objects_without_a_row_and_those_of_deleted_accounts() {
    let project = Project::new().await;
    let (queue, user, gone) = (queue(&project), project.user().await, Uuid::new_v4());
    insert(&project, user, "").await;
    let lease = claim(&queue, 1).await.pop().unwrap();
    make_all(&lease).await;
    let job = lease.job.id;
    let recorded: String =
        project.owner.query_one("select storage_path from public.generated_carousel_images", &[]).await.unwrap().get(0);
    let paths = [
        (recorded, false),
        (format!("{user}/sources/a.png"), false),
        (format!("{user}/jobs/{job}/1-1-1x1-0000.png"), true),
        (format!("{user}/jobs/{}/1-1-1x1-0000.png", Uuid::new_v4()), true),
        (format!("{gone}/sources/a.png"), true),
    ];
    let admin = project.admin().await;
    for (path, _) in &paths {
        let insert = "insert into storage.objects (bucket_id, name) values ('generated-carousels', $1)";
        admin.execute(insert, &[path]).await.unwrap();
    }
    assert_eq!(queue.sweep_objects(Duration::from_secs(3600)).await.unwrap(), 0, "what is young may be on its way");
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 3);
    assert_eq!(queue.sweep_objects(Duration::ZERO).await.unwrap(), 0, "what is written down is not found again");
    let found = queue.take_cleanup(10, Duration::from_secs(60)).await.unwrap();
    let found: HashSet<_> = found.into_iter().map(|debris| debris.path).collect();
    assert_eq!(found, paths.iter().filter(|(_, lost)| *lost).map(|(path, _)| path.clone()).collect());
}
