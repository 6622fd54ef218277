//! Which faults strike in the long form, and when; what each may have cost is written down as it strikes.

use std::collections::HashSet;
use std::time::Duration;

use carousel_local::storage::faults::Stall;
use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::{Method, StatusCode};
use tokio::time::Instant;
use uuid::Uuid;

use super::load::provider_fault;
use crate::process::Worker;
use crate::proxy::Mode;
use crate::refusals::refuse;
use crate::scene::{Scene, Ways};
use crate::server::{Restartable, Stop};

/// What a database may refuse a statement with: something of every class, and all that pass by themselves.
const REFUSALS: [&str; 34] = [
    "03000", "08003", "08006", "0A000", "21000", "22001", "22P02", "23505", "23514", "24000", "25006", "25P04",
    "26000", "2BP01", "2F000", "34000", "38000", "39000", "40001", "40P01", "42501", "42P01", "44000", "53100",
    "53200", "53300", "54001", "55000", "55P03", "57014", "58030", "F0000", "P0001", "XX000",
];
/// What is refused before it is done: what is written when an image is begun, made or given up, and as its job goes on.
const REFUSED: [(&str, &str); 5] = [
    ("public.generated_carousel_images", "new.status = 'completed'"),
    ("public.generated_carousel_images", "new.status = 'generating'"),
    ("public.generated_carousel_images", "new.status = 'failed'"),
    ("public.image_generation_jobs", "new.stage = 'generating'"),
    ("public.image_generation_jobs", "new.stage = 'finished'"),
];
/// How a pooler, or a server, says that it has no room.
const FULL: [(&str, &str); 3] = [
    ("XX000", "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size"),
    ("53300", "too many connections for role"),
    ("08006", "connection to the server was lost"),
];

/// How often each fault has struck.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    kills: u64,
    pauses: u64,
    terms: u64,
    restarts: u64,
    crashes: u64,
    cuts: u64,
    freezes: u64,
    terminations: u64,
    storage: u64,
    refusals: u64,
    pooler: u64,
    pub provider: u64,
}

impl Counts {
    pub fn table(&self) -> [(&'static str, u64); 12] {
        [
            ("workers killed", self.kills),
            ("workers paused and woken", self.pauses),
            ("workers asked to end and replaced", self.terms),
            ("database restarts in good order", self.restarts),
            ("database crashes", self.crashes),
            ("networks cut", self.cuts),
            ("networks frozen, slow or away", self.freezes),
            ("sessions terminated", self.terminations),
            ("Storage faults", self.storage),
            ("statements refused by the database", self.refusals),
            ("times the pooler had no room", self.pooler),
            ("provider faults", self.provider),
        ]
    }
}

/// A worker with a network of its own, and what is to be undone about it.
struct Place {
    ways: Ways,
    worker: Option<Worker>,
    /// When the worker is woken, or a new one started, and the network mended.
    mend_at: Option<Instant>,
}

pub struct Schedule<'a> {
    scene: &'a Scene,
    server: &'a Restartable,
    places: Vec<Place>,
    stalls: Vec<(Instant, Stall)>,
    pub counts: Counts,
    /// Calls that were open when something struck that may have ended them for nobody.
    pub struck: HashSet<i64>,
    /// Workers that ended although nobody had asked them to.
    pub deserters: Vec<String>,
}

impl<'a> Schedule<'a> {
    pub async fn new(scene: &'a Scene, server: &'a Restartable) -> Self {
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(Place { ways: scene.ways().await, worker: None, mend_at: None });
        }
        let (stalls, counts, struck, deserters) = (Vec::new(), Counts::default(), HashSet::new(), Vec::new());
        let mut schedule = Self { scene, server, places, stalls, counts, struck, deserters };
        for place in 0..3 {
            schedule.replace(place);
        }
        schedule
    }

    /// Starts a new worker, which is ready a moment later.
    fn replace(&mut self, place: usize) {
        let more = [
            ("CAROUSEL_LEASE_SECONDS", "5"),
            // Few calls at once: what a strike ends is made again, and that is not to be all that is made.
            ("CAROUSEL_JOBS", "4"),
            ("CAROUSEL_CALLS", "5"),
            ("CAROUSEL_CALLS_PER_JOB", "3"),
            ("CAROUSEL_JOB_ATTEMPTS", "100"),
            ("CAROUSEL_GRACE_SECONDS", "2"),
        ];
        self.places[place].worker = Some(self.scene.worker_over(&self.places[place].ways, &more));
    }

    /// Writes down the calls that are open now.
    async fn note(&mut self) {
        let open = "select id from carousel_private.provider_calls where finished_at is null";
        self.struck.extend(self.scene.rows(open, &[]).await.iter().map(|row| row.get::<_, i64>(0)));
    }

    /// Mends what is due, and then perhaps strikes.
    pub async fn act(&mut self, random: &mut StdRng) {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..200))).await;
        self.mend(Instant::now()).await;
        let place = random.random_range(0..self.places.len());
        let idle = self.places[place].mend_at.is_none();
        let soon = Instant::now() + Duration::from_millis(random.random_range(100..2_000));
        let late = Instant::now() + Duration::from_millis(random.random_range(200..8_000));
        match random.random_range(0..1000) {
            0..25 if idle => {
                if let Some(mut worker) = self.places[place].worker.take() {
                    worker.pause();
                    self.note().await;
                    worker.kill().await;
                    self.note().await;
                    self.counts.kills += 1;
                }
                self.places[place].mend_at = Some(soon);
            }
            25..45 if idle => {
                if let Some(worker) = &self.places[place].worker {
                    worker.pause();
                    self.counts.pauses += 1;
                }
                self.places[place].mend_at = Some(late);
            }
            45..60 if idle => {
                self.counts.terms += 1;
                if let Some(mut worker) = self.places[place].worker.take() {
                    worker.ask_to_end();
                    // What is not finished within its grace is given up.
                    let ended = tokio::spawn(async move { worker.ended().await });
                    while !ended.is_finished() {
                        self.note().await;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        self.mend(Instant::now()).await;
                    }
                    ended.await.expect("it ends within its grace");
                }
                self.replace(place);
            }
            60..70 => {
                let crash = random.random_ratio(1, 2);
                let (how, counted) = if crash {
                    (Stop::Immediate, &mut self.counts.crashes)
                } else {
                    (Stop::Fast, &mut self.counts.restarts)
                };
                *counted += 1;
                self.note().await;
                self.server.stop(how).await;
                tokio::time::sleep(Duration::from_millis(random.random_range(0..3_000))).await;
                self.server.start().await;
                self.note().await;
            }
            70..100 => {
                self.note().await;
                self.places[place].ways.each()[random.random_range(0..3)].cut();
                self.note().await;
                self.counts.cuts += 1;
            }
            100..115 if idle => {
                self.note().await;
                let way = self.places[place].ways.each()[random.random_range(0..3)];
                match random.random_range(0..3) {
                    0 => way.set(Mode::Frozen),
                    1 => way.set(Mode::Slow(Duration::from_millis(50))),
                    _ => way.go_away(),
                }
                self.note().await;
                self.counts.freezes += 1;
                self.places[place].mend_at = Some(late);
            }
            115..125 => {
                self.note().await;
                let end = "select pg_terminate_backend(pid) from pg_stat_activity
                           where datname = current_database() and usename = 'carousel_worker'";
                self.scene.rows(end, &[]).await;
                self.note().await;
                self.counts.terminations += 1;
            }
            125..165 => self.strike_storage(late, random),
            165..215 => {
                self.counts.provider += 1;
                self.scene.deployment.openai.faults().next(provider_fault(random));
            }
            215..235 => {
                self.note().await;
                self.refuse(place, random).await;
                self.note().await;
            }
            235..245 if idle => {
                self.note().await;
                let way = &self.places[place].ways.database;
                let (code, words) = FULL[random.random_range(0..FULL.len())];
                way.set(Mode::Full(code, words));
                way.cut();
                self.note().await;
                self.counts.pooler += 1;
                self.places[place].mend_at = Some(late);
            }
            _ => {}
        }
    }

    /// Lets the database say no a few times: to what it has done for this worker, or before it does it for any.
    async fn refuse(&mut self, place: usize, random: &mut StdRng) {
        let times = random.random_range(1..4);
        self.counts.refusals += u64::from(times);
        let mut code = || REFUSALS[random.random_range(0..REFUSALS.len())];
        if times % 2 == 0 {
            let codes: Vec<&str> = (0..times).map(|_| code()).collect();
            return self.places[place].ways.database.refuse(&codes);
        }
        let code = code();
        let (table, when) = REFUSED[random.random_range(0..REFUSED.len())];
        refuse(self.scene, table, when, code, times).await;
    }

    fn strike_storage(&mut self, until: Instant, random: &mut StdRng) {
        self.counts.storage += 1;
        let faults = self.scene.deployment.stack.storage().faults();
        let method = [Method::GET, Method::POST, Method::POST, Method::DELETE][random.random_range(0..4)].clone();
        let object = match method {
            Method::GET => "/object/authenticated/generated-carousels",
            _ => "/object/generated-carousels",
        };
        let busy = r#"{"statusCode":"503","error":"SlowDown","message":"later"}"#;
        match random.random_range(0..5) {
            0 => faults.answer(2, method, object, StatusCode::SERVICE_UNAVAILABLE, busy),
            1 => faults.answer(1, method, object, StatusCode::BAD_GATEWAY, "<html>bad gateway</html>"),
            2 => faults.cut(1, method, object, 0),
            3 => faults.cut(1, method, object, 50),
            _ => self.stalls.push((until, faults.stall(1, method, object))),
        }
    }

    /// Undoes what was to last until `now`.
    async fn mend(&mut self, now: Instant) {
        for place in 0..self.places.len() {
            if self.places[place].mend_at.is_some_and(|at| at <= now) {
                self.note().await;
                self.mend_place(place);
            }
        }
        self.stalls.retain(|(until, stall)| {
            if *until <= now {
                stall.release();
            }
            *until > now
        });
        // A worker that was started while the database was away has ended with its reason.
        for place in 0..self.places.len() {
            let ended = self.places[place].worker.as_mut().is_some_and(Worker::has_ended);
            if ended && self.places[place].mend_at.is_none() {
                let log = self.places[place].worker.as_ref().map(Worker::log).unwrap_or_default();
                if log.contains("worker started") {
                    self.deserters.push(format!("a worker ended by itself: {:?}", log.lines().last()));
                }
                self.note().await;
                self.replace(place);
            }
        }
    }

    fn mend_place(&mut self, place: usize) {
        self.places[place].mend_at = None;
        for way in self.places[place].ways.each() {
            way.set(Mode::Open);
        }
        // One that was paused while it started, with the database away, may have ended: `mend` replaces it.
        let ended = self.places[place].worker.as_mut().is_some_and(Worker::has_ended);
        match &self.places[place].worker {
            Some(worker) if !ended => worker.wake(),
            Some(_) => {}
            None => self.replace(place),
        }
    }

    /// Undoes everything. From here on nothing strikes.
    pub async fn heal(&mut self) {
        let stack = &self.scene.deployment.stack;
        stack.storage().faults().clear();
        for (table, _) in REFUSED {
            self.scene.rows(&format!("drop trigger if exists refuse on {table}"), &[]).await;
        }
        self.scene.deployment.openai.faults().clear();
        self.note().await;
        for (_, stall) in self.stalls.drain(..) {
            stall.release();
        }
        for place in 0..self.places.len() {
            self.mend_place(place);
        }
        self.mend(Instant::now()).await;
        self.note().await;
    }

    /// Lets the workers end in good order.
    pub async fn finish(&mut self) {
        for place in &mut self.places {
            if let Some(mut worker) = place.worker.take() {
                worker.ask_to_end();
                worker.ended().await;
            }
        }
    }

    pub fn line(&self) -> String {
        let struck = self.counts.table().iter().map(|(_, count)| count).sum::<u64>();
        format!("faults: {struck}, billed: {}", self.scene.deployment.openai.billed())
    }

    /// Calls without an end that nothing has struck and whose jobs were not `unwanted`.
    pub async fn unexplained(&self, unwanted: &HashSet<Uuid>) -> Vec<String> {
        let open =
            "select id, job_id, to_jsonb(call) from carousel_private.provider_calls call where finished_at is null";
        let open = self.scene.rows(open, &[]).await;
        open.iter()
            .filter(|row| !self.struck.contains(&row.get::<_, i64>(0)) && !unwanted.contains(&row.get::<_, Uuid>(1)))
            .map(|row| format!("nothing explains that this call has no end: {}", row.get::<_, serde_json::Value>(2)))
            .collect()
    }
}
