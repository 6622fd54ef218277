//! Realtime for one project: Phoenix channels over a websocket, fed by clients and by a logical replication slot.
//!
//! What a client sends travels `http` -> `socket` -> `channel` -> `hub`; what the database commits travels `replication` ->
//! `pgoutput` -> `delivery` -> `hub`. Nothing here decides who may see what: `policy` and `delivery` ask the database.
//!
//! Weakness: no rate limits and no replay of stored broadcasts; a client that reads slowly is kept, not disconnected.

mod binding;
mod channel;
mod delivery;
mod http;
mod hub;
mod listening;
mod pgoutput;
mod policy;
mod presence;
mod published;
mod replication;
mod row;
mod socket;
mod token;
mod wire;

use std::sync::Arc;

use anyhow::Context;
use deadpool_postgres::Pool;
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::http::router;
use super::caller::Keys;

/// The running service. Clones are the same service.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

struct Inner {
    pool: Pool,
    keys: Arc<Keys>,
    hub: hub::Hub,
    /// The task that polls the slot, while anybody is in a channel.
    replication: Mutex<Option<JoinHandle<()>>>,
    /// Tells every websocket to close its channels, and why.
    closing: broadcast::Sender<Arc<str>>,
    stopping: CancellationToken,
}

impl Realtime {
    /// Makes the service for one database. `pool` must be connected as a superuser.
    ///
    /// # Errors
    /// When the database can't be reached or wasn't set up for Realtime.
    pub async fn start(pool: Pool, keys: Arc<Keys>) -> anyhow::Result<Self> {
        let client = pool.get().await.context("Realtime can't reach its database")?;
        let ready = "select current_setting('wal_level') = 'logical' and to_regclass('realtime.messages') is not null";
        let is_ready: bool = client.query_one(ready, &[]).await?.get(0);
        anyhow::ensure!(
            is_ready,
            "Realtime needs wal_level = logical and the schema `realtime`: set up the database anew"
        );
        // The real server drops the partitions of days that are over.
        client.execute("delete from realtime.messages where inserted_at < now() - interval '3 days'", &[]).await?;
        drop(client);
        Ok(Self(Arc::new(Inner {
            pool,
            keys,
            hub: hub::Hub::default(),
            replication: Mutex::new(None),
            closing: broadcast::Sender::new(4),
            stopping: CancellationToken::new(),
        })))
    }

    /// Closes every channel for good and leaves the websockets open, as the real server does to who is over its limits: it says
    /// `reason`, and does not let the client join again by itself.
    pub fn close_channels(&self, reason: &str) {
        // Without a websocket there is none to close.
        let _ = self.0.closing.send(reason.into());
    }

    /// Closes every websocket and drops the replication slot; returns when it is gone.
    pub async fn stop(&self) {
        self.0.stopping.cancel();
        let running = self.0.replication.lock().await.take();
        if let Some(task) = running {
            let _ = task.await;
        }
    }
}

impl Inner {
    /// Makes sure that a slot is there: every transaction that commits after this is delivered.
    async fn replicate(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut running = self.replication.lock().await;
        if running.as_ref().is_some_and(|task| !task.is_finished()) || self.stopping.is_cancelled() {
            return Ok(());
        }
        let Some(slot) = self.open_slot().await? else { return Ok(()) };
        *running = Some(tokio::spawn(replication::run(Arc::downgrade(self), slot)));
        Ok(())
    }

    /// A new slot; `None` when the server stops first, because a transaction that somebody left open can hold a slot up for ever.
    async fn open_slot(&self) -> anyhow::Result<Option<replication::Slot>> {
        tokio::select! {
            slot = replication::Slot::open(&self.pool) => slot.map(Some),
            () = self.stopping.cancelled() => Ok(None),
        }
    }
}
