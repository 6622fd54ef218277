//! One websocket: reads its messages in order, keeps its channels, writes what is queued for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message as Frame, WebSocket};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::sleep;

use super::Inner;
use super::channel::{Channel, Next};
use super::wire::{Message, Version};
use crate::caller::Caller;

/// Serves a websocket until the client closes it or the server stops.
pub(super) async fn serve(inner: Arc<Inner>, websocket: WebSocket, version: Version, caller: Caller) {
    let (mut writer, mut reader) = websocket.split();
    let (outbox, mut queue) = mpsc::unbounded_channel();
    let mut socket = Socket { inner, caller, outbox, channels: HashMap::new() };
    let stopping = socket.inner.stopping.clone();
    let mut closing = socket.inner.closing.subscribe();
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(message) = queue.recv() => {
                let message: Message = message;
                if let Some(frame) = message.to_frame(version) && writer.send(frame).await.is_err() {
                    break;
                }
            }
            Ok(reason) = closing.recv() => socket.channels.drain().for_each(|(_, channel)| channel.shut_down(&reason)),
            () = socket.next_expiry() => socket.expire(),
            frame = reader.next() => {
                let message = match frame {
                    Some(Ok(Frame::Text(text))) => Message::from_text(&text, version),
                    Some(Ok(Frame::Binary(bytes))) => Message::from_binary(&bytes),
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => continue,
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => break,
                };
                match message {
                    Ok(message) => socket.handle(&message).await,
                    // The real server's socket dies of it.
                    Err(error) => {
                        tracing::debug!(%error, "a client of Realtime is disconnected");
                        break;
                    }
                }
            }
        }
    }
    let _ = writer.close().await;
}

struct Socket {
    inner: Arc<Inner>,
    /// Who opened it.
    caller: Caller,
    outbox: UnboundedSender<Message>,
    channels: HashMap<String, Channel>,
}

impl Socket {
    async fn handle(&mut self, message: &Message) {
        match (message.topic.as_str(), message.event.as_str()) {
            ("phoenix", "heartbeat") => self.answer(message.reply("ok", json!({}))),
            (topic, "phx_join") => {
                // A second join replaces the first.
                if let Some(channel) = self.channels.remove(topic) {
                    channel.close();
                }
                let joining =
                    Channel::join(self.inner.clone(), self.caller.clone(), self.outbox.clone(), message).await;
                match joining {
                    Ok(channel) => {
                        self.channels.insert(topic.to_owned(), channel);
                    }
                    Err(reason) => self.answer(message.reply("error", json!({ "reason": reason }))),
                }
            }
            (topic, "phx_leave") => {
                self.answer(message.reply("ok", json!({})));
                if self.channels.get(topic).is_some_and(|channel| channel.is_meant(message))
                    && let Some(channel) = self.channels.remove(topic)
                {
                    channel.close();
                }
            }
            (topic, _) => match self.channels.get_mut(topic) {
                Some(channel) => {
                    if channel.handle(message).await == Next::Closed {
                        self.channels.remove(topic);
                    }
                }
                None => self.answer(message.reply("error", json!({ "reason": "unmatched topic" }))),
            },
        }
    }

    fn answer(&self, message: Message) {
        let _ = self.outbox.send(message);
    }

    /// Ends when the token of a channel does.
    async fn next_expiry(&self) {
        match self.channels.values().filter_map(Channel::expires_at).min() {
            Some(at) => {
                let left = at - OffsetDateTime::now_utc();
                sleep(Duration::try_from(left).unwrap_or_default()).await;
            }
            None => futures::future::pending().await,
        }
    }

    fn expire(&mut self) {
        let now = OffsetDateTime::now_utc();
        self.channels.retain(|_, channel| {
            let Some(at) = channel.expires_at().filter(|at| *at <= now) else { return true };
            channel.shut_down(&format!("Token has expired {} seconds ago", (now - at).whole_seconds()));
            false
        });
    }
}
