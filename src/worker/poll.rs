//! What the worker finds when it polls: jobs, what lost workers held, and what is to be removed.

use std::time::Duration;

use tokio::time::Instant;

use super::Runner;
use crate::queue::{self, ToDo, WorkerReport};
use crate::telemetry::metrics;

/// Statements of one poll that take back what lost workers held.
const MOST_RESCUES: usize = 64;

impl Runner {
    /// Polls, and does what is to be done at once.
    pub(super) async fn poll(&mut self) {
        self.scheduled = None;
        // What could not be asked may be there.
        self.promising = true;
        let Some(found) = self.heartbeat("running").await else { return };
        if found.removals {
            self.removals_due.notify_one();
        }
        if found.lost_leases {
            self.rescue().await;
        }
        self.promising = found.jobs || found.lost_leases;
        match found.next {
            Some(Duration::ZERO) => self.jobs_due.notify_one(),
            next => self.scheduled = next.map(|pause| Instant::now() + pause),
        }
    }

    /// Takes back all jobs whose leases ran out, some at a time.
    async fn rescue(&self) {
        let held = self.running.tokens();
        let mut alone = false;
        for _ in 0..MOST_RESCUES {
            match self.worker.queue.rescue_jobs(&held, alone).await {
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
    pub(super) async fn heartbeat(&self, state: &'static str) -> Option<ToDo> {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let report = WorkerReport {
            id: self.id,
            name: &self.worker.settings.name,
            concurrency: number(self.worker.settings.jobs),
            running: number(self.running.len()),
            state,
        };
        let found = self.worker.queue.heartbeat(&report, &self.running.tokens()).await;
        found.inspect_err(|error| tracing::warn!(%error, "can't ask what there is to do")).ok()
    }
}
