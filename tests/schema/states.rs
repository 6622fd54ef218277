//! The state machine: whatever clients and workers do, in whatever order, every job stays whole and comes to its end.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::actors::{Maker, Person};
use crate::client::{insert_job, value};
use crate::project::Project;

/// The seed of this run: the variable `SEED`, or any.
fn seed() -> u64 {
    let given = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seed = given.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    // Shown when the test fails.
    println!("SEED={seed}");
    seed
}

/// Jobs that break an invariant.
async fn broken(project: &Project) -> Vec<String> {
    let rows = project.owner.query(include_str!("invariants.sql"), &[]).await.expect("the invariants can be asked for");
    rows.iter().map(|row| row.get(0)).collect()
}

/// What time does: some leases run out, some scheduled jobs become due. It passes by what is locked, as time does.
async fn pass_time(project: &Project, everything: bool) {
    let some = if everything { "" } else { "and random() < 0.3" };
    for (table, id, set, due) in [
        ("public.image_generation_jobs", "id", "run_at = now()", "stage = 'queued' and run_at > now()"),
        ("carousel_private.leases", "job_id", "leased_until = now() - interval '1 second'", "leased_until > now()"),
    ] {
        let rows = format!("select {id} from {table} where {due} {some} for no key update skip locked");
        let statement = format!("update {table} set {set} where {id} in ({rows})");
        project.owner.batch_execute(&statement).await.expect("time passes");
    }
}

/// Lets a fresh worker end what is left, and checks that nothing stays behind.
async fn come_to_an_end(project: &Project, people: &[Person], makers: &[Maker], seed: u64) {
    assert_eq!(broken(project).await, Vec::<String>::new());
    pass_time(project, true).await;
    let mut last = Maker::new(project, seed);
    let queue = carousel::queue::Queue::new(&carousel::queue::Settings {
        database: project.worker_url().parse().unwrap(),
        certificates: Vec::new(),
        connections: 1,
    });
    let queue = queue.unwrap();
    queue.rescue_jobs(&[], false).await.unwrap();
    queue.promote_jobs().await.unwrap();
    let waiting =
        value(&project.owner, "select count(*) from public.image_generation_jobs where stage = 'queued'").await;
    assert_eq!(last.make_all().await.to_string(), waiting, "every waiting job can be claimed");
    assert_eq!(broken(project).await, Vec::<String>::new());
    let unfinished = "select count(*) from public.image_generation_jobs where finished_at is null";
    assert_eq!(value(&project.owner, unfinished).await, "0");

    let uses = value(&project.owner, "select coalesce(sum(use_count), 0) from public.image_generation_templates").await;
    assert_eq!(uses, people.iter().map(|person| person.inserted).sum::<i64>().to_string());
    // An object is shown by a row or written down for removal: none is forgotten.
    let objects: Vec<&str> =
        makers.iter().chain([&last]).flat_map(|maker| &maker.objects).map(String::as_str).collect();
    assert!(!objects.is_empty());
    let forgotten = "
        select array_agg(object) from unnest($1::text[]) as object
        where object not in (select path from carousel_private.storage_cleanup)
            and object not in (select unnest(array[storage_path, preview_path]) as path from public.generated_carousel_images where storage_path is not null or preview_path is not null)";
    let forgotten: Option<Vec<String>> = project.owner.query_one(forgotten, &[&objects]).await.unwrap().get(0);
    assert_eq!(forgotten, None);
}

#[tokio::test]
async fn no_order_of_actions_breaks_a_job() {
    let project = Project::new().await;
    act(&project, || async {}).await;
}

/// The status has other words there, from the first half on.
#[tokio::test]
async fn no_order_of_actions_breaks_a_job_where_an_older_frontend_goes_on() {
    let project = Project::new().await;
    act(&project, || project.let_frontend_go_on("http://localhost/")).await;
    let untold = "
        select count(*) from public.image_generation_jobs job
        left join public.generated_carousel_images image on image.job_id = job.id
        where job.name is null or job.template_name is null or job.settings is null or job.completed_at is distinct from job.finished_at
            or (image.variant, image.slide) is distinct from (image.carousel_index + 1, image.image_index + 1)
            or (image.status = 'completed' and num_nulls(generated_image_url, source_image_url, prompt_used, settings_used) > 0)";
    assert_eq!(value(&project.owner, untold).await, "0");
    let untold = "
        select count(*) from public.image_generation_templates
        where num_nulls(source_images, thumbnail_url, default_settings) > 0 or usage_count <> use_count";
    assert_eq!(value(&project.owner, untold).await, "0");
}

/// Does anything in any order, `between` after the first half.
async fn act(project: &Project, between: impl AsyncFnOnce()) {
    // How much is asked for is drawn: it may be more than a person may have in a day.
    project.owner.batch_execute("delete from carousel_private.limits").await.unwrap();
    let seed = seed();
    let mut chance = StdRng::seed_from_u64(seed);
    let mut people = [Person::new(project, seed + 1).await, Person::new(project, seed + 2).await];
    let mut makers = [Maker::new(project, seed + 3), Maker::new(project, seed + 4)];
    let mut actions = Vec::new();
    project.owner.batch_execute(&format!("select setseed(0.{seed})")).await.unwrap();
    let mut between = Some(between);
    for number in 0..400 {
        if number == 200
            && let Some(between) = between.take()
        {
            between().await;
        }
        let action = match chance.random_range(0..10) {
            0..3 => people[chance.random_range(0..2)].act().await,
            3 => {
                pass_time(project, false).await;
                "time".to_owned()
            }
            _ => makers[chance.random_range(0..2)].act().await,
        };
        actions.push(action);
        let broken = broken(project).await;
        if !broken.is_empty() {
            let last = &actions[actions.len().saturating_sub(30)..];
            panic!("after {} actions: {broken:#?}\nthe last ones: {last:#?}", actions.len());
        }
    }
    come_to_an_end(project, &people, &makers, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_workers_at_once_neither_break_a_job_nor_block_each_other() {
    let project = Project::new().await;
    let seed = seed();
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(4);
    let (mut people, mut makers) = (tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    for index in 0..3 {
        let mut person = Person::new(&project, seed + index).await;
        let mut maker = Maker::new(&project, seed + 10 + index);
        people.spawn(async move {
            while tokio::time::Instant::now() < end {
                person.act().await;
            }
            person
        });
        makers.spawn(async move {
            while tokio::time::Instant::now() < end {
                maker.act().await;
            }
            maker
        });
    }
    while tokio::time::Instant::now() < end {
        pass_time(&project, false).await;
        tokio::task::yield_now().await;
    }
    let (people, makers) = (people.join_all().await, makers.join_all().await);
    come_to_an_end(&project, &people, &makers, seed).await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(value(&project.owner, deadlocks).await, "0");
}

/// A client that is told of changes late knows by `updated_at` which of two rows is the later one.
#[tokio::test]
async fn a_later_state_has_a_later_time_though_its_transaction_began_earlier() {
    let project = Project::new().await;
    let user = project.user().await;
    insert_job(&project.signed_in(user).await, user, &[]).await.expect("it is a job");
    let updated_at = "(select updated_at from public.image_generation_jobs)";

    let early = project.admin().await;
    early.batch_execute("begin; select now()").await.unwrap();
    project.owner.batch_execute("update public.image_generation_jobs set title = 'first'").await.unwrap();
    let first = value(&project.owner, updated_at).await;
    early.batch_execute("update public.image_generation_jobs set title = 'second'; commit").await.unwrap();
    assert_eq!(value(&project.owner, &format!("{updated_at} > '{first}'")).await, "true");
}
