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
    let (more, next) = queue.promote_jobs().await.unwrap();
    assert!(!more);
    assert!(next.unwrap() > Duration::from_secs(3500));
    assert!(claim(&queue, 1).await.is_empty());
    project.owner.execute("update carousel_private.queue set run_at = now()", &[]).await.unwrap();
    assert_eq!(queue.promote_jobs().await.unwrap(), (false, None));
    assert_eq!(claim(&queue, 1).await.pop().unwrap().job.id, job);
}

#[tokio::test]
async fn many_that_are_due_together_take_their_turns_some_at_a_time() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let (queue, user) = (queue(&project), project.user().await);
    let later = "insert into public.image_generation_jobs (user_id, prompt, source_paths, run_at)
        select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], now() + interval '1 hour' from generate_series(1, 250)";
    project.owner.execute(later, &[&user]).await.unwrap();
    project.owner.execute("update carousel_private.queue set run_at = now()", &[]).await.unwrap();
    // One that somebody holds keeps no other, and is not asked for again and again.
    let somebody = project.admin().await;
    somebody.batch_execute("begin; select from carousel_private.queue limit 1 for update").await.unwrap();
    let mut statements = 1;
    while queue.promote_jobs().await.unwrap().0 {
        statements += 1;
    }
    assert_eq!(statements, 3);
    let waiting = "select count(*) from carousel_private.queue where turn is null";
    assert_eq!(project.owner.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 1);
    somebody.batch_execute("rollback").await.unwrap();
    queue.promote_jobs().await.unwrap();
    assert_eq!(project.owner.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0), 0);
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

/// Jobs whose turns are not yet given, or behind all turns.
const BEHIND: &str = "select count(*) from carousel_private.queue where turn >= 4611686018427387904";

/// Inserts as many jobs of one image as the table's owner may, due at once, and says what this wrote to the queue.
async fn insert_many(project: &Project, user: Uuid, jobs: i32, priority: i32) -> i64 {
    let writes = "select n_tup_upd::bigint from pg_stat_user_tables where relname = 'queue'";
    let flush = "select pg_stat_force_next_flush()";
    project.owner.execute(flush, &[]).await.unwrap();
    let before: i64 = project.owner.query_one(writes, &[]).await.unwrap().get(0);
    let many = "insert into public.image_generation_jobs (user_id, prompt, source_paths, priority)
        select $1::uuid, 'a cup', array[$1::uuid || '/sources/a.png'], $3::integer from generate_series(1, $2::integer)";
    project.owner.execute(many, &[&user, &jobs, &priority]).await.unwrap();
    project.owner.execute(flush, &[]).await.unwrap();
    project.owner.query_one(writes, &[]).await.unwrap().get::<_, i64>(0) - before
}

#[tokio::test]
async fn a_job_that_goes_before_thousands_shifts_few_of_them() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let (queue, user) = (queue(&project), project.user().await);
    insert_many(&project, user, 3000, -100).await;
    let writes = insert_many(&project, user, 300, 100).await;
    assert!(writes < 300 * 2 + 64 * 64, "{writes} rows were written for 300 jobs");
    // The order is what it would be if all had turns.
    let mut order = Vec::new();
    while order.len() < 700 {
        // Those of one claim come in no order.
        for lease in claim(&queue, 1).await {
            order.push(lease.job.id);
            lease.finish_job(true, None).await.unwrap();
        }
    }
    let priorities = "select array_agg(priority order by place)
        from unnest($1::uuid[]) with ordinality as claimed (id, place) join public.image_generation_jobs using (id)";
    let priorities: Vec<i32> = project.owner.query_one(priorities, &[&order]).await.unwrap().get(0);
    assert!(priorities[..300].iter().all(|priority| *priority == 100), "{priorities:?}");
    assert!(priorities[300..].iter().all(|priority| *priority == -100), "{priorities:?}");
}

#[tokio::test]
async fn jobs_behind_all_turns_move_up_as_others_leave_and_keep_their_order() {
    let project = Project::new().await;
    let (queue, user) = (queue(&project), project.user().await);
    let mut jobs = Vec::new();
    for number in 0..120 {
        jobs.push(insert(&project, user, &format!("title='{number}'")).await);
    }
    let behind = async || project.owner.query_one(BEHIND, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(behind().await, 56);
    // By a cancellation, when fewer than half of them have a turn: each claim would count them otherwise.
    for turn in 0..4 {
        let next = claim(&queue, 8).await;
        assert!(
            next.iter().all(|lease| jobs[8 * turn..8 * turn + 8].contains(&lease.job.id)),
            "the oldest are the first"
        );
        assert_eq!(behind().await, 56);
    }
    let client = project.signed_in(user).await;
    let cancel = "update public.image_generation_jobs set cancel_requested_at = now() where id = $1";
    client.execute(cancel, &[&jobs[33]]).await.unwrap();
    assert_eq!(behind().await, 23);
    // One more is the last, and another in haste is the next.
    let last = insert(&project, user, "priority=-1").await;
    let urgent = insert(&project, user, "priority=1").await;
    assert_eq!(behind().await, 25, "what made way stands behind as well");
    // By a claim ...
    let mut order = Vec::new();
    while order.len() < 32 {
        order.push(claim(&queue, 1).await.pop().expect("there are more").job.id);
    }
    assert_eq!(behind().await, 25);
    order.push(claim(&queue, 1).await.pop().expect("there are more").job.id);
    assert_eq!(behind().await, 0);
    // ... and by a deletion.
    for number in 0..70 {
        jobs.push(insert(&project, user, &format!("title='{number}'")).await);
    }
    let crowd = behind().await;
    client.execute("delete from public.image_generation_jobs where id = any ($1)", &[&&jobs[70..105]]).await.unwrap();
    assert_eq!(behind().await, crowd - 35);
    jobs.drain(70..105);
    while let Some(lease) = claim(&queue, 1).await.pop() {
        order.push(lease.job.id);
    }
    let mut expected = vec![urgent, jobs[32]];
    expected.extend(&jobs[34..]);
    expected.push(last);
    assert_eq!(order, expected);
}

#[tokio::test]
async fn who_has_more_jobs_than_turns_still_takes_turns_with_others() {
    let project = Project::new().await;
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let queue = queue(&project);
    let (one, two) = (project.user().await, project.user().await);
    insert_many(&project, one, 500, 0).await;
    // All that have turns are gone before the other comes.
    for lease in claim(&queue, 64).await {
        lease.finish_job(true, None).await.unwrap();
    }
    insert_many(&project, two, 500, 0).await;
    let mut order = Vec::new();
    while order.len() < 400 {
        for lease in claim(&queue, 8).await {
            order.push(lease.job.user_id);
            lease.finish_job(true, None).await.unwrap();
        }
    }
    let share = |part: &[Uuid]| part.iter().filter(|user| **user == one).count();
    for part in order.chunks(100) {
        assert!((40..=60).contains(&share(part)), "one has {} of 100", share(part));
    }
}

#[tokio::test]
async fn who_has_nothing_running_goes_before_who_has() {
    let project = Project::new().await;
    let queue = queue(&project);
    // By chance, the other's id would come first as often as not.
    for _ in 0..8 {
        let (busy, other) = (project.user().await, project.user().await);
        for _ in 0..10 {
            insert(&project, busy, "").await;
        }
        let running = claim(&queue, 4).await;
        let first = insert(&project, other, "").await;
        assert_eq!(claim(&queue, 1).await.pop().unwrap().job.id, first);
        drop(running);
        project.owner.batch_execute("delete from public.image_generation_jobs").await.unwrap();
    }
}
