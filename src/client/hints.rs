//! When a job's rows are to be read again: whenever Realtime hints at a change, and every few seconds anyway.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::supabase::{Caller, Event, Subscription};

/// Between looks at the rows while Realtime hints.
const LOOK: Duration = Duration::from_secs(10);
/// Between looks at the rows without hints.
pub(super) const LOOK_ALONE: Duration = Duration::from_secs(2);
/// Changes that come together are read together.
const TOGETHER: Duration = Duration::from_millis(150);
/// How long Realtime may take to begin.
const OPENING: Duration = Duration::from_secs(5);
/// How long it is left alone after it refused or closed, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What to do about a job that is followed.
#[derive(Debug)]
pub enum Hint {
    /// Realtime tells of a change of one of its rows.
    Told(Event),
    /// Its rows are to be read: something may have changed unseen.
    Look,
}

/// Hints at changes of one job.
pub struct Hints {
    caller: Caller,
    job: Uuid,
    owner: Uuid,
    subscription: Option<Subscription>,
    /// When Realtime may be asked again, and how long it is left alone after that.
    again: Instant,
    pause: Duration,
}

impl Hints {
    /// Hints at a job of `owner`. Connects to nothing yet.
    pub fn new(caller: &Caller, job: Uuid, owner: Uuid) -> Self {
        Self { caller: caller.clone(), job, owner, subscription: None, again: Instant::now(), pause: PAUSE.0 }
    }

    /// The next hint.
    pub async fn next(&mut self) -> Hint {
        if self.subscription.is_none() && Instant::now() >= self.again {
            // What has held for long may be joined again at once.
            if self.again.elapsed() > PAUSE.1 {
                self.pause = PAUSE.0;
            }
            self.subscription = self.open().await;
            self.again = Instant::now() + self.pause;
            self.pause = PAUSE.1.min(self.pause * 2);
            // What has changed before is not hinted at.
            return Hint::Look;
        }
        let look = if self.subscription.is_some() { LOOK } else { LOOK_ALONE };
        tokio::select! {
            told = self.told() => told.map_or(Hint::Look, Hint::Told),
            () = sleep(look) => Hint::Look,
        }
    }

    /// Resolves when the rows are to be read again.
    pub async fn changed(&mut self) {
        if let Hint::Told(_) = self.next().await {
            sleep(TOGETHER).await;
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

    /// What is told of the job. Others' are told of on the same channel: they keep nobody from looking.
    async fn told(&mut self) -> Option<Event> {
        let Some(subscription) = &mut self.subscription else { return std::future::pending().await };
        loop {
            match subscription.next().await {
                Some(event) if event.is_of(self.job) => return Some(event),
                Some(_) => {}
                None => {
                    self.subscription = None;
                    return None;
                }
            }
        }
    }
}
