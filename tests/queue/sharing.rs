//! Which job makes room for somebody else's.

use std::time::Duration;

use carousel::queue::{Lease, Queue};

use crate::project::Project;
use crate::{claim, insert, make_all, queue, text};

const SLICE: Duration = Duration::from_secs(30);

async fn asked(queue: &Queue, leases: &[Lease]) -> Option<i64> {
    let tokens: Vec<i64> = leases.iter().map(Lease::token).collect();
    queue.give_way(&tokens, SLICE).await.unwrap()
}

#[tokio::test]
async fn who_has_two_more_at_work_makes_room_and_who_has_one_more_does_not() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (busy, other) = (project.user().await, project.user().await);
    for _ in 0..3 {
        insert(&project, busy, "").await;
    }
    let mut leases = claim(&queue, 3).await;
    let fourth = insert(&project, busy, "").await;
    assert_eq!(asked(&queue, &leases).await, None, "only their owner waits");
    let client = project.signed_in(busy).await;
    client.execute("delete from public.image_generation_jobs where id = $1", &[&fourth]).await.unwrap();
    for _ in 0..3 {
        insert(&project, other, "").await;
    }
    let oldest = leases.iter().map(Lease::token).min();
    assert_eq!(asked(&queue, &leases).await, oldest, "three against none");
    assert_eq!(asked(&queue, &leases[..0]).await, None, "only the worker's own");
    leases.extend(claim(&queue, 1).await);
    assert_eq!(leases[3].job.user_id, other);
    assert!(asked(&queue, &leases).await.is_some_and(|token| token != leases[3].token()), "three against one");
    leases.extend(claim(&queue, 1).await);
    assert_eq!(leases[4].job.user_id, other);
    assert_eq!(asked(&queue, &leases).await, None, "three against two");
}

#[tokio::test]
async fn who_has_none_gets_the_slot_of_one_who_had_it_for_long() {
    let project = Project::new().await;
    let queue = queue(&project);
    let (one, other) = (project.user().await, project.user().await);
    let long = insert(&project, one, "").await;
    insert(&project, one, "").await;
    let mut leases = claim(&queue, 1).await;
    leases[0].start_job().await.unwrap();
    let next = insert(&project, other, "").await;
    assert_eq!(asked(&queue, &leases).await, None, "it has only begun");
    let age = "update carousel_private.leases set leased_at = now() - interval '31 seconds'";
    project.owner.execute(age, &[]).await.unwrap();
    assert_eq!(asked(&queue, &leases).await, Some(leases[0].token()));
    let pause = "insert into carousel_private.provider_budget (provider, paused_until) values ('openai', now() + interval '1 hour')
        on conflict (provider) do update set paused_until = excluded.paused_until";
    project.owner.execute(pause, &[]).await.unwrap();
    assert_eq!(asked(&queue, &leases).await, None, "nobody could use it");
    project.owner.execute("update carousel_private.provider_budget set paused_until = null", &[]).await.unwrap();

    // What made room comes after who it was for, and before its owner's others.
    leases.pop().unwrap().release_job(Duration::ZERO, "Waiting for its next turn").await.unwrap();
    let mut order = Vec::new();
    for _ in 0..2 {
        let lease = claim(&queue, 1).await.pop().unwrap();
        order.push(lease.job.id);
        make_all(&lease).await;
        lease.finish_job(false, None).await.unwrap();
    }
    assert_eq!(order, [next, long]);
    assert_eq!(text(&project, long, "attempt").await.as_deref(), Some("1"));
}
