//! The gate that a test closes to keep calls under way.

use tokio::sync::watch;

/// A gate, open at first.
#[derive(Clone)]
pub(super) struct Gate(watch::Sender<State>);

#[derive(Clone, Copy, Default)]
struct State {
    closed: bool,
    /// How often it was opened: what stalled before the last time may go on.
    opened: u64,
}

/// A point in the gate's history.
#[derive(Clone, Copy)]
pub(super) struct Moment(u64);

impl Gate {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State::default()))
    }

    pub(super) fn close(&self) {
        self.0.send_modify(|state| state.closed = true);
    }

    pub(super) fn open(&self) {
        self.0.send_modify(|state| {
            state.closed = false;
            state.opened += 1;
        });
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.0.borrow().opened)
    }

    /// Returns when the gate is open.
    pub(super) async fn pass(&self) {
        // The sender lives as long as `self`, so waiting can't fail; likewise below.
        let _ = self.0.subscribe().wait_for(|state| !state.closed).await;
    }

    /// Returns when the gate was opened after `moment`.
    pub(super) async fn opened_after(&self, moment: Moment) {
        let _ = self.0.subscribe().wait_for(|state| state.opened > moment.0).await;
    }
}
