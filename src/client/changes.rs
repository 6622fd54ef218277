//! Changes of tables in `public`, as Supabase Realtime, here or hosted, tells them to a browser.
//!
//! Weakness: it doesn't reconnect. When [`Subscription::next`] ends, rows may have changed unseen: read them again.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::Error;
use super::error::clean;

/// Servers close a connection that is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long the server may take to say that it listens.
const PATIENCE: Duration = Duration::from_secs(15);
/// Changes that wait for a slow reader. One more ends the connection, and the rows are to be read again.
const WAITING: usize = 1_024;
const TOPIC: &str = "realtime:carousel";

/// What to hear of: every insert, update and delete of one table.
#[derive(Clone, Debug)]
pub struct Change {
    /// Name of a table in `public`.
    pub table: String,
    /// `column=operator.value`, for example `id=eq.7`; `None` for every row that the user may see.
    pub filter: Option<String>,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// A new row.
    Insert,
    /// A changed row.
    Update,
    /// A removed row.
    Delete,
}

/// One change of one row.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// Its table.
    pub table: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The row after; null for a delete. Large values that an update left alone are missing.
    #[serde(default)]
    pub record: Value,
    /// The primary key of the row before; null for an insert.
    #[serde(default)]
    pub old_record: Value,
}

/// A connection that hears of changes. Dropping it closes it.
pub struct Subscription {
    events: Receiver<Event>,
    task: JoinHandle<()>,
}

type Websocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Subscription {
    /// Connects to the project at `url` as the user of `access_token`, and returns once the server listens to the database: what
    /// commits after this is heard of.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses the key, the token or one of the changes.
    pub async fn open(url: &str, apikey: &str, access_token: &str, changes: &[Change]) -> Result<Self, Error> {
        let unusable = || Error::not_understood(format!("{url} is no URL of a Supabase project"));
        let endpoint = format!("{}/realtime/v1/websocket", url.trim_end_matches('/'));
        let mut endpoint = Url::parse(&endpoint).map_err(|_| unusable())?;
        let scheme = if endpoint.scheme() == "https" { "wss" } else { "ws" };
        endpoint.set_scheme(scheme).map_err(|()| unusable())?;
        endpoint.query_pairs_mut().append_pair("apikey", apikey).append_pair("vsn", "1.0.0");
        let connecting = timeout(PATIENCE, tokio_tungstenite::connect_async(endpoint.as_str())).await;
        let (websocket, _) = connecting.map_err(|_| Error::silent())?.map_err(|error| lost(&error))?;

        let bindings = changes.iter().map(|Change { table, filter }| match filter {
            Some(filter) => json!({ "event": "*", "schema": "public", "table": table, "filter": filter }),
            None => json!({ "event": "*", "schema": "public", "table": table }),
        });
        let config = json!({
            "broadcast": { "ack": false, "self": false },
            "presence": { "enabled": false },
            "postgres_changes": bindings.collect::<Vec<_>>(),
        });
        let (writer, reader) = websocket.split();
        let (sender, events) = mpsc::channel(WAITING);
        let mut connection = Connection { writer, reader, sender, unanswered: false };
        connection.send(TOPIC, "phx_join", "1", json!({ "config": config, "access_token": access_token })).await?;
        timeout(PATIENCE, connection.subscribed()).await.map_err(|_| Error::silent())??;
        Ok(Self { events, task: tokio::spawn(connection.run()) })
    }

    /// The next change; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Connection {
    writer: SplitSink<Websocket, Message>,
    reader: SplitStream<Websocket>,
    sender: Sender<Event>,
    /// Whether the last heartbeat had no answer yet.
    unanswered: bool,
}

/// What a message meant.
enum Heard {
    /// The join was let in.
    Joined,
    /// The server listens to the database.
    Listening,
    /// Something that needs no answer.
    Other,
}

impl Connection {
    async fn send(&mut self, topic: &str, event: &str, reference: &str, payload: Value) -> Result<(), Error> {
        let message = json!({
            "topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": "1"
        });
        self.writer.send(Message::text(message.to_string())).await.map_err(|error| lost(&error))
    }

    /// Waits until the server has both let us in and begun to listen.
    async fn subscribed(&mut self) -> Result<(), Error> {
        let (mut joined, mut listening) = (false, false);
        while !(joined && listening) {
            match self.hear().await? {
                Heard::Joined => joined = true,
                Heard::Listening => listening = true,
                Heard::Other => {}
            }
        }
        Ok(())
    }

    async fn run(mut self) {
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let reason = loop {
            let turn = tokio::select! {
                _ = heartbeat.tick() => {
                    if self.unanswered {
                        break Error::silent();
                    }
                    self.unanswered = true;
                    self.send("phoenix", "heartbeat", "heartbeat", json!({})).await
                }
                heard = self.hear() => heard.map(drop),
            };
            if let Err(error) = turn {
                break error;
            }
        };
        tracing::debug!(%reason, "the subscription to Realtime has ended");
    }

    /// Takes the next message in; an error means that nothing more will come.
    async fn hear(&mut self) -> Result<Heard, Error> {
        let frame = self.reader.next().await.ok_or_else(closed)?.map_err(|error| lost(&error))?;
        let Message::Text(text) = frame else { return Ok(Heard::Other) };
        let message: Value = serde_json::from_str(&text).map_err(Error::not_understood)?;
        let payload = &message["payload"];
        let words =
            || payload["message"].as_str().or(payload["response"]["reason"].as_str()).unwrap_or("no reason given");
        match (message["event"].as_str().unwrap_or_default(), payload["status"].as_str()) {
            ("phx_reply", _) if message["topic"] == "phoenix" => self.unanswered = false,
            ("phx_reply", Some("ok")) => return Ok(Heard::Joined),
            ("system", Some("ok")) if payload["extension"] == "postgres_changes" => return Ok(Heard::Listening),
            ("phx_reply" | "system", _) => return Err(refused(words())),
            ("phx_close" | "phx_error", _) => return Err(closed()),
            ("postgres_changes", _) => {
                let data = &payload["data"];
                if !data["errors"].is_null() {
                    tracing::warn!(errors = %data["errors"], "Realtime could not show a change whole");
                }
                let event = Event::deserialize(data).map_err(Error::not_understood)?;
                self.sender
                    .try_send(event)
                    .map_err(|_| Error::not_understood("its changes came faster than they were read"))?;
            }
            _ => {}
        }
        Ok(Heard::Other)
    }
}

fn lost(error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(answer) if answer.status() == 401 || answer.status() == 403 => {
            Error::Unauthorized { message: format!("Realtime answers {}", answer.status()) }
        }
        tungstenite::Error::Http(answer) => {
            Error::Unavailable { status: answer.status().as_u16(), message: "Realtime takes no connection".to_owned() }
        }
        error => Error::unreachable(error),
    }
}

fn closed() -> Error {
    Error::Unreachable { message: "Realtime closed the connection".to_owned() }
}

fn refused(words: &str) -> Error {
    let message = clean(&format!("Realtime refuses: {words}"));
    let told = words.to_ascii_lowercase();
    if ["token", "jwt", "expired", "signature"].iter().any(|sign| told.contains(sign)) {
        Error::Unauthorized { message }
    } else {
        Error::Forbidden { message }
    }
}
