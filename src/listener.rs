//! Hears what the database says: LISTEN on a connection of its own, with reconnection.
//!
//! Weakness: a notification that is sent while the connection is down is lost. Each (re)connection therefore announces itself as
//! [`Signal::Connected`], upon which the worker looks for itself; and it looks every few seconds anyway.

use std::future::poll_fn;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use crate::database::{self, TIME_LIMITS, Trouble};

/// Channel on which triggers say that there are jobs.
const JOBS: &str = "carousel_jobs";
/// Channel on which triggers name a job that is not wanted any more.
const CANCEL: &str = "carousel_cancel";
/// How long a notification to ourselves may take.
const PROBE: Duration = Duration::from_secs(5);

/// An encrypted connection.
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Listening has begun, for the first time or again: what was said before was not heard.
    Connected,
    /// There may be jobs to claim.
    Jobs {
        /// Whether there is one whose time is yet to come.
        scheduled: bool,
    },
    /// This job is to be cancelled, or is gone.
    Cancel(Uuid),
}

/// Why nothing can be heard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached, or lets nobody in.
    #[error("can't listen for jobs: {0}")]
    Unreachable(Trouble),
    /// The database refused to listen, or the connection was lost.
    #[error("can't listen for jobs: {}", database::words(.0))]
    Database(#[from] tokio_postgres::Error),
    /// LISTEN succeeded, and yet a notification to ourselves never came: there is a pooler in transaction mode in between.
    #[error(
        "LISTEN has no effect through this connection: a notification to ourselves did not arrive in {} s. \
         Use the direct connection or the session pooler (port 5432), not the transaction pooler (port 6543)",
        PROBE.as_secs()
    )]
    Deaf,
}

/// Where to listen.
#[derive(Clone)]
pub struct Listener {
    database: Config,
    tls: MakeRustlsConnect,
}

impl Listener {
    /// A listener on `database`; nothing is connected yet.
    pub fn new(database: Config, tls: MakeRustlsConnect) -> Self {
        Self { database, tls }
    }

    async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        let connected = self.database.connect(self.tls.clone()).await;
        connected.map_err(|error| Error::Unreachable(database::unreachable(&error, &self.database)))
    }

    /// Proves that notifications arrive through this way of connecting, by one to ourselves.
    pub async fn probe(&self) -> Result<(), Error> {
        let (client, mut connection) = self.connect().await?;
        let channel = format!("carousel_probe_{}", Uuid::new_v4().simple());
        let speak = async {
            client.batch_execute(TIME_LIMITS).await?;
            client.batch_execute(&format!("listen {channel}")).await?;
            client.execute("select pg_notify($1, '')", &[&channel]).await
        };
        let heard = async {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(_))) => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Error::Deaf),
                }
            }
        };
        // The connection moves only while it is polled, so both go on at once; having heard is enough.
        let proof = async {
            tokio::select! {
                heard = heard => heard,
                Err(error) = speak => Err(error.into()),
            }
        };
        tokio::time::timeout(PROBE, proof).await.unwrap_or(Err(Error::Deaf))
    }

    /// Listens until the receiver of `signals` is gone, connecting again with backoff when the connection ends.
    pub async fn run(&self, signals: mpsc::Sender<Signal>) {
        let first = Duration::from_millis(20);
        let mut pause = first;
        while !signals.is_closed() {
            match self.listen(&signals, || pause = first).await {
                Ok(()) => tracing::warn!("the connection that listens for jobs ended, connecting again"),
                Err(error) => {
                    tracing::warn!(%error, retry_in_ms = pause.as_millis(), "can't listen for jobs, trying again")
                }
            }
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    async fn listen(&self, signals: &mpsc::Sender<Signal>, mut connected: impl FnMut()) -> Result<(), Error> {
        let (client, connection) = self.connect().await?;
        let mut pump = tokio::spawn(pump(connection, signals.clone()));
        let listened = subscribe(&client).await;
        if listened.is_ok() {
            connected();
            let _ = signals.send(Signal::Connected).await;
            tokio::select! {
                _ = &mut pump => {}
                () = signals.closed() => {}
            }
        }
        pump.abort();
        Ok(listened?)
    }
}

async fn subscribe(client: &Client) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(TIME_LIMITS).await?;
    client.batch_execute(&format!("listen {JOBS}; listen {CANCEL}")).await
}

/// Drives a connection and passes on what it hears, until it ends.
async fn pump<S, T>(mut connection: Connection<S, T>, heard: mpsc::Sender<Signal>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        let signal = match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(said))) if said.channel() == JOBS => {
                Signal::Jobs { scheduled: said.payload() == "scheduled" }
            }
            Some(Ok(AsyncMessage::Notification(said))) => match said.payload().parse() {
                Ok(job) => Signal::Cancel(job),
                Err(_) => continue,
            },
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => return,
        };
        if heard.send(signal).await.is_err() {
            return;
        }
    }
}
