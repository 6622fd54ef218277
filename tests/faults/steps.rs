//! The named steps of the pipeline, each reached on demand and without a hook in the product: something that the worker needs at this
//! step (a request, an answer, a row's lock) is kept back.

use carousel_local::storage::faults::Stall;
use reqwest::Method;
use tokio_postgres::Client;

use crate::process::Worker;
use crate::proxy::Hold;
use crate::scene::{Request, Scene};

/// Where a worker is with a job of three slides when a fault strikes: before the first, at the second, or after the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The claiming statement runs.
    Claiming,
    /// A source is being downloaded.
    Fetching,
    /// The call for the second slide is written down and on its way; the provider has not begun.
    Calling,
    /// The provider has made and billed the second slide; nothing of its answer has come.
    Generating,
    /// A part of the answer has come.
    Reading,
    /// The upload of the second slide has begun.
    Uploading,
    /// The second slide is in the bucket; the worker has not heard so.
    Uploaded,
    /// The statement that records the second slide runs.
    Recording,
    /// All is recorded; the statement that ends the job runs.
    Finishing,
    /// The second slide is being made, and the statement that renews the lease runs.
    Renewing,
    /// The worker was asked to end while the second slide is being made.
    Draining,
}

/// What keeps a worker at its step. [`Reached::let_go`] lets everything go on that is still there.
pub struct Reached<'a> {
    scene: &'a Scene,
    stalls: Vec<Stall>,
    locks: Vec<Client>,
}

impl Reached<'_> {
    pub fn let_go(self) {
        for stall in &self.stalls {
            stall.release();
        }
        for way in self.scene.ways.each() {
            way.let_go();
        }
        drop(self.locks);
    }
}

impl Step {
    /// Submits `request`, of three slides, and returns when `worker` has come to this step with it.
    pub async fn reach<'a>(self, scene: &'a Scene, worker: &Worker, request: &Request<'_>) -> Reached<'a> {
        let faults = scene.deployment.stack.storage().faults();
        let (job, user) = (request.id, request.person.id);
        let folder = format!("/object/generated-carousels/{user}");
        let second = "Slide 2 of 3";
        let provider = &scene.ways.provider;
        let second_billed = scene.deployment.openai.billed() + 2;
        let mut reached = Reached { scene, stalls: Vec::new(), locks: Vec::new() };
        let image =
            format!("select from public.generated_carousel_images where job_id = '{job}' and slide = 2 for update");
        let lease = format!("select from carousel_private.leases where job_id = '{job}' for");
        match self {
            Self::Claiming => {
                // A lease that is neither there nor not there, until this transaction ends.
                let lease = format!(
                    "set local session_replication_role = replica;
                     insert into carousel_private.leases (job_id, user_id, images, worker_id, attempt, leased_until)
                     values ('{job}', '{user}', 1, gen_random_uuid(), 1, now())"
                );
                reached.locks.push(scene.lock(&lease).await);
                request.submit().await;
                scene.until_blocked("Takes pending jobs").await;
            }
            Self::Fetching => {
                let stall =
                    faults.stall(1, Method::GET, &format!("/object/authenticated/generated-carousels/{user}/sources/"));
                request.submit().await;
                stall.holds(1).await;
                reached.stalls.push(stall);
            }
            Self::Calling => {
                provider.catch(second, Hold::Request);
                request.submit().await;
                provider.caught().await;
            }
            Self::Generating | Self::Renewing | Self::Draining => {
                provider.catch(second, Hold::AnswerAfter(0));
                request.submit().await;
                billed(scene, second_billed).await;
                if self == Self::Renewing {
                    // A lease that somebody holds would be passed over; the whole table can't be.
                    reached.locks.push(scene.lock("lock table carousel_private.leases in share mode").await);
                    scene.until_blocked("Prolongs the leases").await;
                } else if self == Self::Draining {
                    worker.ask_to_end();
                    scene.until("select from carousel_private.workers where state = 'draining'", &[]).await;
                }
            }
            Self::Reading => {
                provider.catch(second, Hold::AnswerAfter(2_000));
                request.submit().await;
                billed(scene, second_billed).await;
            }
            Self::Uploading | Self::Recording | Self::Finishing => {
                let slide = if self == Self::Finishing { 3 } else { 2 };
                let stall = faults.stall(1, Method::POST, &format!("{folder}/jobs/{job}/1-{slide}-"));
                request.submit().await;
                stall.holds(1).await;
                if self == Self::Recording {
                    reached.locks.push(scene.lock(&image).await);
                    stall.release();
                    scene.until_blocked("Records finished images").await;
                } else if self == Self::Finishing {
                    reached.locks.push(scene.lock(&format!("{lease} key share")).await);
                    stall.release();
                    scene.until_blocked("Ends jobs").await;
                }
                reached.stalls.push(stall);
            }
            Self::Uploaded => {
                scene.ways.supabase.catch(&format!("{job}/1-2-"), Hold::AnswerAfter(0));
                request.submit().await;
                let there = "select from storage.objects where name like '%/' || $1::text || '/1-2-%'";
                scene.until(there, &[&job.to_string()]).await;
            }
        }
        reached
    }

    /// Whether the provider is at work for nobody when the worker goes at this step.
    pub fn is_paid_for(self) -> bool {
        !matches!(self, Self::Claiming | Self::Fetching | Self::Calling | Self::Finishing)
    }

    /// Whether a call is written down and not ended.
    pub fn has_open_call(self) -> bool {
        self.is_paid_for() || self == Self::Calling
    }
}

/// Returns when the provider has begun so many pictures.
pub async fn billed(scene: &Scene, pictures: u64) {
    let openai = &scene.deployment.openai;
    crate::scene::soon("the provider is at work", async {
        while openai.billed() < pictures {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
