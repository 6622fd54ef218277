//! When a job's rows are to be read again: whenever Realtime hints at a change, and every few seconds anyway.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::supabase::{Caller, Subscription};

/// Between looks at the rows while Realtime hints.
const LOOK: Duration = Duration::from_secs(10);
/// Between looks at the rows without hints.
const LOOK_ALONE: Duration = Duration::from_secs(2);
/// Changes that come together are read together.
const TOGETHER: Duration = Duration::from_millis(150);
/// How long Realtime may take to begin.
const OPENING: Duration = Duration::from_secs(5);
/// Between tries to get hints again.
const REOPEN: Duration = Duration::from_secs(30);

/// Hints at changes of one job.
pub(super) struct Hints {
    caller: Caller,
    job: Uuid,
    owner: Uuid,
    subscription: Option<Subscription>,
    opened: Option<Instant>,
}

impl Hints {
    pub(super) fn new(caller: &Caller, job: Uuid, owner: Uuid) -> Self {
        Self { caller: caller.clone(), job, owner, subscription: None, opened: None }
    }

    /// Resolves when the rows are to be read again.
    pub(super) async fn changed(&mut self) {
        if self.subscription.is_none() && self.opened.is_none_or(|opened| opened.elapsed() > REOPEN) {
            self.opened = Some(Instant::now());
            // What has changed before is not hinted at.
            self.subscription = self.open().await;
            return;
        }
        let look = if self.subscription.is_some() { LOOK } else { LOOK_ALONE };
        tokio::select! {
            () = self.hinted() => sleep(TOGETHER).await,
            () = sleep(look) => {}
        }
    }

    async fn open(&self) -> Option<Subscription> {
        match timeout(OPENING, self.caller.changes_of(self.job, self.owner)).await {
            Ok(Ok(subscription)) => Some(subscription),
            Ok(Err(error)) => {
                tracing::debug!(%error, job = %self.job, "Realtime gives no hints; looking oftener");
                None
            }
            Err(_) => None,
        }
    }

    async fn hinted(&mut self) {
        let Some(subscription) = &mut self.subscription else { return std::future::pending().await };
        loop {
            match subscription.next().await {
                Some(event) if event.is_of(self.job) => return,
                Some(_) => {}
                None => {
                    self.subscription = None;
                    return;
                }
            }
        }
    }
}
