//! Uploads that were written down: what nobody ever names goes after a day, and nothing else does.

use std::collections::BTreeSet;
use std::time::Duration;

use carousel::queue::{Queue, Settings};
use uuid::Uuid;

use crate::client::{insert_job, pid, run, until_it_waits, value};
use crate::project::Project;

const PAUSE: Duration = Duration::from_secs(3600);

fn queue(project: &Project) -> Queue {
    let database = project.worker_url().parse().expect("it is a connection string");
    Queue::new(&Settings { database, certificates: Vec::new(), connections: 1 }).expect("a pool can be made")
}

fn declare(user: Uuid, name: &str) -> String {
    format!("insert into public.carousel_uploads (path) values ('{user}/sources/{name}')")
}

/// An object that has just come into the bucket.
async fn stored(project: &Project, path: &str) {
    let insert = "insert into storage.objects (bucket_id, name) values ('generated-carousels', $1)";
    project.owner.execute(insert, &[&path]).await.unwrap();
}

/// Lets all that was written down and stored so far be older by this much.
async fn aged(project: &Project, age: &str) {
    let older = format!(
        "set session_replication_role = replica;
         update public.carousel_uploads
         set created_at = created_at - interval '{age}', renewed_at = renewed_at - interval '{age}';
         update storage.objects set created_at = created_at - interval '{age}', updated_at = updated_at - interval '{age}'"
    );
    project.admin().await.batch_execute(&older).await.unwrap();
}

/// The names of what the hourly sweep writes down for removal.
async fn swept(project: &Project, queue: &Queue) -> BTreeSet<String> {
    queue.sweep_objects(PAUSE).await.unwrap();
    let paths = project.owner.query("select path from carousel_private.storage_cleanup", &[]).await.unwrap();
    paths.iter().map(|row| row.get::<_, String>(0).rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_was_written_down_and_never_named_goes_after_a_day() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let client = project.signed_in(user).await;
    stored(&project, &format!("{user}/sources/before.png")).await;
    for name in ["forgotten.png", "a.png", "again.png", "never came.png", "late.png", "before.png"] {
        run(&client, &declare(user, name)).await.unwrap();
    }
    for name in ["forgotten.png", "a.png", "again.png", "theirs.png"] {
        stored(&project, &format!("{user}/sources/{name}")).await;
    }
    insert_job(&client, user, &[]).await.unwrap();
    aged(&project, "23 hours").await;
    assert!(swept(&project, &queue).await.is_empty(), "not before a day is over");
    aged(&project, "2 hours").await;
    run(&client, &declare(user, "again.png")).await.unwrap();
    stored(&project, &format!("{user}/sources/late.png")).await;
    assert_eq!(swept(&project, &queue).await, ["forgotten.png".to_owned()].into());
    let left =
        value(&client, "(select string_agg(split_part(path, '/', 3), ' ' order by path) from public.carousel_uploads)")
            .await;
    assert_eq!(
        left, "a.png again.png forgotten.png late.png",
        "what never came is forgotten, and what was there before"
    );

    let taken = queue.take_cleanup(10, PAUSE).await.unwrap();
    queue.end_cleanup(&[taken[0].id]).await.unwrap();
    assert_eq!(value(&client, "select count(*) from public.carousel_uploads where path like '%forgotten%'").await, "0");
    // What a row has named goes with the last that does.
    run(&client, "delete from public.image_generation_jobs").await.unwrap();
    run(&client, "delete from public.image_generation_templates").await.unwrap();
    assert_eq!(swept(&project, &queue).await, ["a.png".to_owned()].into());
}

#[tokio::test]
async fn only_ones_own_sources_can_be_written_down() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let client = project.signed_in(user).await;
    let attacks = [
        (declare(other, "a.png"), "42501 source_path_foreign"),
        (
            format!("insert into public.carousel_uploads (path) values ('{user}/jobs/a.png')"),
            "23514 declared_in_own_sources",
        ),
        (declare(user, "../jobs/a.png"), "23514 source_path_invalid"),
        ("insert into public.carousel_uploads (path) values (null)".to_owned(), "23514 source_path_invalid"),
        (
            "insert into public.carousel_uploads (path) values ('published/summer/1.png')".to_owned(),
            "42501 source_path_foreign",
        ),
        (
            format!("insert into public.carousel_uploads (path, user_id) values ('{other}/sources/a.png', '{other}')"),
            "42501",
        ),
        (
            format!(
                "insert into public.carousel_uploads (path, created_at) values ('{user}/sources/a.png', '2020-01-01')"
            ),
            "42501",
        ),
        ("update public.carousel_uploads set is_named = true".to_owned(), "42501"),
        ("delete from public.carousel_uploads".to_owned(), "42501"),
    ];
    run(&project.signed_in(other).await, &declare(other, "theirs.png")).await.unwrap();
    for (attack, refusal) in attacks {
        let refused = run(&client, &attack).await.expect_err(&attack).to_string();
        assert!(refused.starts_with(refusal), "{attack}: {refused}");
    }
    assert_eq!(value(&client, "select count(*) from public.carousel_uploads").await, "0", "another's is not seen");
    run(&project.anonymous().await, &declare(user, "a.png")).await.expect_err("nobody in particular has no folder");
}

#[tokio::test]
async fn what_one_person_writes_down_is_bounded() {
    let project = Project::new().await;
    let (user, other) = (project.user().await, project.user().await);
    let many = |user: Uuid, from: i32, to: i32| {
        format!(
            "insert into public.carousel_uploads (path) select '{user}/sources/' || n from generate_series({from}, {to}) as n"
        )
    };
    let client = project.signed_in(user).await;
    run(&client, &many(user, 1, 5000)).await.unwrap();
    assert_eq!(run(&client, &many(user, 5001, 5001)).await.unwrap_err().to_string(), "PT429 too_many_uploads");
    run(&client, &many(user, 1, 10)).await.expect("what is written down again is no other");
    run(&project.signed_in(other).await, &many(other, 1, 1)).await.expect("it is the other's first");
    aged(&project, "25 hours").await;
    run(&client, &many(user, 5001, 5001)).await.expect("another day");
}

#[tokio::test]
async fn a_removal_never_overtakes_an_upload_that_is_written_down_again() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let client = project.signed_in(user).await;
    run(&client, &declare(user, "a.png")).await.unwrap();
    stored(&project, &format!("{user}/sources/a.png")).await;
    aged(&project, "25 hours").await;
    assert_eq!(swept(&project, &queue).await.len(), 1);
    client.batch_execute("begin").await.unwrap();
    run(&client, &declare(user, "a.png")).await.unwrap();
    assert!(queue.take_cleanup(10, PAUSE).await.unwrap().is_empty(), "it is waited for");
    client.batch_execute("commit").await.unwrap();
    assert!(queue.take_cleanup(10, PAUSE).await.unwrap().is_empty(), "its day has begun anew");
    assert!(swept(&project, &queue).await.is_empty(), "the removal is forgotten");

    aged(&project, "25 hours").await;
    assert_eq!(swept(&project, &queue).await.len(), 1);
    let worker = carousel_local::database::connect(&project.worker_url()).await.unwrap();
    worker.batch_execute("begin").await.unwrap();
    let take = include_str!("../../sql/take_cleanup.sql");
    assert_eq!(worker.query(take, &[&100_i64, &PAUSE.as_secs_f64()]).await.unwrap().len(), 1);
    let declaring = pid(&client).await;
    let again = declare(user, "a.png");
    let (_, refused) = tokio::join!(
        async {
            until_it_waits(&project.owner, declaring).await;
            worker.batch_execute("commit").await.unwrap();
        },
        run(&client, &again)
    );
    assert_eq!(refused.expect_err("it may be gone already").to_string(), "23514 source_being_removed");
}

/// In a bucket that the app shares, a file in somebody's `sources` may be the app's, also when a job names it.
#[tokio::test]
async fn in_a_shared_bucket_only_what_was_written_down_is_removed() {
    for is_shared in [true, false] {
        let project = Project::new().await;
        let (queue, user) = (queue(&project), project.user().await);
        if is_shared {
            project.owner.batch_execute("insert into carousel_private.shared_bucket default values").await.unwrap();
        }
        let client = project.signed_in(user).await;
        stored(&project, &format!("{user}/sources/theirs.png")).await;
        for name in ["ours.png", "theirs.png"] {
            // Who writes down what the app had there before does not make it carousel's.
            run(&client, &declare(user, name)).await.unwrap();
        }
        stored(&project, &format!("{user}/sources/ours.png")).await;
        let both = ("source_paths", "array['{user}/sources/ours.png', '{user}/sources/theirs.png']");
        insert_job(&client, user, &[both]).await.unwrap();
        // The account goes, and its rows with it.
        project.admin().await.execute("delete from auth.users where id = $1", &[&user]).await.unwrap();
        let mut expected = BTreeSet::from(["ours.png".to_owned()]);
        expected.extend((!is_shared).then(|| "theirs.png".to_owned()));
        assert_eq!(swept(&project, &queue).await, expected, "shared: {is_shared}");
    }
}
