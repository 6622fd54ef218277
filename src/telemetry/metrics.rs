//! Numbers for Prometheus: every name and label has its home here, and is told in src/worker/README.md.
//!
//! They are kept once [`recorder`] was called, which the HTTP API does; without it, counting costs next to nothing.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of what is measured in seconds, from a claim to a slow image.
const BOUNDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0, 600.0];
/// Between two times that old samples are put together, whether somebody looks or not.
const UPKEEP: Duration = Duration::from_secs(30);

/// What has been counted in this process.
pub fn recorder() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = match builder.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BOUNDS) {
            Ok(builder) => builder,
            Err(_) => PrometheusBuilder::new(),
        };
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("something else in this process counts already: /metrics stays empty");
        }
        describe();
        let kept = handle.clone();
        // Not a task: it outlives the runtime that called first.
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(UPKEEP);
                kept.run_upkeep();
            }
        });
        handle
    })
}

fn describe() {
    describe_gauge!("carousel_jobs", "Jobs that are not over, by state (all workers).");
    describe_gauge!("carousel_jobs_oldest_seconds", "Age of the oldest job that is due and waits (all workers).");
    describe_gauge!("carousel_jobs_in_flight", "Jobs that this worker works on.");
    describe_counter!("carousel_jobs_left_total", "Jobs that this worker has left, by outcome.");
    describe_counter!("carousel_jobs_rescued_total", "Jobs taken back from lost workers.");
    describe_counter!("carousel_leases_lost_total", "Jobs that this worker lost while it worked on them.");
    describe_histogram!("carousel_claim_seconds", "Time of a claim.");
    describe_counter!("carousel_images_total", "Images by what came of them: ok, or the code of the failure.");
    describe_counter!("carousel_retries_total", "Images that are tried again, by the code of the failure.");
    describe_histogram!("carousel_call_seconds", "Time from a paid call's start to the recorded image, by outcome.");
    describe_gauge!("carousel_calls_in_flight", "Paid calls under way.");
    describe_counter!("carousel_cost_microdollars_total", "Millionths of a dollar that finished images have cost.");
    describe_gauge!("carousel_database_connections", "Connections of the queue's pool, by use.");
    describe_counter!("carousel_http_requests_total", "Requests by method, route and status.");
    describe_histogram!("carousel_http_request_seconds", "Time to the head of an answer, by method and route.");
}

/// A request was answered.
pub fn request_answered(method: &str, route: &str, status: u16, took: Duration) {
    // Any token may stand for a method: only those that are known become labels.
    let method = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"].into_iter().find(|known| *known == method);
    let (method, route) = (method.unwrap_or("other"), route.to_owned());
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    counter!("carousel_http_requests_total", &labels).increment(1);
    histogram!("carousel_http_request_seconds", &labels[..2]).record(took);
}

/// How many jobs wait and run, and how old the oldest of those is that are due.
pub fn queue_measured(pending: u64, processing: u64, oldest: Duration) {
    gauge!("carousel_jobs", "state" => "pending").set(pending as f64);
    gauge!("carousel_jobs", "state" => "processing").set(processing as f64);
    gauge!("carousel_jobs_oldest_seconds").set(oldest.as_secs_f64());
}

/// How many of the pool's connections are used and idle.
pub fn pool_measured(used: usize, idle: usize) {
    gauge!("carousel_database_connections", "use" => "used").set(used as f64);
    gauge!("carousel_database_connections", "use" => "idle").set(idle as f64);
}

/// Jobs were claimed, or none, in this time; so many run here now.
pub fn claimed(took: Duration, running: usize) {
    histogram!("carousel_claim_seconds").record(took);
    gauge!("carousel_jobs_in_flight").set(running as f64);
}

/// A job was left: `completed`, `partial`, `failed`, `cancelled`, `released` or `lost`. So many run here now.
pub fn job_left(outcome: &'static str, running: usize) {
    counter!("carousel_jobs_left_total", "outcome" => outcome).increment(1);
    if outcome == "lost" {
        counter!("carousel_leases_lost_total").increment(1);
    }
    gauge!("carousel_jobs_in_flight").set(running as f64);
}

/// Jobs were taken back from lost workers.
pub fn jobs_rescued(jobs: usize) {
    counter!("carousel_jobs_rescued_total").increment(jobs as u64);
}

/// An image is there, at this cost in millionths of a dollar where it is known.
pub fn image_made(cost: Option<i64>) {
    counter!("carousel_images_total", "code" => "ok").increment(1);
    counter!("carousel_cost_microdollars_total").increment(cost.and_then(|cost| cost.try_into().ok()).unwrap_or(0));
}

/// An image can't be made.
pub fn image_failed(code: &str) {
    counter!("carousel_images_total", "code" => code.to_owned()).increment(1);
}

/// An image is tried again.
pub fn image_tried_again(code: &str) {
    counter!("carousel_retries_total", "code" => code.to_owned()).increment(1);
}

/// A paid call that is under way. Dropping it ends it.
pub struct Call(std::time::Instant);

impl Call {
    /// One begins.
    #[expect(clippy::new_without_default, reason = "a call begins, it is not a value")]
    pub fn new() -> Self {
        gauge!("carousel_calls_in_flight").increment(1.0);
        Self(std::time::Instant::now())
    }

    /// It came to its end: `ok`, or the code of the failure.
    pub fn ended(self, code: &str) {
        histogram!("carousel_call_seconds", "code" => code.to_owned()).record(self.0.elapsed());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        gauge!("carousel_calls_in_flight").decrement(1.0);
    }
}
