//! Time: waits for jobs, claims as many as there is room for, keeps their leases, takes back what lost workers held, and drains.
//!
//! What a job is made of is the pipeline's; this module only decides when one runs and when it must stop.

mod janitor;
mod renewal;
mod staging;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::listener::{Listener, Signal};
use crate::pipeline::{Outcome, Pipeline, StopHandle, Wish, stop};
use crate::queue::{self, MOST_CLAIMED, Queue, ToDo, WorkerReport};
use crate::supabase::Caller;
use crate::supabase::storage::Storage;
use crate::telemetry::metrics;
use renewal::Held;

/// How long a connection is waited for, before the first claim.
const PATIENCE: Duration = Duration::from_secs(10);
/// What giving jobs back may take, when the database is away.
const PARTING: Duration = Duration::from_secs(5);

/// A job keeps its slot for so long when everybody who works has one job, and somebody waits who has none.
const SLICE: Duration = Duration::from_secs(30);

/// Within so long it is asked, after somebody's job has come and there is no room, whether another's gives way.
const MAKE_ROOM: Duration = Duration::from_secs(1);

/// Statements of one look that take back what lost workers held.
const MOST_RESCUES: usize = 64;

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
    /// Between looks at the database when it says nothing.
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

/// A job that is running here.
struct Running {
    job: Uuid,
    stop: StopHandle,
    /// Whether it can give way between two images.
    long: bool,
    /// Whether it was told to: it ends what it has begun, and has no slot any more.
    gives_way: bool,
}

struct Shift {
    worker: Worker,
    id: Uuid,
    held: Held,
    /// Whether leases can be renewed.
    able: watch::Receiver<bool>,
    /// Wakes the janitor.
    debris: Arc<Notify>,
    /// Wakes who gives scheduled jobs their turns.
    due: Arc<Notify>,
    /// Hears from there that there is something to claim, and in how long the next one is due.
    staged: mpsc::Receiver<Option<Duration>>,
    /// By the tokens of their leases: a job whose lease was lost may be claimed again while the first work on it still ends.
    running: HashMap<i64, Running>,
    tasks: JoinSet<(i64, Outcome)>,
}

impl Worker {
    /// Works until `shutdown` resolves; then drains: claims no more, lets running images finish within the grace period, and gives
    /// the rest back. A second resolution is not waited for: dropping the future ends everything, and the leases run out.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let id = Uuid::new_v4();
        let held = Held::default();
        let (heard, mut signals) = mpsc::channel(256);
        let listener = self.listener.clone();
        // The renewals have a task of their own: nothing that the worker is busy with makes them late.
        let mut helpers = JoinSet::new();
        helpers.spawn(async move { listener.run(heard).await });
        tokio::select! {
            () = &mut shutdown => return,
            () = self.fetch_connections(&mut signals) => {}
        }
        let (renewing, able) = watch::channel(true);
        helpers.spawn(renewal::renew(self.renewals.clone(), held.clone(), self.settings.lease, renewing));
        let debris = Arc::new(Notify::new());
        let (storage, api) = (Arc::clone(&self.storage), self.api.clone());
        helpers.spawn(janitor::clean(self.queue.clone(), storage, api, Arc::clone(&debris)));
        let (due, (stager, staged)) = (Arc::new(Notify::new()), mpsc::channel(1));
        helpers.spawn(staging::stage(self.queue.clone(), Arc::clone(&due), stager));
        tracing::info!(worker = %id, name = self.settings.name, jobs = self.settings.jobs, "worker started");

        let mut shift =
            Shift { worker: self, id, held, able, debris, due, staged, running: HashMap::new(), tasks: JoinSet::new() };
        shift.work(signals, shutdown).await;
        shift.drain().await;
        shift.check_in("stopped").await;
        tracing::info!(worker = %id, "worker stopped");
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
        // What it hears first is that it listens. The worker looks for itself when it begins.
        signals.recv().await;
    }
}

impl Shift {
    async fn work(&mut self, mut signals: mpsc::Receiver<Signal>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let poll = self.worker.settings.poll;
        let (mut look, mut scheduled) = (Instant::now(), None::<Instant>);
        // When it is to be asked whether a job gives way, while there is no room.
        let mut room = Instant::now();
        // Whether there may be something to claim. It stays so while there is no room, so a job's end needs no look of its own.
        let mut promising = true;
        loop {
            // However many notifications came meanwhile, one claim answers them.
            while let Ok(signal) = signals.try_recv() {
                promising |= self.hear(signal, &mut scheduled, &mut room);
            }
            if promising && self.free() > 0 {
                promising = self.claim().await;
                continue;
            }
            let next_look = scheduled.map_or(look, |at| look.min(at));
            tokio::select! {
                () = &mut shutdown => return,
                signal = signals.recv() => match signal {
                    Some(signal) => promising |= self.hear(signal, &mut scheduled, &mut room),
                    None => return,
                },
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                Some(next) = self.staged.recv() => {
                    promising = true;
                    scheduled = next.map(|pause| Instant::now() + pause);
                }
                () = sleep_until(room), if promising => {
                    room = Instant::now() + if self.give_way().await { Duration::ZERO } else { poll };
                }
                () = sleep_until(next_look) => {
                    // The database may be away: the end is heard all the same.
                    let found = tokio::select! {
                        () = &mut shutdown => return,
                        found = self.look() => found,
                    };
                    look = Instant::now() + poll;
                    (promising, scheduled) = found;
                }
            }
        }
    }

    /// Says whether there may be something to claim.
    fn hear(&self, signal: Signal, scheduled: &mut Option<Instant>, room: &mut Instant) -> bool {
        if !matches!(signal, Signal::Cancel(_)) {
            // Of many workers without room one is to make some; the others find then that nobody waits.
            *room = (*room).min(Instant::now() + MAKE_ROOM.mul_f64(rand::random_range(0.0..1.0)));
        }
        match signal {
            Signal::Jobs { scheduled: false } => true,
            Signal::Jobs { scheduled: true } | Signal::Connected => {
                *scheduled = Some(Instant::now());
                true
            }
            Signal::Cancel(job) => {
                self.wish(job, Wish::Cancel);
                false
            }
        }
    }

    fn free(&self) -> usize {
        let with_slots = self.running.values().filter(|running| !running.gives_way).count();
        self.worker.settings.jobs.saturating_sub(with_slots)
    }

    /// Claims for the free slots and starts what it got. Says whether there may be more.
    async fn claim(&mut self) -> bool {
        if let Err(why) = self.can_renew().await {
            tracing::warn!(why, "no jobs are claimed while their leases could not be renewed; looking again soon");
            return false;
        }
        let slots = self.free().min(MOST_CLAIMED);
        let started = Instant::now();
        let leases = match self.worker.queue.claim_jobs(self.id, slots, self.worker.settings.lease).await {
            Ok(leases) => leases,
            Err(error) => {
                tracing::warn!(%error, "no jobs could be claimed; looking again soon");
                return false;
            }
        };
        let more = leases.len() == slots;
        for lease in leases {
            let (handle, stop) = stop();
            let (job, token) = (lease.job.id, lease.token());
            let long = self.worker.pipeline.is_long(&lease.job);
            tracing::info!(%job, user = %lease.job.user_id, attempt = lease.job.attempt, images = lease.job.total_images, "job claimed");
            self.held.add(token, handle.clone());
            self.running.insert(token, Running { job, stop: handle, long, gives_way: false });
            let pipeline = Arc::clone(&self.worker.pipeline);
            self.tasks.spawn(async move { (token, pipeline.run(lease, stop).await) });
        }
        metrics::claimed(started.elapsed(), self.running.len());
        more
    }

    /// Lets one of the jobs make room for somebody else's, if one is to. Says whether one does.
    async fn give_way(&mut self) -> bool {
        let can = |running: &Running| running.long && !running.gives_way;
        let tokens: Vec<i64> =
            self.running.iter().filter(|(_, running)| can(running)).map(|(token, _)| *token).collect();
        if tokens.is_empty() {
            return false;
        }
        match self.worker.queue.give_way(&tokens, SLICE).await {
            Ok(token) => {
                let Some(running) = token.and_then(|token| self.running.get_mut(&token)) else { return false };
                tracing::info!(job = %running.job, "the job gives way to somebody else's");
                running.stop.wish(Wish::GiveWay);
                running.gives_way = true;
                true
            }
            Err(error) => {
                tracing::debug!(%error, "can't ask who is to give way");
                false
            }
        }
    }

    /// Whether a lease that is taken now can be kept: the last renewal succeeded, and there is a connection for the next one.
    async fn can_renew(&self) -> Result<(), String> {
        if !*self.able.borrow() {
            return Err("the last renewal failed".to_owned());
        }
        let within = self.worker.settings.lease / 6;
        self.worker.renewals.fetch_connection(within).await.map_err(|error| error.to_string())
    }

    fn wish(&self, job: Uuid, wish: Wish) {
        for running in self.running.values().filter(|running| running.job == job) {
            running.stop.wish(wish);
        }
    }

    fn forget(&mut self, ended: Result<(i64, Outcome), tokio::task::JoinError>) {
        match ended {
            Ok((token, outcome)) => {
                self.held.remove(token);
                if let Some(Running { job, .. }) = self.running.remove(&token) {
                    tracing::info!(%job, ?outcome, "job left");
                    metrics::job_left(outcome.as_str(), self.running.len());
                }
            }
            Err(error) => {
                // Which job it was is not told: its lease is not renewed once its stop channel is closed.
                tracing::error!(%error, "the work on a job panicked; its lease will run out");
                let held = &self.held;
                self.running.retain(|token, running| {
                    let alive = running.stop.is_heard();
                    if !alive {
                        held.remove(*token);
                    }
                    alive
                });
            }
        }
    }

    /// Looks round, and does what is to be done at once. Returns whether there may be jobs to claim, and when to look before it is time.
    async fn look(&self) -> (bool, Option<Instant>) {
        let Some(found) = self.check_in("running").await else {
            // What could not be asked may be there.
            return (true, None);
        };
        if found.debris {
            self.debris.notify_one();
        }
        if found.lost_leases {
            self.rescue().await;
        }
        if found.next == Some(Duration::ZERO) {
            self.due.notify_one();
            return (found.jobs || found.lost_leases, None);
        }
        (found.jobs || found.lost_leases, found.next.map(|pause| Instant::now() + pause))
    }

    /// Takes back all jobs whose leases ran out, some at a time.
    async fn rescue(&self) {
        let (attempts, held) = (self.worker.settings.job_attempts, self.held.tokens());
        let mut alone = false;
        for _ in 0..MOST_RESCUES {
            match self.worker.queue.rescue_jobs(attempts, &held, alone).await {
                Ok(0) => return,
                Ok(jobs) => {
                    tracing::warn!(jobs, "took back jobs whose workers were lost");
                    metrics::jobs_rescued(jobs);
                }
                // One whose rows can't be written is not to keep the others.
                Err(error @ queue::Error::Refused(_)) => {
                    if !std::mem::replace(&mut alone, true) {
                        tracing::warn!(%error, "can't take back the jobs of lost workers; trying one by one");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "can't take back the jobs of lost workers");
                    return;
                }
            }
        }
    }

    /// Says how this worker is, and hears what there is to do; nothing when the database is away.
    async fn check_in(&self, state: &'static str) -> Option<ToDo> {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let report = WorkerReport {
            id: self.id,
            name: &self.worker.settings.name,
            concurrency: number(self.worker.settings.jobs),
            running: number(self.running.len()),
            state,
        };
        let found = self.worker.queue.check_in(&report, &self.held.tokens()).await;
        found.inspect_err(|error| tracing::warn!(%error, "can't look for what there is to do")).ok()
    }

    async fn drain(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let grace = self.worker.settings.grace;
        tracing::info!(jobs = self.running.len(), grace_s = grace.as_secs(), "draining: running images may finish");
        let end = Instant::now() + grace;
        for running in self.running.values() {
            running.stop.wish(Wish::Drain);
        }
        self.check_in("draining").await;
        while !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                () = sleep_until(end) => break,
            }
        }
        for running in self.running.values() {
            running.stop.wish(Wish::Release);
        }
        let end = Instant::now() + PARTING;
        while !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                () = sleep_until(end) => {
                    tracing::warn!(jobs = self.running.len(), "jobs could not be given back; their leases will run out");
                    return;
                }
            }
        }
    }
}
