//! Lets scheduled jobs take their turns, beside the worker's loop: a thousand that are due together delay no claim.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::queue::Queue;

/// Works for ever: whenever `due` is notified it gives their turns to all jobs that are due, some at a time, and tells `promoted` after each time that
/// there is something to claim, and in how long the next one is due.
pub(super) async fn promote(queue: Queue, due: Arc<Notify>, promoted: mpsc::Sender<Option<Duration>>) {
    loop {
        due.notified().await;
        loop {
            match queue.promote_jobs().await {
                Ok((more, next)) => {
                    if promoted.send(next).await.is_err() {
                        return;
                    }
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    // The worker's next poll sees them again.
                    tracing::warn!(%error, "scheduled jobs could not take their turns");
                    break;
                }
            }
        }
    }
}
