//! Who may be in a private channel: asked of the policies on `realtime.messages`, under the caller's role, with rows that are rolled back.

use deadpool_postgres::Pool;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use crate::caller::Caller;
use crate::database::as_caller;

/// What a channel is used for; policies tell the two apart by the column `extension`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Messages.
    Broadcast,
    /// Who is there.
    Presence,
}

impl Extension {
    fn as_str(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Presence => "presence",
        }
    }
}

/// Whether a select policy shows `caller` the rows of this topic. A policy that fails refuses.
///
/// # Errors
/// When the database can't be asked.
pub async fn may_read(pool: &Pool, caller: &Caller, topic: &str, extension: Extension) -> anyhow::Result<bool> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let row = "insert into realtime.messages (topic, extension) values ($1, $2) returning id";
    let id: uuid::Uuid = transaction.query_one(row, &[&topic, &extension.as_str()]).await?.get(0);
    act(&transaction, caller, topic).await?;
    let seen = transaction.query_opt("select from realtime.messages where id = $1", &[&id]).await;
    transaction.rollback().await?;
    refused_is_false(seen.map(|row| row.is_some()))
}

/// Whether an insert policy lets `caller` write rows of this topic. A policy that fails refuses.
///
/// # Errors
/// When the database can't be asked.
pub async fn may_write(pool: &Pool, caller: &Caller, topic: &str, extension: Extension) -> anyhow::Result<bool> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    act(&transaction, caller, topic).await?;
    let row = "insert into realtime.messages (topic, extension) values ($1, $2)";
    let written = transaction.execute(row, &[&topic, &extension.as_str()]).await;
    transaction.rollback().await?;
    refused_is_false(written.map(|_| true))
}

async fn act(transaction: &Transaction<'_>, caller: &Caller, topic: &str) -> Result<(), tokio_postgres::Error> {
    transaction.execute("select set_config('realtime.topic', $1, true)", &[&topic]).await?;
    as_caller(transaction, caller).await
}

fn refused_is_false(answer: Result<bool, tokio_postgres::Error>) -> anyhow::Result<bool> {
    answer.or_else(|error| match error.as_db_error() {
        Some(refusal) => {
            if *refusal.code() != SqlState::INSUFFICIENT_PRIVILEGE {
                tracing::warn!(error = %refusal, "a policy on realtime.messages fails; the caller is refused");
            }
            Ok(false)
        }
        None => Err(error.into()),
    })
}
