//! Who is in which channel: the members of every room, what they track, and which table changes they listen to.
//!
//! Nothing here waits: a message goes into its receiver's queue, and the receiver's socket writes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::binding::Binding;
use super::presence::Presences;
use super::wire::{Message, Payload};
use crate::caller::Caller;

/// A channel as all its members share it. A private and a public channel of one name are two rooms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Room {
    /// Name of the channel, without `realtime:`.
    pub name: String,
    /// Whether policies on `realtime.messages` decide who is in it.
    pub is_private: bool,
}

impl Room {
    /// The topic on the wire.
    pub fn topic(&self) -> String {
        format!("realtime:{}", self.name)
    }
}

/// One client's place in a room.
#[derive(Clone, Debug)]
pub struct Member {
    /// Tells members apart.
    pub id: Uuid,
    /// Where it is.
    pub room: Room,
    /// `ref` of its join.
    pub join_ref: Option<String>,
    /// Whether broadcasts reach it.
    pub hears: bool,
    /// The queue of its socket.
    pub outbox: UnboundedSender<Message>,
}

impl Member {
    /// Queues a message; a socket that is gone drops it.
    pub fn push(&self, event: &str, payload: Value) {
        let message = Message::push(&self.room.topic(), event, payload);
        let _ = self.outbox.send(Message { join_ref: self.join_ref.clone(), ..message });
    }

    /// Queues a `system` message; `extension` is `system` or `postgres_changes`, `status` is `ok` or `error`.
    pub fn tell(&self, extension: &str, status: &str, message: &str) {
        let channel = &self.room.name;
        self.push(
            "system",
            json!({ "extension": extension, "status": status, "message": message, "channel": channel }),
        );
    }
}

/// What a member listens to.
#[derive(Debug)]
pub struct Subscriber {
    /// Who is told.
    pub member: Member,
    /// As whom PostgreSQL is asked what may be seen.
    pub caller: Caller,
    /// Each binding with the object ids of the published tables that it named when it was made.
    pub bindings: Vec<(Binding, Vec<u32>)>,
}

/// All rooms.
#[derive(Default)]
pub struct Hub(Mutex<HashMap<Room, Occupants>>);

#[derive(Default)]
struct Occupants {
    members: Vec<(Member, Option<Arc<Subscriber>>)>,
    presences: Presences,
}

impl Occupants {
    fn send(&self, message: &Message, but: Option<Uuid>) {
        for (member, _) in self.members.iter().filter(|(member, _)| Some(member.id) != but) {
            if message.event != "broadcast" || member.hears {
                let _ = member.outbox.send(message.clone());
            }
        }
    }
}

impl Hub {
    fn rooms(&self) -> MutexGuard<'_, HashMap<Room, Occupants>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no client is in any room.
    pub fn is_empty(&self) -> bool {
        self.rooms().is_empty()
    }

    /// Lets a member in, or replaces it where its rights changed.
    pub fn enter(&self, member: Member) {
        let mut rooms = self.rooms();
        let members = &mut rooms.entry(member.room.clone()).or_default().members;
        match members.iter_mut().find(|(other, _)| other.id == member.id) {
            Some((known, _)) => *known = member,
            None => members.push((member, None)),
        }
    }

    /// Takes a member out, with what it tracked and listened to.
    pub fn leave(&self, member: &Member) {
        let mut rooms = self.rooms();
        let Some(occupants) = rooms.get_mut(&member.room) else { return };
        occupants.members.retain(|(other, _)| other.id != member.id);
        if let Some(diff) = occupants.presences.untrack(member.id) {
            occupants.send(&Message::push(&member.room.topic(), "presence_diff", diff), None);
        }
        if occupants.members.is_empty() {
            rooms.remove(&member.room);
        }
    }

    /// Sets what a member listens to, in place of what it listened to before. `false` when it has left.
    pub fn subscribe(&self, subscriber: Subscriber) -> bool {
        let mut rooms = self.rooms();
        let members = rooms.get_mut(&subscriber.member.room).into_iter().flat_map(|occupants| &mut occupants.members);
        let slot = members.into_iter().find(|(member, _)| member.id == subscriber.member.id);
        slot.is_some_and(|(_, subscription)| {
            *subscription = Some(Arc::new(subscriber));
            true
        })
    }

    /// Everyone who listens to a table.
    pub fn subscribers(&self, table: u32) -> Vec<Arc<Subscriber>> {
        let rooms = self.rooms();
        let all =
            rooms.values().flat_map(|occupants| &occupants.members).filter_map(|(_, subscriber)| subscriber.as_ref());
        all.filter(|subscriber| subscriber.bindings.iter().any(|(_, tables)| tables.contains(&table)))
            .cloned()
            .collect()
    }

    /// Sends a broadcast to everyone in a room, except `but`.
    pub fn broadcast(&self, room: &Room, payload: Payload, but: Option<Uuid>) {
        if let Some(occupants) = self.rooms().get(room) {
            let message = Message::push(&room.topic(), "broadcast", Value::Null);
            occupants.send(&Message { payload, ..message }, but);
        }
    }

    /// Sets what a member tracks and tells everyone in its room.
    pub fn track(&self, member: &Member, key: &str, tracked: &Map<String, Value>) {
        if let Some(occupants) = self.rooms().get_mut(&member.room) {
            let diff = occupants.presences.track(member.id, key, tracked);
            occupants.send(&Message::push(&member.room.topic(), "presence_diff", diff), None);
        }
    }

    /// Ends what a member tracks and tells everyone in its room.
    pub fn untrack(&self, member: &Member) {
        if let Some(occupants) = self.rooms().get_mut(&member.room)
            && let Some(diff) = occupants.presences.untrack(member.id)
        {
            occupants.send(&Message::push(&member.room.topic(), "presence_diff", diff), None);
        }
    }

    /// Who is present in a room, as `presence_state` says it.
    pub fn present(&self, room: &Room) -> Value {
        self.rooms().get(room).map_or_else(|| json!({}), |occupants| occupants.presences.state())
    }
}
