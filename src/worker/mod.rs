//! Time: waits for jobs, claims as many as there is room for, keeps their leases, takes back what lost workers held, and drains.
//!
//! What a job is made of is the pipeline's; this module only decides when one runs and when it must stop.

mod helpers;
mod janitor;
mod poll;
mod promotion;
mod renewal;
mod running;
mod slots;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use crate::listener::{Listener, Signal};
use crate::pipeline::{Outcome, Pipeline};
use crate::queue::Queue;
use crate::supabase::Caller;
use crate::supabase::storage::Storage;
pub use helpers::HelperEnded;
use helpers::Helpers;
use running::Running;

/// How long a connection is waited for, before the first claim.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a claim that is under way at the end, and giving jobs back, may take when the database is away.
const PARTING: Duration = Duration::from_secs(5);

/// Within so long it is asked, after somebody's job has come and there is no room, whether another's gives way.
const MAKE_ROOM: Duration = Duration::from_secs(1);

/// The helper without which jobs can't be kept, not even to drain them.
const RENEWAL: &str = "the renewal of leases";

/// How much at once, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host and process id, for the dashboard.
    pub name: String,
    /// Jobs at once.
    pub jobs: usize,
    /// Workers that a job may lose.
    pub job_attempts: i32,
    /// How long a lease holds; renewed at a third of it.
    pub lease: Duration,
    /// Between polls of the database when it says nothing.
    pub poll: Duration,
    /// What running images get after the end was announced.
    pub grace: Duration,
}

/// A worker, not yet running.
pub struct Worker {
    /// For claims and for the writes of jobs.
    pub queue: Queue,
    /// For renewals only: they never wait behind other writes.
    pub renewals: Queue,
    /// Hears of jobs.
    pub listener: Listener,
    /// For cleaning up.
    pub storage: Arc<Storage>,
    /// The same project's API, by the secret key.
    pub api: Caller,
    /// What is done with a job.
    pub pipeline: Arc<Pipeline>,
    /// Its numbers.
    pub settings: Settings,
}

/// A worker that runs.
struct Runner {
    worker: Worker,
    id: Uuid,
    running: Running,
    tasks: JoinSet<(i64, Outcome)>,
    signals: mpsc::Receiver<Signal>,
    /// Whether leases can be renewed.
    can_renew: watch::Receiver<bool>,
    /// Wakes the janitor.
    removals_due: Arc<Notify>,
    /// Wakes who gives scheduled jobs their turns.
    jobs_due: Arc<Notify>,
    /// Hears from there that there is something to claim, and in how long the next one is due.
    promoted: mpsc::Receiver<Option<Duration>>,
    /// Whether there may be something to claim. It stays so while there is no room, so a job's end needs no poll of its own.
    promising: bool,
    /// When the next scheduled job is due.
    scheduled: Option<Instant>,
    /// When it is to be asked whether a job gives way, while there is no room.
    room: Instant,
}

impl Worker {
    /// Works until `shutdown` resolves; then drains: claims no more, lets running images finish within the grace period, and gives
    /// the rest back. A second resolution is not waited for: dropping the future ends everything, and the leases run out.
    ///
    /// # Errors
    /// When one of the tasks beside its loop has ended, by a panic. It drains as well; but where that was the renewal of leases, it gives
    /// everything back at once, so that nothing is made twice.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), HelperEnded> {
        let mut shutdown = pin!(shutdown);
        let mut helpers = Helpers::default();
        let (heard, mut signals) = mpsc::channel(256);
        let listener = self.listener.clone();
        helpers.spawn("the listener", async move { listener.run(heard).await });
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            ended = helpers.ended() => return Err(ended),
            () = self.fetch_connections(&mut signals) => {}
        }
        let mut runner = self.start(signals, &mut helpers);
        let result = {
            let mut end = pin!(async {
                tokio::select! {
                    () = &mut shutdown => Ok(()),
                    ended = helpers.ended() => Err(ended),
                }
            });
            runner.work(end.as_mut()).await
        };
        let result = runner.drain(&mut helpers, result).await;
        let id = runner.id;
        runner.heartbeat("stopped").await;
        tracing::info!(worker = %id, "worker stopped");
        result
    }

    /// Starts what goes on beside the loop. The renewals have a task of their own: nothing that the worker is busy with makes them late.
    fn start(self, signals: mpsc::Receiver<Signal>, helpers: &mut Helpers) -> Runner {
        let (id, running) = (Uuid::new_v4(), Running::default());
        let (renewed, can_renew) = watch::channel(true);
        helpers.spawn(RENEWAL, renewal::renew(self.renewals.clone(), running.clone(), self.settings.lease, renewed));
        let removals_due = Arc::new(Notify::new());
        let (storage, api) = (Arc::clone(&self.storage), self.api.clone());
        helpers.spawn("the clean-up", janitor::clean(self.queue.clone(), storage, api, Arc::clone(&removals_due)));
        let (jobs_due, (promoting, promoted)) = (Arc::new(Notify::new()), mpsc::channel(1));
        helpers.spawn(
            "the promotion of scheduled jobs",
            promotion::promote(self.queue.clone(), Arc::clone(&jobs_due), promoting),
        );
        tracing::info!(worker = %id, name = self.settings.name, jobs = self.settings.jobs, "worker started");
        Runner {
            worker: self,
            id,
            running,
            tasks: JoinSet::new(),
            signals,
            can_renew,
            removals_due,
            jobs_due,
            promoted,
            promising: true,
            scheduled: None,
            room: Instant::now(),
        }
    }

    /// Fetches what must not fail once there are leases: a connection that renews them, one that writes, and one that listens.
    async fn fetch_connections(&self, signals: &mut mpsc::Receiver<Signal>) {
        let mut pause = Duration::from_millis(100);
        loop {
            let (renewals, writes) =
                tokio::join!(self.renewals.fetch_connection(PATIENCE), self.queue.fetch_connection(PATIENCE));
            let Err(error) = renewals.and(writes) else { break };
            tracing::warn!(%error, "no connections for renewals and writes yet; no job is claimed before");
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        // What it hears first is that it listens. The worker polls by itself when it begins.
        signals.recv().await;
    }
}

impl Runner {
    /// Works until `end` resolves, which is heard whatever the database does.
    async fn work(
        &mut self,
        mut end: Pin<&mut impl Future<Output = Result<(), HelperEnded>>>,
    ) -> Result<(), HelperEnded> {
        let poll = self.worker.settings.poll;
        let mut next_poll = Instant::now();
        loop {
            // However many notifications came meanwhile, one claim answers them.
            while let Ok(signal) = self.signals.try_recv() {
                self.hear(signal);
            }
            if self.promising && self.free() > 0 {
                let mut claim = pin!(self.claim());
                tokio::select! {
                    () = &mut claim => continue,
                    ended = &mut end => {
                        // What it takes is given back with the rest, sooner than its leases would run out.
                        let _ = timeout(PARTING, claim).await;
                        return ended;
                    }
                }
            }
            let (promising, room) = (self.promising, self.room);
            let next = self.scheduled.map_or(next_poll, |at| next_poll.min(at));
            tokio::select! {
                ended = &mut end => return ended,
                Some(signal) = self.signals.recv() => self.hear(signal),
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                Some(next) = self.promoted.recv() => {
                    self.promising = true;
                    self.scheduled = next.map(|pause| Instant::now() + pause);
                }
                () = sleep_until(room), if promising => tokio::select! {
                    ended = &mut end => return ended,
                    gave_way = self.give_way() => {
                        self.room = Instant::now() + if gave_way { Duration::ZERO } else { poll };
                    }
                },
                () = sleep_until(next) => tokio::select! {
                    ended = &mut end => return ended,
                    () = self.poll() => next_poll = Instant::now() + poll,
                },
            }
        }
    }

    fn hear(&mut self, signal: Signal) {
        if !matches!(signal, Signal::Cancel(_)) {
            // Of many workers without room one is to make some; the others find then that nobody waits.
            self.room = self.room.min(Instant::now() + MAKE_ROOM.mul_f64(rand::random_range(0.0..1.0)));
            self.promising = true;
        }
        match signal {
            Signal::Jobs { scheduled: false } => {}
            Signal::Jobs { scheduled: true } | Signal::Connected => self.scheduled = Some(Instant::now()),
            Signal::Cancel(job) => self.running.cancel(job),
        }
    }
}
