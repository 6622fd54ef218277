//! Keeps leases alive, and hears by the way what their owners want.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::running::Running;
use crate::queue::Queue;

/// Renews the leases of all running jobs for ever, every third of `lease`, and says with `able` whether it can.
pub(super) async fn renew(queue: Queue, running: Running, lease: Duration, able: watch::Sender<bool>) {
    let mut ticks = interval(lease / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let tokens = running.tokens();
        if tokens.is_empty() {
            // The next claim looks whether there is a connection.
            able.send_replace(true);
            continue;
        }
        let renewed = queue.renew_leases(&tokens, lease).await;
        able.send_replace(renewed.is_ok());
        match renewed {
            Ok(renewed) => running.take_renewed(&tokens, &renewed),
            Err(error) => tracing::error!(%error, leases = tokens.len(), "leases could not be renewed"),
        }
    }
}
