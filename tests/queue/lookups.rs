//! What the worker's statements read: their own rows, whatever the planner thinks of the tables.

use std::time::Duration;

use tokio_postgres::Client;

use crate::project::Project;
use crate::{claim, make_all, queue};

const WAITING: i64 = 3000;

/// Rows that were read so far, through indexes or without, of the tables that grow.
const READ: &str = "select sum(coalesce(seq_tup_read, 0) + coalesce(through_indexes, 0))::bigint
    from pg_stat_user_tables
    join (select relid, sum(idx_tup_read) as through_indexes from pg_stat_user_indexes group by relid) as index using (relid)
    where relname in ('image_generation_jobs', 'generated_carousel_images', 'queue', 'leases', 'provider_calls')";

#[tokio::test]
async fn jobs_that_the_planner_has_not_heard_of_are_not_read_for_each_other() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let users = [project.user().await, project.user().await, project.user().await];
    for table in [
        "public.image_generation_jobs",
        "public.generated_carousel_images",
        "carousel_private.queue",
        "carousel_private.leases",
        "carousel_private.provider_calls",
    ] {
        project
            .owner
            .batch_execute(&format!("alter table {table} set (autovacuum_enabled = off); analyze {table}"))
            .await
            .unwrap();
    }
    let watcher = project.admin().await;
    let queue = queue(&project);
    let insert = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
         select owner, 'a cup', array[owner || '/sources/a.png']
         from (select ($1::uuid[])[1 + number % 3] as owner from generate_series(1, $2::bigint) as number) as new";
    // The plans are made and kept while there is a single job.
    let admin = project.admin().await;
    admin.execute(insert, &[&users.as_slice(), &1_i64]).await.unwrap();
    for lease in claim(&queue, 8).await {
        make_all(&lease).await;
        lease.report_progress().await.unwrap();
        lease.finish_job(false, None).await.unwrap();
    }
    admin.execute(insert, &[&users.as_slice(), &WAITING]).await.unwrap();
    // As many calls were made before, for jobs that are gone.
    let calls = "insert into carousel_private.provider_calls (job_id, image_id, user_id, worker_id, attempt, model, finished_at, outcome)
        select gen_random_uuid(), gen_random_uuid(), $1, gen_random_uuid(), 1, 'gpt-image-2', now(), 'completed' from generate_series(1, $2::bigint)";
    admin.execute(calls, &[&users[0], &WAITING]).await.unwrap();
    drop(admin);
    let before = read(&watcher, "supabase_admin").await;
    for lease in claim(&queue, 8).await {
        make_all(&lease).await;
        lease.report_progress().await.unwrap();
        lease.finish_job(false, None).await.unwrap();
    }
    drop(queue);
    let rows = read(&watcher, "carousel_worker").await - before;
    assert!(rows < WAITING, "eight jobs read {rows} rows");
}

/// The rows read, once the other connections of this role are gone and have said what they read.
async fn read(watcher: &Client, role: &str) -> i64 {
    let there =
        "select from pg_stat_activity where datname = current_database() and usename = $1 and pid <> pg_backend_pid()";
    while !watcher.query(there, &[&role]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    watcher.query_one(READ, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn new_jobs_do_not_read_each_other() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let user = project.user().await;
    let watcher = project.admin().await;
    let jobs = "insert into public.image_generation_jobs (user_id, prompt, source_paths)
        select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'] from generate_series(1, $2::integer)";
    let client = project.admin().await;
    client.execute(jobs, &[&user, &3000]).await.unwrap();
    drop(client);
    let rows = read(&watcher, "supabase_admin").await;
    // Each job counts the 64 of its owner that have turns.
    assert!(rows < 100 * WAITING, "{WAITING} new jobs read {rows} rows");
}
