//! What a person can spend, whatever they do: nothing but what their limits allow, and what is under way when they are reached.

use carousel::queue::{Begun, Lease, Queue};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::project::Project;
use crate::{claim, objects, queue, record};

/// What one call costs here, in dollars; `record` says the same.
const CALL: f64 = 0.053;
const STEPS: usize = 60;

struct History {
    project: Project,
    queue: Queue,
    user: Uuid,
    clients: Vec<Client>,
    leases: Vec<Lease>,
    chance: StdRng,
}

impl History {
    async fn new(seed: u64, limits: &str) -> Self {
        let project = Project::new().await;
        let user = project.user().await;
        let set = format!(
            "insert into carousel_private.limits (user_id, max_images_a_day, max_usd_a_month) values ('{user}', {limits})"
        );
        project.owner.batch_execute(&set).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(project.signed_in(user).await);
        }
        let queue = queue(&project);
        Self { queue, user, clients, leases: Vec::new(), chance: StdRng::seed_from_u64(seed), project }
    }

    fn insertion(&self, key: Option<u32>, slides: usize) -> String {
        let key = key.map_or("null".to_owned(), |key| format!("'key {key}'"));
        let slides = vec!["view"; slides].join(",");
        format!(
            "insert into public.image_generation_jobs (prompt, source_paths, slide_prompts, idempotency_key)
             values ('a cup', array['{}/sources/a.png'], '{{{slides}}}', {key})",
            self.user
        )
    }

    /// Something that the person does. What is refused is refused.
    async fn ask(&mut self) {
        let job = "id = (select id from public.image_generation_jobs order by random() limit 1)";
        let (key, slides) = (self.chance.random_range(0..3), self.chance.random_range(1..4));
        let act = match self.chance.random_range(0..8) {
            0 => self.insertion(None, slides),
            1 => self.insertion(Some(key), slides),
            2 => "update public.image_generation_jobs set cancel_requested_at = now() where id is not null".to_owned(),
            3 => "update public.image_generation_jobs set retry_requested_at = now() where id is not null".to_owned(),
            4 => format!("delete from public.image_generation_jobs where {job}"),
            5 => "delete from public.image_generation_jobs where id is not null".to_owned(),
            6 => return self.remake(key).await,
            _ => return self.ask_for_twenty(slides).await,
        };
        let _ = self.clients[0].batch_execute(&act).await;
    }

    /// A job that is still being deleted is asked for again under its key.
    async fn remake(&mut self, key: u32) {
        let insert = self.insertion(Some(key), 3);
        let _ = self.clients[0].batch_execute(&insert).await;
        let (one, two) = (&self.clients[0], &self.clients[1]);
        let delete = format!("begin; delete from public.image_generation_jobs where idempotency_key = 'key {key}'");
        one.batch_execute(&delete).await.unwrap();
        let pid: i32 = two.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        let asked = async {
            let _ = two.batch_execute(&insert).await;
        };
        let committed = async {
            let waits = "select cardinality(pg_blocking_pids($1)) > 0
                or exists (select from pg_stat_activity where pid = $1 and state <> 'active')";
            while !self.project.owner.query_one(waits, &[&pid]).await.unwrap().get::<_, bool>(0) {
                tokio::task::yield_now().await;
            }
            one.batch_execute("commit").await.unwrap();
        };
        tokio::join!(asked, committed);
    }

    async fn ask_for_twenty(&mut self, slides: usize) {
        let insert = self.insertion(None, slides);
        let all = (0..20).map(|number| self.clients[number % self.clients.len()].batch_execute(&insert));
        let _ = futures::future::join_all(all).await;
    }

    /// What a worker does with what there is: each call ends in one of the ways in which calls do, or with its job.
    async fn work(&mut self) {
        for lease in claim(&self.queue, 8).await {
            self.leases.push(lease);
        }
        let leases = std::mem::take(&mut self.leases);
        // At once, as a worker's jobs are.
        let begun = futures::future::join_all(leases.iter().map(|lease| async move {
            let Ok(images) = lease.start_job().await else { return Vec::new() };
            futures::future::join_all(images.into_iter().map(|image| async move {
                let name = format!("{}.png", Uuid::new_v4());
                let begun =
                    lease.begin_call(image.id, objects(&name), "gpt-image-2", None, "a cup", Some(53_000)).await;
                begun.ok().map(|begun| (image.id, begun))
            }))
            .await
        }))
        .await;
        for (lease, images) in leases.into_iter().zip(begun) {
            for (image, begun) in images.into_iter().flatten() {
                let Begun::Call(call) = begun else { continue };
                let _ = match self.chance.random_range(0..5) {
                    0 => record(&lease, image, call).await,
                    1 => lease.queue().end_call(call, "rate_limited", None, true).await,
                    2 => lease.queue().end_call(call, "provider_timeout", None, false).await,
                    // Cancelled or deleted meanwhile: nobody says how it ended.
                    _ => Ok(()),
                };
            }
            match self.chance.random_range(0..3) {
                0 => drop(lease.finish_job(false, None).await),
                1 => drop(lease.finish_job(true, None).await),
                _ => self.leases.push(lease),
            }
        }
    }

    /// Calls that may have been billed.
    async fn calls(&self) -> i64 {
        let calls = "select count(*) from carousel_private.provider_calls where not unbilled";
        self.project.owner.query_one(calls, &[]).await.unwrap().get(0)
    }

    /// Lives through a history; returns how many calls were made that may have been billed.
    async fn live(&mut self, most: i64) -> i64 {
        let mut acts = Vec::new();
        for _ in 0..STEPS {
            let works = self.chance.random_bool(0.4);
            if works {
                self.work().await
            } else {
                self.ask().await
            }
            acts.push(works);
            let calls = self.calls().await;
            assert!(calls <= most, "{calls} calls where {most} may be made, after {acts:?}");
        }
        self.calls().await
    }
}

#[tokio::test]
async fn no_sequence_of_acts_makes_more_calls_than_images_a_day() {
    let mut made = 0;
    for seed in 0..6 {
        made += History::new(seed, "7, null").await.live(7).await;
    }
    assert!(made > 20, "limits are reached: {made}");
}

#[tokio::test]
async fn no_sequence_of_acts_spends_more_than_the_budget_and_one_call() {
    let mut made = 0;
    for seed in 0..6 {
        // Six calls are below it, and one may pass it.
        let most = (0.35 / CALL).ceil() as i64;
        made += History::new(seed, "null, 0.35").await.live(most).await;
    }
    assert!(made > 20, "budgets are spent: {made}");
}
