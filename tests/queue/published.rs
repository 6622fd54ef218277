//! How much a transaction changes of what Realtime publishes: it reads a transaction as a whole.

use carousel::queue::Lease;
use futures::future::join_all;
use tokio_postgres::Client;

use crate::project::Project;
use crate::{claim, insert, make, queue};

/// Rows of a transaction, at most.
const MOST: i64 = 100;

/// Reads what the publication says, from here on.
struct Published(Client);

impl Published {
    async fn new(project: &Project) -> Self {
        let client = project.admin().await;
        // Temporary: it goes with its connection.
        let create = "select pg_create_logical_replication_slot('published_' || pg_backend_pid(), 'pgoutput', true)";
        client.query_one(create, &[]).await.expect("a slot can be made");
        Self(client)
    }

    /// Rows that each transaction changed since it was last asked.
    async fn changes(&self) -> Vec<i64> {
        let changes = "
            select count(*) filter (where get_byte(data, 0) in (ascii('I'), ascii('U'), ascii('D')))
            from pg_logical_slot_get_binary_changes(
                'published_' || pg_backend_pid(), null, null, 'proto_version', '1', 'publication_names', 'supabase_realtime'
            )
            group by xid::text
            having count(*) filter (where get_byte(data, 0) in (ascii('I'), ascii('U'), ascii('D'))) > 0";
        // What was committed is written to the log by this at the latest.
        let flush = "set synchronous_commit = on; select pg_logical_emit_message(true, 'flush', '')";
        self.0.batch_execute(flush).await.expect("a message can be written");
        self.0.query(changes, &[]).await.expect("the slot can be read").iter().map(|row| row.get(0)).collect()
    }
}

/// Jobs of `images` each, claimed.
async fn claimed(project: &Project, jobs: usize, images: usize) -> Vec<Lease> {
    let (queue, user) = (queue(project), project.user().await);
    for _ in 0..jobs {
        insert(project, user, &format!("slide_prompts=array_fill('a slide'::text, array[{images}])")).await;
    }
    let leases = claim(&queue, jobs).await;
    assert_eq!(leases.len(), jobs);
    leases
}

#[tokio::test]
async fn jobs_that_start_together_change_a_hundred_rows_a_transaction_at_most() {
    let project = Project::new().await;
    let leases = claimed(&project, 40, 16).await;
    let published = Published::new(&project).await;
    let started = join_all(leases.iter().map(Lease::start_job)).await;
    let changes = published.changes().await;
    assert_eq!(changes.iter().sum::<i64>(), 40 * 17);
    assert!(changes.iter().all(|changes| *changes <= MOST), "{changes:?}");
    assert!(changes.len() < 40, "and they still go together: {changes:?}");

    let images: Vec<_> = started.into_iter().map(|images| images.expect("the lease holds")).collect();
    let made =
        leases.iter().zip(&images).flat_map(|(lease, images)| images.iter().map(move |image| make(lease, image.id)));
    for made in join_all(made).await {
        made.expect("the lease holds");
    }
    join_all(leases.iter().map(Lease::report_progress)).await;
    join_all(leases.into_iter().map(|lease| lease.finish_job(false, None))).await;
    let changes = published.changes().await;
    assert_eq!(changes.iter().sum::<i64>(), 40 * (16 * 2 + 2));
    assert!(changes.iter().all(|changes| *changes <= MOST), "{changes:?}");
}

#[tokio::test]
async fn jobs_that_are_taken_back_together_change_a_hundred_rows_a_transaction_at_most() {
    let project = Project::new().await;
    let leases = claimed(&project, 30, 16).await;
    join_all(leases.iter().map(Lease::start_job)).await;
    // Both ends: half of them wait again with what was being made, half end with all that was not.
    project
        .owner
        .batch_execute(
            "update public.generated_carousel_images set status = 'generating';
             update carousel_private.leases set leased_until = now() - interval '1 second', attempt = 1 + 8 * (token % 2)::integer",
        )
        .await
        .unwrap();
    let published = Published::new(&project).await;
    let (queue, mut rescued) = (queue(&project), 0);
    loop {
        match queue.rescue_jobs(&[], false).await.unwrap() {
            0 => break,
            jobs => rescued += jobs,
        }
    }
    assert_eq!(rescued, 30);
    let changes = published.changes().await;
    assert_eq!(changes.iter().sum::<i64>(), 30 * 17);
    assert!(changes.iter().all(|changes| *changes <= MOST), "{changes:?}");
}

#[tokio::test]
async fn the_largest_job_is_written_alone() {
    let project = Project::new().await;
    let mut leases = claimed(&project, 3, 100).await;
    leases.extend(claimed(&project, 3, 1).await);
    let published = Published::new(&project).await;
    join_all(leases.iter().map(Lease::start_job)).await;
    let mut changes = published.changes().await;
    changes.sort_unstable();
    assert_eq!(changes[changes.len() - 3..], [101; 3], "a job and its images, of which it has a hundred at most");
    assert!(changes.iter().rev().skip(3).all(|changes| *changes <= MOST), "{changes:?}");
}
