//! The jobs that run here, by the tokens of their leases: the worker's loop and the renewal have it in common.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::pipeline::{Directive, StopHandle};
use crate::queue::Renewal;

/// A job that is running here.
#[derive(Debug)]
pub(super) struct RunningJob {
    pub(super) id: Uuid,
    pub(super) stop: StopHandle,
    /// Whether it can give way between two images.
    pub(super) is_long: bool,
    /// Whether it was told to: it ends what it has begun, and has no slot any more.
    gives_way: bool,
}

impl RunningJob {
    pub(super) fn new(id: Uuid, stop: StopHandle, is_long: bool) -> Self {
        Self { id, stop, is_long, gives_way: false }
    }
}

/// All of them. A job whose lease was lost may be claimed again while the first work on it still ends: it is here twice then.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<i64, RunningJob>>>);

impl Running {
    pub(super) fn add(&self, token: i64, job: RunningJob) {
        self.lock().insert(token, job);
    }

    pub(super) fn remove(&self, token: i64) -> Option<RunningJob> {
        self.lock().remove(&token)
    }

    /// Removes those whose work has ended without a word.
    pub(super) fn remove_dead(&self) {
        self.lock().retain(|_, job| job.stop.is_heard());
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Those that have a slot.
    pub(super) fn slots(&self) -> usize {
        self.lock().values().filter(|job| !job.gives_way).count()
    }

    pub(super) fn tokens(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    /// The leases of those that can make room between two images.
    pub(super) fn that_can_give_way(&self) -> Vec<i64> {
        let jobs = self.lock();
        jobs.iter().filter(|(_, job)| job.is_long && !job.gives_way).map(|(token, _)| *token).collect()
    }

    /// Takes its slot from a job, which ends what it has begun. Says which job it was.
    pub(super) fn give_way(&self, token: i64) -> Option<Uuid> {
        let mut jobs = self.lock();
        let job = jobs.get_mut(&token)?;
        job.gives_way = true;
        job.stop.direct(Directive::GiveWay);
        Some(job.id)
    }

    pub(super) fn cancel(&self, id: Uuid) {
        self.lock().values().filter(|job| job.id == id).for_each(|job| job.stop.direct(Directive::Cancel));
    }

    pub(super) fn direct_all(&self, directive: Directive) {
        self.lock().values().for_each(|job| job.stop.direct(directive));
    }

    /// Of the leases with these tokens those that do not come back are lost, and their jobs are told so.
    pub(super) fn take_renewed(&self, tokens: &[i64], renewed: &[Renewal]) {
        let jobs = self.lock();
        for token in tokens {
            let Some(job) = jobs.get(token) else { continue };
            match renewed.iter().find(|renewal| renewal.token == *token) {
                Some(renewal) if renewal.cancel_requested => job.stop.direct(Directive::Cancel),
                Some(_) => {}
                None => job.stop.direct(Directive::Lost),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, RunningJob>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
