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
async fn no_statement_reads_as_a_whole_what_grows_for_ever() {
    let project = Project::new().await;
    // The tables are empty and known to be: a plan that is made now is kept while they grow.
    project.owner.batch_execute("analyze").await.unwrap();
    let worker = carousel::local::database::connect(&project.worker_url()).await.unwrap();
    worker.batch_execute(carousel::queue::LOOK_UP).await.unwrap();
    let (mut scanned, mut whole) = (0, Vec::new());
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/sql")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let statement = std::fs::read_to_string(&path).unwrap();
        let explained = worker.simple_query(&format!("explain (generic_plan, format json) {statement}")).await.unwrap();
        let plan: String = explained
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        scans(&plan, &mut |scan| {
            let table = scan["Relation Name"].as_str().unwrap();
            if ["image_generation_jobs", "generated_carousel_images", "provider_calls"].contains(&table) {
                scanned += 1;
                if scan.get("Index Cond").is_none() {
                    whole.push(format!("{name}: {table} by {}", scan["Index Name"]));
                }
            }
        });
    }
    assert_eq!(whole, Vec::<String>::new());
    assert!(scanned > 20, "{scanned} scans were looked at");
}

/// Calls `each` with every node of a plan that scans a table.
fn scans(node: &serde_json::Value, each: &mut impl FnMut(&serde_json::Value)) {
    if node.get("Relation Name").is_some() && node["Node Type"].as_str().unwrap().contains("Scan") {
        each(node);
    }
    match node {
        serde_json::Value::Array(all) => all.iter().for_each(|node| scans(node, each)),
        serde_json::Value::Object(all) => all.values().for_each(|node| scans(node, each)),
        _ => {}
    }
}
