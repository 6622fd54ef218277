//! The stream of committed changes: a temporary replication slot, polled while anybody is in a channel.
//!
//! One connection does everything, one change after the other, as the real server does. A temporary slot ends with its connection, so a
//! process that is killed leaves none behind; changes that commit while there is no slot are never delivered.

use std::sync::Weak;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object, Pool};
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::hub::{Hub, Room};
use super::pgoutput::{Action, Change, Decoder};
use super::wire::Payload;
use super::{Inner, delivery, row};

const POLL: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_millis(500);
const PUBLICATIONS: &str = "supabase_realtime,supabase_realtime_messages_publication";

/// A replication slot with the connection that it lives on.
pub struct Slot {
    client: ClientWrapper,
    name: String,
}

impl Slot {
    /// Makes a slot: every transaction that commits after this is seen. Waits for the transactions that are running.
    ///
    /// # Errors
    /// When the server can't be reached or has no slot left.
    pub async fn open(pool: &Pool) -> anyhow::Result<Self> {
        let client = Object::take(pool.get().await?);
        client.batch_execute("set timezone to 'UTC'; set application_name to 'realtime'").await?;
        let name = format!("supabase_realtime_{}", Uuid::new_v4().simple());
        let create = "select pg_create_logical_replication_slot($1, 'pgoutput', true)";
        client.execute(create, &[&name]).await?;
        Ok(Self { client, name })
    }

    async fn changes(&self) -> anyhow::Result<Vec<Change>> {
        let read = "select data from pg_logical_slot_get_binary_changes($1, null, null, \
                    'proto_version', '1', 'publication_names', $2)";
        let rows = self.client.query(read, &[&self.name, &PUBLICATIONS]).await?;
        let mut decoder = Decoder::default();
        let decoded = rows.iter().filter_map(|row| decoder.decode(row.get(0)).transpose());
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    /// Drops the slot; a slot whose connection is gone is gone already.
    async fn close(self) {
        let _ = self.client.execute("select pg_drop_replication_slot($1)", &[&self.name]).await;
    }
}

/// Polls `slot` and delivers what it holds, until nobody is in a channel or the server stops.
pub(super) async fn run(inner: Weak<Inner>, slot: Slot) {
    let mut slot = Some(slot);
    loop {
        let Some(inner) = inner.upgrade() else { break };
        let turn = async {
            if slot.is_none() {
                slot = inner.open_slot().await?;
            }
            let Some(open) = &mut slot else { return Ok(0) };
            let changes = open.changes().await?;
            for change in &changes {
                deliver(open, &inner.hub, change).await?;
            }
            anyhow::Ok(changes.len())
        };
        let pause = match turn.await {
            Ok(0) => POLL,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "changes of the database may be lost to Realtime's clients");
                slot = None;
                RETRY
            }
        };
        // Under the lock, so that a channel that opens now either is seen here or starts the next run.
        let mut running = inner.replication.lock().await;
        if inner.hub.is_empty() || inner.stopping.is_cancelled() {
            if let Some(slot) = slot.take() {
                slot.close().await;
            }
            *running = None;
            return;
        }
        drop(running);
        let stopping = inner.stopping.clone();
        drop(inner);
        tokio::select! {
            () = sleep(pause) => {}
            () = stopping.cancelled() => {}
        }
    }
    if let Some(slot) = slot {
        slot.close().await;
    }
}

async fn deliver(slot: &mut Slot, hub: &Hub, change: &Change) -> Result<(), tokio_postgres::Error> {
    let relation = &change.relation;
    if (relation.schema.as_str(), relation.table.as_str(), change.action) == ("realtime", "messages", Action::Insert) {
        broadcast(hub, change);
    }
    delivery::deliver(&mut slot.client, hub, change).await
}

/// Sends a row that `realtime.send` wrote to the members of its channel.
fn broadcast(hub: &Hub, change: &Change) {
    let values = row::values(change, &change.new);
    let text = |name: &str| values.get(name).copied().flatten();
    let payload = text("payload").and_then(|payload| serde_json::from_str::<Value>(payload).ok());
    if let (Some("broadcast"), Some(topic), Some(event), Some(payload)) =
        (text("extension"), text("topic"), text("event"), payload)
    {
        let room = Room { name: topic.to_owned(), is_private: text("private") == Some("t") };
        let meta = json!({ "id": text("id") });
        let message = json!({ "type": "broadcast", "event": event, "payload": payload, "meta": meta });
        hub.broadcast(&room, Payload::Json(message), None);
    }
}
