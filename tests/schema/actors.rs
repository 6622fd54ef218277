//! A client and a worker who do anything that the product lets them do, in any order.

use std::time::Duration;

use carousel::job::{Format, Size};
use carousel::queue::{Begun, CallId, Error, Fault, Lease, Objects, Queue, Recorded};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::client::{insert_job, run};
use crate::project::Project;

const LEASE: Duration = Duration::from_secs(600);

/// A signed-in person who asks, changes their mind, and asks again.
pub struct Person {
    id: Uuid,
    client: Client,
    chance: StdRng,
    /// Jobs that were inserted.
    pub inserted: i64,
}

impl Person {
    pub async fn new(project: &Project, seed: u64) -> Self {
        let id = project.user().await;
        Self { id, client: project.signed_in(id).await, chance: StdRng::seed_from_u64(seed), inserted: 0 }
    }

    /// One action, which the database must never refuse.
    pub async fn act(&mut self) -> String {
        // By age and not by id, so that a seed tells which.
        let any = format!(
            "id = (select id from public.image_generation_jobs order by created_at
                offset {} % (select greatest(1, count(*)) from public.image_generation_jobs) limit 1)",
            self.chance.random_range(0..1_000_000)
        );
        let action = match self.chance.random_range(0..10) {
            0..4 => {
                self.insert().await;
                return "insert".to_owned();
            }
            4..6 => format!("update public.image_generation_jobs set cancel_requested_at = now() where {any}"),
            6..8 => format!("update public.image_generation_jobs set retry_requested_at = now() where {any}"),
            8 => format!("update public.image_generation_jobs set title = 'another' where {any}"),
            _ => format!("delete from public.image_generation_jobs where {any}"),
        };
        run(&self.client, &action).await.unwrap_or_else(|refusal| panic!("{action}: {refusal:?}"));
        action
    }

    async fn insert(&mut self) {
        let pick = |chance: &mut StdRng, values: [&'static str; 3]| values[chance.random_range(0..3)];
        let columns = [
            ("variants", pick(&mut self.chance, ["1", "1", "2"])),
            ("slide_prompts", pick(&mut self.chance, ["'{}'", "'{one,two}'", "'{one}'"])),
            ("priority", pick(&mut self.chance, ["0", "-5", "7"])),
            ("run_at", pick(&mut self.chance, ["now()", "now() - interval '1 hour'", "now() + interval '1 hour'"])),
        ];
        insert_job(&self.client, self.id, &columns)
            .await
            .unwrap_or_else(|refusal| panic!("insert {columns:?}: {refusal:?}"));
        self.inserted += 1;
    }
}

/// A worker that claims, makes, fails, is interrupted and is lost.
pub struct Maker {
    id: Uuid,
    queue: Queue,
    chance: StdRng,
    held: Vec<Held>,
    /// Every object that it said it had put into the bucket.
    pub objects: Vec<String>,
}

/// A lease, perhaps lost, with the images that were begun under it.
struct Held {
    lease: Lease,
    begun: Vec<(Uuid, CallId)>,
}

impl Maker {
    pub fn new(project: &Project, seed: u64) -> Self {
        let database = project.worker_url().parse().expect("it is a connection string");
        let settings = carousel::queue::Settings { database, certificates: Vec::new(), connections: 2 };
        let queue = Queue::new(&settings).expect("a pool can be made");
        Self { id: Uuid::new_v4(), queue, chance: StdRng::seed_from_u64(seed), held: Vec::new(), objects: Vec::new() }
    }

    /// One action, which the database must never refuse but for want of the lease.
    pub async fn act(&mut self) -> String {
        let action = self.chance.random_range(0..20);
        match action {
            0..3 => {
                self.claim(2).await;
            }
            3 => {
                self.queue.promote_jobs().await.expect("jobs can be staged");
            }
            4 => {
                self.queue.rescue_jobs(&[], false).await.expect("jobs can be rescued");
            }
            5 => {
                let tokens: Vec<i64> = self.held.iter().map(|held| held.lease.token()).collect();
                self.queue.renew_leases(&tokens, LEASE).await.expect("leases can be renewed");
            }
            _ if self.held.is_empty() => return "nothing to do".to_owned(),
            _ => {
                let held = self.held.swap_remove(self.chance.random_range(0..self.held.len()));
                match self.work(held, action).await {
                    Ok(Some(held)) => self.held.push(held),
                    Ok(None) | Err(Error::Lost) => {}
                    Err(error) => panic!("worker's action {action}: {error}"),
                }
            }
        }
        format!("worker's action {action}")
    }

    /// Something that a holder does; returns what is still held.
    async fn work(&mut self, mut held: Held, action: u32) -> Result<Option<Held>, Error> {
        let fault = Fault { code: "moderation_blocked", message: "refused", request_id: None };
        // Some are ended or given back before they were started.
        let images = if action < 14 { held.lease.start_job().await? } else { Vec::new() };
        match action {
            6..10 => {
                let Some(image) = images.first() else { return Ok(Some(held)) };
                held.begun.extend(begin(&held.lease, image.id).await?.map(|call| (image.id, call)));
            }
            10..13 => {
                let Some((image, call)) = held.begun.pop() else { return Ok(Some(held)) };
                self.record(&held.lease, image, call).await?;
                // Its answer may be lost, and it is sent again.
                self.record(&held.lease, image, call).await?;
            }
            13 => {
                let begun = held.begun.pop().map(|(image, call)| (image, Some((call, false))));
                let Some((image, call)) = begun.or(images.first().map(|image| (image.id, None))) else {
                    return Ok(Some(held));
                };
                held.lease.record_failure(image, call, &fault).await?;
            }
            14 => {
                let Some((image, _)) = held.begun.last() else { return Ok(Some(held)) };
                let path = self.object(&held.lease);
                held.lease.record_preview(*image, &path).await?;
                self.objects.push(path);
            }
            15 => held.lease.report_progress().await?,
            16 => {
                held.lease.finish_job(false, None).await?;
                return Ok(None);
            }
            17 => {
                held.lease.finish_job(true, None).await?;
                return Ok(None);
            }
            18 => {
                held.lease.finish_job(false, Some(&fault)).await?;
                return Ok(None);
            }
            _ => {
                held.lease.release_job(Duration::ZERO, "Waiting for another worker").await?;
                return Ok(None);
            }
        }
        Ok(Some(held))
    }

    /// Claims everything that there is and makes it, until nothing is left to claim. Returns how many jobs there were.
    pub async fn make_all(&mut self) -> usize {
        self.held.clear();
        let mut jobs = 0;
        let spent = Fault { code: "worker_lost", message: "begun often enough", request_id: None };
        while self.claim(50).await > 0 {
            for held in std::mem::take(&mut self.held) {
                for image in held.lease.start_job().await.expect("the lease holds") {
                    let made = match begin(&held.lease, image.id).await.expect("the lease holds") {
                        Some(call) => self.record(&held.lease, image.id, call).await,
                        None => held.lease.record_failure(image.id, None, &spent).await,
                    };
                    made.expect("the lease holds");
                }
                held.lease.finish_job(false, None).await.expect("the lease holds");
                jobs += 1;
            }
        }
        jobs
    }

    async fn claim(&mut self, slots: usize) -> usize {
        let leases = self.queue.claim_jobs(self.id, slots, LEASE).await.expect("jobs can be claimed");
        let count = leases.len();
        self.held.extend(leases.into_iter().map(|lease| Held { lease, begun: Vec::new() }));
        count
    }

    fn object(&self, lease: &Lease) -> String {
        format!("{}/jobs/{}/{}.png", lease.job.user_id, lease.job.id, Uuid::new_v4())
    }

    async fn record(&mut self, lease: &Lease, image: Uuid, call: CallId) -> Result<(), Error> {
        let path = format!("{}/jobs/{}/{image}.png", lease.job.user_id, lease.job.id);
        let made = Recorded {
            path: &path,
            thumbhash: "dGh1bWI=",
            size: Size { width: 1024, height: 1024 },
            bytes: 3,
            format: Format::Png,
            sha256: "00",
            usage: Some(&serde_json::json!({ "total_tokens": 30 })),
            cost: Some(1_000),
            duration: Duration::ZERO,
            request_id: None,
        };
        lease.record_image(image, call, &made).await?;
        self.objects.push(path);
        Ok(())
    }
}

/// None when it was perhaps billed for too often already.
async fn begin(lease: &Lease, image: Uuid) -> Result<Option<CallId>, Error> {
    let name = format!("{}.png", Uuid::new_v4());
    match lease
        .begin_call(image, Objects { name: &name, previews: 0 }, "gpt-image-2", Some("low"), "a cup", Some(53_000))
        .await?
    {
        Begun::Call(call) => Ok(Some(call)),
        Begun::Spent(_) => Ok(None),
        Begun::Refused { code, .. } => panic!("nobody has so few limits, but it is refused with {code}"),
        Begun::Paused(pause) => panic!("nobody paused the provider, but it is, for {pause:?}"),
    }
}
