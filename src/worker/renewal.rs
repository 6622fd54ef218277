//! Keeps leases alive, and hears by the way what their owners want.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::pipeline::{StopHandle, Wish};
use crate::queue::Queue;

/// The leases that this worker holds, by their tokens.
#[derive(Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashMap<i64, StopHandle>>>);

impl Held {
    pub(super) fn add(&self, token: i64, stop: StopHandle) {
        self.lock().insert(token, stop);
    }

    pub(super) fn tokens(&self) -> Vec<i64> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn remove(&self, token: i64) {
        self.lock().remove(&token);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, StopHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews all held leases for ever, every third of `lease`, and says with `able` whether it can. A lease that does not come back is lost,
/// and its job is told so.
pub(super) async fn renew(queue: Queue, held: Held, lease: Duration, able: watch::Sender<bool>) {
    let mut ticks = interval(lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let tokens = held.tokens();
        if tokens.is_empty() {
            // The next claim looks whether there is a connection.
            able.send_replace(true);
            continue;
        }
        let renewed = queue.renew_leases(&tokens, lease).await;
        able.send_replace(renewed.is_ok());
        let renewed = match renewed {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::error!(%error, leases = tokens.len(), "leases could not be renewed");
                continue;
            }
        };
        let held = held.lock();
        for token in tokens {
            let Some(stop) = held.get(&token) else { continue };
            match renewed.iter().find(|renewal| renewal.token == token) {
                Some(renewal) if renewal.cancel_requested => stop.wish(Wish::Cancel),
                Some(_) => {}
                None => stop.wish(Wish::Lost),
            }
        }
    }
}
