//! A channel's listening to the database: begun in the background, or before the join is answered where the client waits for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::binding::Binding;
use super::channel::NO_DATABASE;
use super::hub::{Member, Subscriber};
use super::{Inner, published};
use crate::caller::Caller;

/// What a channel is to hear of the database, and as whom.
pub struct Listening {
    /// The service.
    pub inner: Arc<Inner>,
    /// Who is told.
    pub member: Member,
    /// As whom PostgreSQL is asked.
    pub caller: Caller,
    /// The entries of `config.postgres_changes`.
    pub entries: Vec<Value>,
    /// Whether the client wants to know when the replication is there.
    pub tells_ready: bool,
}

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
pub enum Deaf {
    /// There is no replication slot.
    #[error("UnableToConnectToProject: {NO_DATABASE}")]
    NoDatabase,
    /// The entries name what can't be listened to.
    #[error("RealtimeDisabledForConfiguration: {0}")]
    Refused(String),
    /// It took longer than the client would wait.
    #[error("PostgresChangesSubscribeTimeout: Timed out after {0}ms waiting for the postgres_changes subscription")]
    TooLate(u64),
}

/// Milliseconds that a client waits when it doesn't say how long, and those that it waits at most.
const PATIENCE: (u64, u64) = (15_000, 20_000);

/// The bindings of a channel, each with the tables that it names.
pub type Bindings = Vec<(Binding, Vec<u32>)>;

impl Listening {
    /// Makes sure that changes come, and finds out which of them are meant.
    async fn prepare(&self) -> Result<Bindings, Deaf> {
        self.inner.replicate().await.map_err(|error| {
            tracing::warn!(error = %format!("{error:#}"), "Realtime has no replication slot");
            Deaf::NoDatabase
        })?;
        published::resolve(&self.inner.pool, &self.caller.role, &self.entries).await.map_err(Deaf::Refused)
    }

    /// Prepares within the time that the client names in `postgres_changes_options.timeout`.
    ///
    /// # Errors
    /// When changes can't come, or not in time.
    pub async fn prepare_within(&self, timeout: Option<u64>) -> Result<Bindings, Deaf> {
        let timeout = timeout.unwrap_or(PATIENCE.0).min(PATIENCE.1);
        let prepared = tokio::time::timeout(Duration::from_millis(timeout), self.prepare()).await;
        prepared.unwrap_or(Err(Deaf::TooLate(timeout)))
    }

    /// Hears all that commits from now on, and tells the client so.
    pub fn begin(self, bindings: Bindings) {
        self.tell_ready();
        let (member, nothing) = (self.member.clone(), bindings.is_empty());
        let subscriber = Subscriber { member: self.member, caller: self.caller, bindings };
        if !nothing && self.inner.hub.subscribe(subscriber) {
            member.tell("postgres_changes", "ok", "Subscribed to PostgreSQL");
        }
    }

    /// Prepares and begins while the client goes on; `system` messages tell it how that went.
    pub fn in_background(self) {
        tokio::spawn(async move {
            match self.prepare().await {
                Ok(bindings) => self.begin(bindings),
                Err(Deaf::Refused(reason)) => {
                    self.tell_ready();
                    self.member.tell("postgres_changes", "error", &reason);
                }
                Err(Deaf::NoDatabase | Deaf::TooLate(_)) => self.member.tell("system", "error", NO_DATABASE),
            }
        });
    }

    fn tell_ready(&self) {
        if self.tells_ready {
            self.member.tell("system", "ok", "Replication connection established");
        }
    }
}
