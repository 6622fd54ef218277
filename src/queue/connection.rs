//! Connections: TLS, the pool, and sending a statement again when the database was away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Error, Queue};
use crate::database::{self, TIME_LIMITS};
use crate::outgoing;

/// How long a statement is sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// While the database is away.
    pub(super) away: Duration,
    /// When the database refuses it.
    pub(super) refused: Duration,
}

impl Patience {
    /// For what a job needs: when the database is away for longer, its lease is gone anyway, and somebody's migration or trigger that
    /// refuses it may be mended in a while.
    pub(super) const NEEDED: Self = Self { away: Duration::from_secs(120), refused: Duration::from_secs(20) };
    /// For what is said again soon anyway.
    pub(super) const PASSING: Self = Self { refused: Duration::ZERO, ..Self::NEEDED };
}

/// Between two tries of a statement, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A statement that takes longer has lost its connection.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// What each connection is set to: plans that look rows up by their indexes, and are kept.
///
/// The planner can't know that this is all that is ever wanted. It may have counted a table when it was empty, or plan for the values of
/// one call.
pub const LOOK_UP: &str =
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off;
    set enable_hashjoin = off; set enable_mergejoin = off; set enable_sort = off; set jit = off";

/// Where the database is and how it is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address, role and password.
    pub database: tokio_postgres::Config,
    /// Certificates to trust besides those of the public authorities; Supabase's databases are signed by its own.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Connections at most.
    pub connections: usize,
}

/// TLS with verified certificates: the public authorities', and these.
///
/// # Errors
/// When one of these can't be trusted.
pub fn tls(certificates: &[CertificateDer<'static>]) -> anyhow::Result<MakeRustlsConnect> {
    Ok(MakeRustlsConnect::new(outgoing::tls(certificates)?))
}

impl Settings {
    /// A connection of its own, which ends with its client; its statements take no longer than those of the pool's.
    ///
    /// # Errors
    /// When the database can't be reached or refuses the role: why, and what mends it.
    pub async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        let client = self.connect_for_long().await?;
        client.batch_execute(TIME_LIMITS).await?;
        Ok(client)
    }

    /// The same for migrations, which take what they take.
    ///
    /// # Errors
    /// As above.
    pub async fn connect_for_long(&self) -> anyhow::Result<tokio_postgres::Client> {
        let connected = self.database.connect(tls(&self.certificates)?).await;
        let (client, connection) = connected.map_err(|error| database::unreachable(&error, &self.database))?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Queue {
    /// A pool that connects when it is first used.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let manager = Manager::from_config(
            settings.database.clone(),
            tls(&settings.certificates)?,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(SILENCE))
            .create_timeout(Some(SILENCE))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client.batch_execute(LOOK_UP).await.map_err(HookError::Backend)?;
                    client.batch_execute(TIME_LIMITS).await.map_err(HookError::Backend)
                })
            }))
            .build()?;
        Ok(Self { pool, writes: Arc::default() })
    }

    /// Fetches a connection unless one is there, so that the next statement needs none. Nothing is sent over one that is there.
    pub async fn fetch_connection(&self, within: Duration) -> Result<(), Error> {
        match tokio::time::timeout(within, self.pool.get()).await {
            Ok(connection) => connection.map(drop).map_err(Error::from),
            Err(_) => Err(Error::Away(format!("no connection within {} s", within.as_secs_f32()))),
        }
    }

    /// Sends a statement, again while the database is away, and for a while when it is refused.
    pub(super) async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.again(Patience::NEEDED, SILENCE, sql, values).await
    }

    /// [`Queue::rows`] for a statement that answers with one row or none.
    pub(super) async fn row(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, values).await?.pop())
    }

    /// Sends a statement once: for what is done again soon anyway.
    pub(super) async fn once(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        self.answered(SILENCE, sql, values).await
    }

    /// Sends a statement, again for as long as `patience` allows. An answer that takes longer than `silence` means that the database is away.
    pub(super) async fn again(
        &self,
        patience: Patience,
        silence: Duration,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let since = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let error = match self.answered(silence, sql, values).await {
                Err(error @ Error::Away(_)) if since.elapsed() < patience.away => error,
                Err(error @ Error::Refused(_)) if since.elapsed() < patience.refused => error,
                outcome => return outcome,
            };
            tracing::debug!(%error, "sending the statement again");
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn answered(&self, silence: Duration, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
        let away = || Error::Away(format!("no answer in {} s", silence.as_secs_f32()));
        let client = tokio::time::timeout(silence, self.pool.get()).await.map_err(|_| away())??;
        let answer = tokio::time::timeout(silence, async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, values).await
        });
        match answer.await {
            Ok(rows) => Ok(rows?),
            Err(_) => {
                // What the connection is doing is unknown: it is not used again.
                drop(deadpool_postgres::Object::take(client));
                Err(away())
            }
        }
    }
}
