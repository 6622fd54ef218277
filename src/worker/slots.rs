//! The slots: jobs come into them by a claim, and leave them by their end, for somebody else, or with the worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep_until, timeout};

use super::helpers::{HelperEnded, Helpers};
use super::running::RunningJob;
use super::{PARTING, RENEWAL, Runner};
use crate::pipeline::{Directive, Outcome, Pipeline, stop};
use crate::queue::MOST_CLAIMED;
use crate::telemetry::metrics;

/// A job keeps its slot for so long when everybody who works has one job, and somebody waits who has none.
const SLICE: Duration = Duration::from_secs(30);

impl Runner {
    pub(super) fn free(&self) -> usize {
        self.worker.settings.jobs.saturating_sub(self.running.slots())
    }

    /// Claims for the free slots and starts what it got. It stays promising where there may be more.
    pub(super) async fn claim(&mut self) {
        self.promising = false;
        if let Err(why) = self.can_keep_leases().await {
            tracing::warn!(why, "no jobs are claimed while their leases could not be renewed; polling again soon");
            return;
        }
        let slots = self.free().min(MOST_CLAIMED);
        let started = Instant::now();
        let leases = match self.worker.queue.claim_jobs(self.id, slots, self.worker.settings.lease).await {
            Ok(leases) => leases,
            Err(error) => {
                tracing::warn!(%error, "no jobs could be claimed; polling again soon");
                return;
            }
        };
        self.promising = leases.len() == slots;
        for lease in leases {
            let (handle, stop) = stop();
            let (job, token) = (lease.job.id, lease.token());
            let is_long = self.worker.pipeline.is_long(&lease.job);
            tracing::info!(%job, user = %lease.job.user_id, attempt = lease.job.attempt, images = lease.job.total_images, "job claimed");
            if lease.cancel_requested {
                handle.direct(Directive::Cancel);
            }
            self.running.add(token, RunningJob::new(job, handle, is_long));
            let is_given_up = lease.job.attempt > self.worker.settings.job_attempts;
            let pipeline = Arc::clone(&self.worker.pipeline);
            self.tasks.spawn(async move {
                let outcome =
                    if is_given_up { Pipeline::abandon(lease).await } else { pipeline.run(lease, stop).await };
                (token, outcome)
            });
        }
        metrics::claimed(started.elapsed(), self.running.len());
    }

    /// Whether a lease that is taken now can be kept: the last renewal succeeded, and there is a connection for the next one.
    async fn can_keep_leases(&self) -> Result<(), String> {
        if !*self.can_renew.borrow() {
            return Err("the last renewal failed".to_owned());
        }
        let within = self.worker.settings.lease / 6;
        self.worker.renewals.fetch_connection(within).await.map_err(|error| error.to_string())
    }

    /// Lets one of the jobs make room for somebody else's, if one is to. Says whether one does.
    pub(super) async fn give_way(&self) -> bool {
        let tokens = self.running.that_can_give_way();
        if tokens.is_empty() {
            return false;
        }
        match self.worker.queue.give_way(&tokens, SLICE).await {
            Ok(token) => {
                let Some(job) = token.and_then(|token| self.running.give_way(token)) else { return false };
                tracing::info!(%job, "the job gives way to somebody else's");
                true
            }
            Err(error) => {
                tracing::debug!(%error, "can't ask who is to give way");
                false
            }
        }
    }

    pub(super) fn forget(&self, ended: Result<(i64, Outcome), JoinError>) {
        match ended {
            Ok((token, outcome)) => {
                if let Some(job) = self.running.remove(token) {
                    tracing::info!(job = %job.id, ?outcome, "job left");
                    metrics::job_left(outcome.as_str(), self.running.len());
                }
            }
            Err(error) => {
                // Which job it was is not told: it is the one that hears no more.
                tracing::error!(%error, "the work on a job panicked; its lease will run out");
                self.running.remove_dead();
            }
        }
    }

    /// Lets running images finish within the grace period, then gives the rest back; at once, where leases are renewed no more. Returns
    /// `result`, or what has gone wrong meanwhile.
    pub(super) async fn drain(
        &mut self,
        helpers: &mut Helpers,
        mut result: Result<(), HelperEnded>,
    ) -> Result<(), HelperEnded> {
        if self.running.is_empty() {
            return result;
        }
        let grace = self.worker.settings.grace;
        tracing::info!(jobs = self.running.len(), grace_s = grace.as_secs(), "draining: running images may finish");
        let end = Instant::now() + grace;
        self.running.direct_all(Directive::Drain);
        let _ = timeout(PARTING, self.heartbeat("draining")).await;
        let mut renewing = !result.as_ref().is_err_and(|ended| ended.name == RENEWAL);
        while renewing && !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                () = sleep_until(end) => break,
                ended = helpers.ended() => {
                    renewing = ended.name != RENEWAL;
                    result = result.and(Err(ended));
                }
            }
        }
        self.running.direct_all(Directive::Release);
        let end = Instant::now() + PARTING;
        while !self.running.is_empty() {
            tokio::select! {
                Some(ended) = self.tasks.join_next() => self.forget(ended),
                () = sleep_until(end) => {
                    tracing::warn!(jobs = self.running.len(), "jobs could not be given back; their leases will run out");
                    break;
                }
            }
        }
        result
    }
}
