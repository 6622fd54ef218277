//! Tasks beside the worker's loop that end no sooner than it does: one that does ends the worker.

use std::collections::HashMap;
use std::future::{Future, pending};

use tokio::task::{Id, JoinSet};

/// Why a worker ended that nobody had asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} ended, without which there is no worker: {how}")]
pub struct HelperEnded {
    /// Which of its tasks.
    pub name: &'static str,
    /// Its panic, as a rule.
    pub how: String,
}

/// The tasks, by name. They end with this.
#[derive(Default)]
pub(super) struct Helpers {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Helpers {
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one has ended; for ever, when there is none.
    pub(super) async fn ended(&mut self) -> HelperEnded {
        let (id, how) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "it returned".to_owned()),
            Some(Err(error)) => (error.id(), error.to_string()),
            None => pending().await,
        };
        let ended = HelperEnded { name: self.names.remove(&id).unwrap_or("a helper"), how };
        tracing::error!(error = %ended, "the worker ends");
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_ends_is_named_with_its_panic() {
        let mut helpers = Helpers::default();
        helpers.spawn("the listener", pending());
        helpers.spawn("the lease renewal", async { panic!("no clock") });
        let ended = helpers.ended().await;
        assert_eq!(ended.name, "the lease renewal");
        assert!(ended.how.contains("no clock"), "{ended}");
    }

    #[tokio::test]
    async fn one_that_returns_has_ended_as_well() {
        let mut helpers = Helpers::default();
        helpers.spawn("the clean-up", async {});
        assert_eq!(helpers.ended().await, HelperEnded { name: "the clean-up", how: "it returned".to_owned() });
    }
}
