//! One client's channel, from its join to its close: rights, broadcasts, presence, and what it listens to.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::hub::{Member, Room};
use super::listening::Listening;
use super::policy::{self, Extension};
use super::token::{Admission, admit};
use super::wire::{Message, Payload};
use super::{Inner, binding};
use crate::caller::Caller;

/// A channel that was joined. Dropping it leaves.
pub struct Channel {
    inner: Arc<Inner>,
    socket: Caller,
    admission: Admission,
    member: Member,
    /// Whether broadcasts are acknowledged.
    acks: bool,
    /// Whether its own broadcasts come back.
    hears_itself: bool,
    /// Key that its presence is listed under.
    presence_key: String,
    /// Whether policies let it send, as far as they were asked.
    may_broadcast: Option<bool>,
    may_track: Option<bool>,
    /// The entries of `config.postgres_changes`.
    entries: Vec<Value>,
}

/// What becomes of a channel after a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// It stays open.
    Stay,
    /// It was closed, and its client told why.
    Closed,
}

/// What clients are told when the project's database can't be reached.
pub const NO_DATABASE: &str = "Realtime was unable to connect to the project database";

impl Channel {
    /// Lets a client in and answers its join.
    ///
    /// # Errors
    /// The reason, for the answer.
    pub async fn join(
        inner: Arc<Inner>,
        socket: Caller,
        outbox: UnboundedSender<Message>,
        message: &Message,
    ) -> Result<Self, String> {
        let name = message.topic.strip_prefix("realtime:").ok_or("unmatched topic")?;
        if name.is_empty() {
            return Err("TopicNameRequired: You must provide a topic name".to_owned());
        }
        let Payload::Json(payload) = &message.payload else { return Err("unmatched topic".to_owned()) };
        let config = &payload["config"];
        let flag = |value: &Value| value.as_bool().unwrap_or(false);
        let token = payload["user_token"].as_str().or(payload["access_token"].as_str());
        let admission =
            admit(&inner.keys, &socket, token).map_err(|rejected| format!("{}: {rejected}", rejected.code()))?;
        let room = Room { name: name.to_owned(), is_private: flag(&config["private"]) };
        let key = config["presence"]["key"].as_str().filter(|key| !key.is_empty()).map(str::to_owned);
        let entries = config["postgres_changes"].as_array().into_iter().flatten();
        let mut channel = Self {
            member: Member { id: Uuid::new_v4(), room, join_ref: message.join_ref.clone(), hears: true, outbox },
            acks: flag(&config["broadcast"]["ack"]),
            hears_itself: flag(&config["broadcast"]["self"]),
            presence_key: key.unwrap_or_else(|| Uuid::new_v4().to_string()),
            may_broadcast: None,
            may_track: None,
            entries: entries.filter(|entry| entry.is_object()).cloned().collect(),
            inner,
            socket,
            admission,
        };
        let presence = flag(&config["presence"]["enabled"]);
        let sees_presence = channel.authorize(presence).await?;

        channel.inner.hub.enter(channel.member.clone());
        let entries = channel.entries.iter().map(|entry| {
            let mut entry = entry.clone();
            entry["id"] = binding::id(&entry).into();
            entry
        });
        let joined = json!({ "postgres_changes": entries.collect::<Vec<_>>() });
        let listening = channel.listening(flag(&config["broadcast"]["replication_ready"]));
        let waiting = &config["postgres_changes_options"];
        let bindings = if flag(&waiting["wait"]) && !channel.entries.is_empty() {
            Some(listening.prepare_within(waiting["timeout"].as_u64()).await.map_err(|deaf| deaf.to_string())?)
        } else {
            None
        };
        let _ = channel.member.outbox.send(message.reply("ok", joined));
        if presence && sees_presence {
            channel.member.push("presence_state", channel.inner.hub.present(&channel.member.room));
        }
        match bindings {
            Some(bindings) => listening.begin(bindings),
            None => listening.in_background(),
        }
        Ok(channel)
    }

    /// When the channel's token ends.
    pub fn expires_at(&self) -> Option<OffsetDateTime> {
        self.admission.expires_at
    }

    /// Whether a message is meant for this join of the channel rather than an earlier one.
    pub fn is_meant(&self, message: &Message) -> bool {
        message.join_ref.is_none() || message.join_ref == self.member.join_ref
    }

    /// Tells the client why its channel ends, and that it has ended.
    pub fn shut_down(&self, reason: &str) {
        self.member.tell("system", "error", reason);
        self.close();
    }

    /// Tells the client that its channel has ended.
    pub fn close(&self) {
        let close = Message::push(&self.member.room.topic(), "phx_close", json!({}));
        let join_ref = self.member.join_ref.clone();
        let _ = self.member.outbox.send(Message { reference: join_ref.clone(), join_ref, ..close });
    }

    /// Handles a message other than join and leave.
    pub async fn handle(&mut self, message: &Message) -> Next {
        match (message.event.as_str(), &message.payload) {
            ("broadcast", payload) => self.broadcast(message, payload.clone()).await,
            ("presence", Payload::Json(payload)) => self.presence(message, payload).await,
            ("access_token", Payload::Json(payload)) => {
                return self.renew(payload["access_token"].as_str()).await;
            }
            // The real server logs what it doesn't know and says nothing.
            _ => {}
        }
        Next::Stay
    }

    /// Asks the policies of a private channel what may be read; `Err` when that is nothing. Tells whether presence may be.
    async fn authorize(&mut self, presence: bool) -> Result<bool, String> {
        let Room { name, is_private } = &self.member.room;
        if !is_private {
            return Ok(true);
        }
        let (pool, caller) = (&self.inner.pool, &self.admission.caller);
        let unreachable = |error: anyhow::Error| {
            tracing::warn!(%error, "the policies of a private channel can't be asked");
            format!("UnableToConnectToProject: {NO_DATABASE}")
        };
        let hears = policy::may_read(pool, caller, name, Extension::Broadcast).await.map_err(unreachable)?;
        let sees = presence && policy::may_read(pool, caller, name, Extension::Presence).await.map_err(unreachable)?;
        if !hears && !sees {
            return Err(format!("Unauthorized: You do not have permissions to read from this Channel topic: {name}"));
        }
        self.member.hears = hears;
        Ok(sees)
    }

    fn listening(&self, tells_ready: bool) -> Listening {
        Listening {
            inner: Arc::clone(&self.inner),
            member: self.member.clone(),
            caller: self.admission.caller.clone(),
            entries: self.entries.clone(),
            tells_ready,
        }
    }

    async fn broadcast(&mut self, message: &Message, payload: Payload) {
        let room = &self.member.room;
        if room.is_private && self.may_broadcast.is_none() {
            self.may_broadcast = Some(self.may_write(Extension::Broadcast).await);
        }
        // As on the real server, a sender who may not is not told: nothing comes back.
        if room.is_private && self.may_broadcast != Some(true) {
            return;
        }
        self.inner.hub.broadcast(room, payload, (!self.hears_itself).then_some(self.member.id));
        if self.acks {
            let _ = self.member.outbox.send(message.reply("ok", json!({})));
        }
    }

    async fn presence(&mut self, message: &Message, payload: &Value) {
        let hub = &self.inner.hub;
        let answer = match payload["event"].as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("untrack") => {
                hub.untrack(&self.member);
                message.reply("ok", json!({}))
            }
            Some("track") => {
                if self.member.room.is_private && self.may_track.is_none() {
                    self.may_track = Some(self.may_write(Extension::Presence).await);
                }
                let nothing = Value::Object(Map::new());
                match payload.get("payload").unwrap_or(&nothing) {
                    _ if self.member.room.is_private && self.may_track != Some(true) => {
                        message.reply("error", json!({}))
                    }
                    Value::Object(tracked) => {
                        hub.track(&self.member, &self.presence_key, tracked);
                        message.reply("ok", json!({}))
                    }
                    _ => message.reply("error", json!({ "reason": "Presence track payload must be a map" })),
                }
            }
            _ => message.reply("error", json!({})),
        };
        let _ = self.member.outbox.send(answer);
    }

    async fn may_write(&self, extension: Extension) -> bool {
        let (caller, topic) = (&self.admission.caller, &self.member.room.name);
        policy::may_write(&self.inner.pool, caller, topic, extension).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the policies of a private channel can't be asked");
            false
        })
    }

    /// Goes on with another token, or closes when it isn't taken.
    async fn renew(&mut self, token: Option<&str>) -> Next {
        let Some(token) = token.filter(|token| !token.starts_with("sb_")) else { return Next::Stay };
        if self.admission.token.as_deref() == Some(token) {
            return Next::Stay;
        }
        let admitted = admit(&self.inner.keys, &self.socket, Some(token)).map_err(|rejected| rejected.to_string());
        let renewed = match admitted {
            Ok(admission) => {
                self.admission = admission;
                (self.may_broadcast, self.may_track) = (None, None);
                self.authorize(true).await.map_err(|reason| {
                    // A system message comes without the code that stands in the answer to a join.
                    reason.split_once(": ").map_or(reason.clone(), |(_, words)| words.to_owned())
                })
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = renewed {
            self.shut_down(&reason);
            return Next::Closed;
        }
        self.inner.hub.enter(self.member.clone());
        if !self.entries.is_empty() {
            self.listening(false).in_background();
        }
        Next::Stay
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.inner.hub.leave(&self.member);
    }
}
