//! A circuit breaker over all jobs of this worker: what fails for all alike is paid for as rarely as can be.
//!
//! Closed, calls are begun freely. After a failure that reaches beyond its job it is half open: one call at a time, until a picture succeeds.
//! When another job meets the same, the caller leaves the provider or the bucket alone, in the row that all workers read; then it is
//! half open again. Its weakness: each worker finds out for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::failure::Reach;

/// What is in doubt, and whose turn it is to try.
pub(super) struct Circuit {
    doubts: Mutex<Doubts>,
    turn: Semaphore,
}

#[derive(Default)]
struct Doubts {
    provider: Option<Doubt>,
    bucket: Option<Doubt>,
}

struct Doubt {
    /// Code of the failure.
    code: String,
    /// The jobs that have met it, in this order, since the last success.
    jobs: Vec<Uuid>,
}

/// Who has met a failure before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Nobody.
    First,
    /// This job, and no other.
    BySame,
    /// Another job, and this one not.
    ByOther,
    /// This job, and others.
    ByBoth,
}

impl Circuit {
    pub(super) fn new() -> Self {
        Self { doubts: Mutex::default(), turn: Semaphore::new(1) }
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is in doubt.
    pub(super) fn is_half_open(&self) -> bool {
        let doubts = self.doubts();
        doubts.provider.is_some() || doubts.bucket.is_some()
    }

    /// Whether it is the bucket that is in doubt.
    pub(super) fn doubts_bucket(&self) -> bool {
        self.doubts().bucket.is_some()
    }

    /// Waits for the turn to make the only call, as long as something is in doubt; nothing when nothing is.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if !self.is_half_open() {
            return None;
        }
        let turn = self.turn.acquire().await.ok()?;
        // Those who waited learn from the one before them.
        self.is_half_open().then_some(turn)
    }

    /// Takes the turn if nobody has it: who meets a failure first, and may try once more, lets nobody try between.
    pub(super) fn try_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turn.try_acquire().ok()
    }

    /// The provider has sent a picture as it was asked for, or the bucket has taken one.
    pub(super) fn works(&self, reach: Reach) {
        *self.place(&mut self.doubts(), reach) = None;
    }

    /// The job has met a failure that reaches so far.
    pub(super) fn failed(&self, reach: Reach, code: &str, job: Uuid) -> Met {
        let mut doubts = self.doubts();
        match self.place(&mut doubts, reach) {
            Some(doubt) if doubt.code == code => match (doubt.jobs.contains(&job), doubt.jobs.len()) {
                (true, 1) => Met::BySame,
                (true, _) => Met::ByBoth,
                (false, _) => {
                    doubt.jobs.push(job);
                    Met::ByOther
                }
            },
            place => {
                *place = Some(Doubt { code: code.to_owned(), jobs: vec![job] });
                Met::First
            }
        }
    }

    fn place<'a>(&self, doubts: &'a mut Doubts, reach: Reach) -> &'a mut Option<Doubt> {
        if reach == Reach::Bucket { &mut doubts.bucket } else { &mut doubts.provider }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn in_doubt_one_tries_at_a_time_and_a_success_lets_all_go_on() {
        let circuit = Circuit::new();
        assert!(circuit.turn().await.is_none(), "nothing is in doubt");
        assert_eq!(circuit.failed(Reach::Provider, "a", Uuid::nil()), Met::First);
        let held = circuit.turn().await.expect("it is this one's turn");
        assert!(circuit.try_turn().is_none());
        let mut waiting = std::pin::pin!(circuit.turn());
        assert!(futures::poll!(&mut waiting).is_pending());
        circuit.works(Reach::Bucket);
        assert!(circuit.is_half_open(), "the bucket is not the provider");
        circuit.works(Reach::Provider);
        drop(held);
        assert!(waiting.await.is_none(), "it need not be alone any more");
    }

    #[test]
    fn jobs_that_meet_the_same_since_the_last_success_are_told_apart() {
        let (circuit, one, other) = (Circuit::new(), Uuid::from_u128(1), Uuid::from_u128(2));
        let met = |job| circuit.failed(Reach::Provider, "a", job);
        assert_eq!([met(one), met(one), met(other), met(other), met(one)], {
            [Met::First, Met::BySame, Met::ByOther, Met::ByBoth, Met::ByBoth]
        });
        assert_eq!(circuit.failed(Reach::Bucket, "a", other), Met::First, "each side has its own");
        assert!(circuit.doubts_bucket());
        assert_eq!(circuit.failed(Reach::Provider, "b", other), Met::First, "so has each kind");
        circuit.works(Reach::Provider);
        assert_eq!(met(other), Met::First);
    }
}
