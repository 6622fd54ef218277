//! Source images go with the last row that names them, and stay when somebody still wants them.

use std::time::Duration;

use carousel::queue::{Queue, Settings};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, pid, run, until_it_waits, value};
use crate::project::Project;

const JOBS: &str = "public.image_generation_jobs";
const TEMPLATES: &str = "public.image_generation_templates";
/// Between two tries of a removal; nothing here waits for the second.
const PAUSE: Duration = Duration::from_secs(3600);

/// Names of the sources that are to go, and why, by name.
async fn doomed(project: &Project) -> String {
    let doomed = "
        select coalesce(string_agg(format('%s: %s', split_part(path, '/', 3), reason), ', ' order by path), '')
        from carousel_private.storage_cleanup";
    value(&project.owner, &format!("({doomed})")).await
}

/// Makes every removal due, and takes what is to be removed now: the names.
async fn taken(project: &Project, queue: &Queue) -> Vec<String> {
    project.owner.batch_execute("update carousel_private.storage_cleanup set due_at = now()").await.unwrap();
    let taken = queue.take_cleanup(100, PAUSE).await.expect("removals can be taken");
    let mut names: Vec<_> = taken.iter().map(|debris| debris.path.rsplit('/').next().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn queue(project: &Project) -> Queue {
    let database = project.worker_url().parse().expect("it is a connection string");
    Queue::new(&Settings { database, certificates: Vec::new(), connections: 1 }).expect("a pool can be made")
}

/// A template with these of the person's sources.
async fn template(client: &Client, user: Uuid, names: &[&str]) {
    let paths: Vec<_> = names.iter().map(|name| format!("{user}/sources/{name}")).collect();
    let insert = format!("insert into {TEMPLATES} (name, source_paths) values ('mine', $1)");
    client.execute(&insert, &[&paths]).await.expect("a template can be made");
}

/// A template and its end: from here on its source, `a.png`, is to go.
async fn ended_template(project: &Project) -> (Uuid, Client) {
    let user = project.user().await;
    let client = project.signed_in(user).await;
    template(&client, user, &["a.png"]).await;
    run(&client, &format!("delete from {TEMPLATES}")).await.unwrap();
    assert_eq!(doomed(project).await, "a.png: template deleted");
    (user, client)
}

#[tokio::test]
async fn a_deleted_template_takes_the_sources_that_nothing_else_names() {
    let project = Project::new().await;
    let (queue, user, other) = (queue(&project), project.user().await, project.user().await);
    let client = project.signed_in(user).await;
    // A generated picture can be a source as well, and goes with its own job.
    let mixed = format!(
        "array['{user}/sources/alone.png', '{user}/sources/shared.png', '{user}/sources/made.png', '{user}/jobs/x/1.png']"
    );
    run(&client, &format!("insert into {TEMPLATES} (name, source_paths) values ('first', {mixed})")).await.unwrap();
    template(&client, user, &["shared.png", "alone too.png"]).await;
    template(&project.signed_in(other).await, other, &["alone.png"]).await;
    let made = ("source_paths", "array['{user}/sources/made.png']");
    insert_job(&client, user, &[made]).await.unwrap();
    run(&client, &format!("delete from {TEMPLATES} where name = 'a cup'")).await.unwrap();
    assert_eq!(doomed(&project).await, "", "the job names it");

    run(&client, &format!("delete from {TEMPLATES} where name = 'first'")).await.unwrap();
    assert_eq!(
        doomed(&project).await,
        "alone.png: template deleted",
        "another person's file of that name is another file"
    );
    let path = value(&project.owner, "select path from carousel_private.storage_cleanup").await;
    assert_eq!(path, format!("{user}/sources/alone.png"));
    assert!(queue.take_cleanup(100, PAUSE).await.unwrap().is_empty(), "not at once");
    assert_eq!(taken(&project, &queue).await, ["alone.png"]);
    run(&client, &format!("delete from {TEMPLATES}")).await.unwrap();
    assert_eq!(
        doomed(&project).await,
        "alone too.png: template deleted, alone.png: template deleted, shared.png: template deleted"
    );
    run(&client, &format!("delete from {JOBS}")).await.unwrap();
    assert_eq!(taken(&project, &queue).await, ["alone too.png", "alone.png", "made.png", "shared.png"]);
}

#[tokio::test]
async fn the_sources_of_a_deleted_job_stay_with_their_template() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    insert_job(&client, user, &[]).await.unwrap();
    run(&client, &format!("delete from {JOBS}")).await.unwrap();
    assert_eq!(doomed(&project).await, "");
    // A job with sources that are not its template's was the last that named them.
    let template = format!("(select id from {TEMPLATES})");
    let own = ("source_paths", "array['{user}/sources/own.png', '{user}/sources/a.png']");
    insert_job(&client, user, &[("template_id", &template), own]).await.unwrap();
    run(&client, &format!("delete from {JOBS}")).await.unwrap();
    assert_eq!(doomed(&project).await, "own.png: job deleted");
}

#[tokio::test]
async fn a_source_that_a_row_names_again_is_not_removed() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (user, client) = ended_template(&project).await;
    insert_job(&client, user, &[]).await.unwrap();
    assert!(taken(&project, &queue).await.is_empty());
    assert_eq!(doomed(&project).await, "", "the removal is forgotten");

    run(&client, &format!("delete from {TEMPLATES}")).await.unwrap();
    run(&client, &format!("delete from {JOBS}")).await.unwrap();
    template(&client, user, &["b.png"]).await;
    run(&client, &format!("update {TEMPLATES} set source_paths = array['{user}/sources/a.png']")).await.unwrap();
    assert!(taken(&project, &queue).await.is_empty());
    assert_eq!(doomed(&project).await, "");
}

#[tokio::test]
async fn a_source_that_was_uploaded_anew_is_not_removed() {
    let project = Project::new().await;
    let queue = queue(&project);
    let object = "insert into storage.objects (bucket_id, name) values ('generated-carousels', $1 || '/sources/a.png')";
    for again in [true, false] {
        let user = project.user().await;
        let client = project.signed_in(user).await;
        client.execute(object, &[&user.to_string()]).await.unwrap();
        template(&client, user, &["a.png"]).await;
        run(&client, &format!("delete from {TEMPLATES}")).await.unwrap();
        if again {
            // As an upload with `upsert` does.
            assert_eq!(run(&client, "update storage.objects set version = 'second'").await.unwrap(), 1);
        }
        assert_eq!(taken(&project, &queue).await.is_empty(), again);
        assert_eq!(doomed(&project).await.is_empty(), again);
    }
}

#[tokio::test]
async fn a_removal_never_overtakes_the_row_that_is_being_written() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (user, client) = ended_template(&project).await;
    project.owner.batch_execute("update carousel_private.storage_cleanup set due_at = now()").await.unwrap();
    client.batch_execute("begin").await.unwrap();
    insert_job(&client, user, &[]).await.unwrap();
    assert!(queue.take_cleanup(100, PAUSE).await.unwrap().is_empty(), "it is left where it is, not forgotten");
    assert_eq!(doomed(&project).await, "a.png: template deleted");
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(taken(&project, &queue).await, ["a.png"], "it was not written after all");
}

#[tokio::test]
async fn a_row_that_names_a_source_on_its_way_out_is_refused() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (user, client) = ended_template(&project).await;
    let worker = carousel_local::database::connect(&project.worker_url()).await.unwrap();
    project.owner.batch_execute("update carousel_private.storage_cleanup set due_at = now()").await.unwrap();
    worker.batch_execute("begin").await.unwrap();
    let take = include_str!("../../sql/take_cleanup.sql");
    assert_eq!(worker.query(take, &[&100_i64, &PAUSE.as_secs_f64()]).await.unwrap().len(), 1);
    let inserting = pid(&client).await;
    let (_, refused) = tokio::join!(
        async {
            until_it_waits(&project.owner, inserting).await;
            worker.batch_execute("commit").await.unwrap();
        },
        insert_job(&client, user, &[])
    );
    let refusal = refused.expect_err("the object may be gone already");
    assert_eq!(refusal.to_string(), "23514 source_being_removed");
    assert!(refusal.hint.contains("under a new name"), "{refusal:?}");
    let again = format!("insert into {TEMPLATES} (name, source_paths) values ('mine', array['{user}/sources/a.png'])");
    assert_eq!(run(&client, &again).await.unwrap_err().to_string(), "23514 source_being_removed");
    for table in [JOBS, TEMPLATES] {
        assert_eq!(value(&client, &format!("select count(*) from {table}")).await, "0", "{table}");
    }
    let id: i64 = value(&project.owner, "select id from carousel_private.storage_cleanup").await.parse().unwrap();
    queue.end_cleanup(&[id]).await.unwrap();
    insert_job(&client, user, &[]).await.expect("what is gone may be uploaded again");
}

#[tokio::test]
async fn the_rows_of_a_deleted_account_say_which_sources_were_theirs() {
    let project = Project::new().await;
    let user = project.user().await;
    let client = project.signed_in(user).await;
    insert_job(&client, user, &[]).await.unwrap();
    template(&client, user, &["b.png"]).await;
    project.admin().await.execute("delete from auth.users where id = $1", &[&user]).await.unwrap();
    assert_eq!(value(&project.owner, &format!("select count(*) from {TEMPLATES}")).await, "0");
    let paths = "select string_agg(distinct split_part(path, '/', 3), ' ') from carousel_private.storage_cleanup";
    assert_eq!(value(&project.owner, paths).await, "a.png b.png");
}
