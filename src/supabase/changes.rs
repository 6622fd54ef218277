//! Changes of rows, as Supabase Realtime, here or hosted, tells them to a browser: of tables in `public`, or on a person's own channel.
//!
//! Weakness: it doesn't reconnect. When [`Subscription::next`] ends, rows may have changed unseen: read them again.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::Url;
use uuid::Uuid;

use super::error::clean;
use super::{Caller, Error, Shared};
use crate::outgoing;

/// Servers close a connection that is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long the server may take to say that it listens.
const PATIENCE: Duration = Duration::from_secs(15);
/// Changes that wait for a slow reader. One more ends the connection, and the rows are to be read again.
const WAITING: usize = 1_024;
/// How long a server that has let us in may take to say that it listens; older ones don't say it of broadcasts.
const READY: Duration = Duration::from_secs(3);
/// Tables, and what their rows are called on a person's channel.
const KINDS: [(&str, &str); 2] = [("job", "image_generation_jobs"), ("image", "generated_carousel_images")];

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
    /// The row after; null for a delete. It may be a part of it: large values that an update left alone are missing, and on a person's
    /// channel all long texts.
    #[serde(default)]
    pub record: Value,
    /// The primary key of the row before; null for an insert.
    #[serde(default)]
    pub old_record: Value,
    /// Why the row could not be shown whole: then nulls are missing as well.
    #[serde(default)]
    pub errors: Value,
}

impl Event {
    /// Whether it may tell of this job or of one of its images.
    pub fn is_of(&self, job: Uuid) -> bool {
        let row = if self.kind == Kind::Delete { &self.old_record } else { &self.record };
        let of = &row[if self.table == "image_generation_jobs" { "id" } else { "job_id" }];
        // Of a deleted image a table's change tells only its own id.
        of.as_str().is_none_or(|of| of.parse() == Ok(job))
    }
}

/// A connection that hears of changes. Dropping it closes it.
pub struct Subscription {
    events: Receiver<Event>,
    task: JoinHandle<()>,
}

type Websocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Subscription {
    /// Connects as `caller`, and returns once the server listens to the database: what
    /// commits after this is heard of.
    ///
    /// # Errors
    /// When the server can't be reached, or refuses the key, the token or one of the changes.
    pub(super) async fn open(caller: &Caller, changes: &[Change]) -> Result<Self, Error> {
        let bindings = changes.iter().map(|Change { table, filter }| match filter {
            Some(filter) => json!({ "event": "*", "schema": "public", "table": table, "filter": filter }),
            None => json!({ "event": "*", "schema": "public", "table": table }),
        });
        let config = json!({
            "broadcast": { "ack": false, "self": false },
            "presence": { "enabled": false },
            "postgres_changes": bindings.collect::<Vec<_>>(),
        });
        let (mut connection, events) = Connection::open(caller, "realtime:carousel", &config).await?;
        timeout(PATIENCE, connection.subscribed()).await.map_err(|_| Error::silent())??;
        Ok(Self { events, task: tokio::spawn(connection.run()) })
    }

    /// Joins the private channel of `person`, where changes of all their jobs and images are told: its cost does not grow with the number
    /// of those who watch.
    ///
    /// # Errors
    /// As [`Subscription::open`]; `Forbidden` where the project has no such channels, or the channel is another's.
    pub(super) async fn of_person(caller: &Caller, person: Uuid) -> Result<Self, Error> {
        let config = json!({
            "private": true,
            "broadcast": { "ack": false, "self": false, "replication_ready": true },
            "presence": { "enabled": false },
        });
        let topic = format!("realtime:carousel:{person}");
        let (mut connection, events) = Connection::open(caller, &topic, &config).await?;
        timeout(PATIENCE, connection.joined()).await.map_err(|_| Error::silent())??;
        if let Ok(Err(error)) = timeout(READY, connection.subscribed()).await {
            return Err(error);
        }
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
    is_joined: bool,
    is_listening: bool,
    /// Whether the last heartbeat had no answer yet.
    unanswered: bool,
}

impl Connection {
    /// Connects, and asks to be let into a channel.
    async fn open(caller: &Caller, topic: &str, config: &Value) -> Result<(Self, Receiver<Event>), Error> {
        let Shared { url, key, tls, .. } = caller.shared();
        let unusable = || Error::not_understood(format!("{url} is no URL of a Supabase project"));
        let endpoint = format!("{}/realtime/v1/websocket", url.as_str().trim_end_matches('/'));
        let mut endpoint = Url::parse(&endpoint).map_err(|_| unusable())?;
        let scheme = if endpoint.scheme() == "https" { "wss" } else { "ws" };
        endpoint.set_scheme(scheme).map_err(|()| unusable())?;
        endpoint.query_pairs_mut().append_pair("apikey", key.expose_secret()).append_pair("vsn", "1.0.0");
        let connecting = async {
            let connection = outgoing::connect(&endpoint).await?;
            let tls = Connector::Rustls(Arc::clone(tls));
            client_async_tls_with_config(endpoint.as_str(), connection, None, Some(tls)).await
        };
        let connected = timeout(PATIENCE, connecting).await.map_err(|_| Error::silent())?;
        let (websocket, _) = connected.map_err(|error| lost(&error, Some(&endpoint)))?;
        let (writer, reader) = websocket.split();
        let (sender, events) = mpsc::channel(WAITING);
        let mut connection = Self { writer, reader, sender, is_joined: false, is_listening: false, unanswered: false };
        connection.send(topic, "phx_join", "1", json!({ "config": config, "access_token": caller.token() })).await?;
        Ok((connection, events))
    }

    async fn send(&mut self, topic: &str, event: &str, reference: &str, payload: Value) -> Result<(), Error> {
        let message = json!({
            "topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": "1"
        });
        self.writer.send(Message::text(message.to_string())).await.map_err(|error| lost(&error, None))
    }

    /// Waits until the server has let us in.
    async fn joined(&mut self) -> Result<(), Error> {
        while !self.is_joined {
            self.hear().await?;
        }
        Ok(())
    }

    /// Waits until the server has both let us in and begun to listen.
    async fn subscribed(&mut self) -> Result<(), Error> {
        while !(self.is_joined && self.is_listening) {
            self.hear().await?;
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
                heard = self.hear() => heard,
            };
            if let Err(error) = turn {
                break error;
            }
        };
        tracing::debug!(%reason, "the subscription to Realtime has ended");
    }

    /// Takes the next message in; an error means that nothing more will come.
    async fn hear(&mut self) -> Result<(), Error> {
        let frame = self.reader.next().await.ok_or_else(closed)?.map_err(|error| lost(&error, None))?;
        let Message::Text(text) = frame else { return Ok(()) };
        let message: Value = serde_json::from_str(&text).map_err(Error::not_understood)?;
        let payload = &message["payload"];
        let words =
            || payload["message"].as_str().or(payload["response"]["reason"].as_str()).unwrap_or("no reason given");
        match (message["event"].as_str().unwrap_or_default(), payload["status"].as_str()) {
            ("phx_reply", _) if message["topic"] == "phoenix" => self.unanswered = false,
            ("phx_reply", Some("ok")) => self.is_joined = true,
            ("system", Some("ok")) => self.is_listening = true,
            ("phx_reply" | "system", _) => return Err(refused(words())),
            ("phx_close" | "phx_error", _) => return Err(closed()),
            ("postgres_changes", _) => {
                let data = &payload["data"];
                if !data["errors"].is_null() {
                    tracing::debug!(errors = %data["errors"], "Realtime could not show a change whole");
                }
                self.tell(Event::deserialize(data).map_err(Error::not_understood)?)?;
            }
            ("broadcast", _) => {
                let kind = KINDS.iter().find(|(kind, _)| payload["event"] == *kind);
                // What later versions tell of is not ours.
                let Some((_, table)) = kind else { return Ok(()) };
                for row in payload["payload"]["rows"].as_array().into_iter().flatten() {
                    self.tell(of_row(table, row))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&self, event: Event) -> Result<(), Error> {
        self.sender.try_send(event).map_err(|_| Error::not_understood("its changes came faster than they were read"))
    }
}

/// A row of a broadcast.
fn of_row(table: &str, row: &Value) -> Event {
    let is_gone = row["deleted"] == true;
    let (kind, record, old_record) =
        if is_gone { (Kind::Delete, Value::Null, row.clone()) } else { (Kind::Update, row.clone(), Value::Null) };
    Event { table: table.to_owned(), kind, record, old_record, errors: Value::Null }
}

/// `url` is what was to be reached, while it was not.
fn lost(error: &tungstenite::Error, url: Option<&Url>) -> Error {
    match error {
        tungstenite::Error::Http(answer) if answer.status() == 401 || answer.status() == 403 => {
            Error::Unauthorized { message: format!("Realtime answers {}", answer.status()) }
        }
        tungstenite::Error::Http(answer) => {
            Error::Unavailable { status: answer.status().as_u16(), message: "Realtime takes no connection".to_owned() }
        }
        error => Error::unreachable(error, url),
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
