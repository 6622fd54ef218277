//! Connections to the local PostgreSQL, and acting in it as somebody else.

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio_postgres::{Client, NoTls, Transaction};

use super::caller::Caller;

/// One connection to `url`, driven by a task that ends with it.
///
/// # Errors
/// When the server can't be reached or refuses.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the local PostgreSQL ended");
        }
    });
    Ok(client)
}

/// At most `size` connections to `url`, opened when they are asked for.
///
/// # Errors
/// When `url` is no connection string of PostgreSQL.
pub fn pool(url: &str, size: usize) -> anyhow::Result<Pool> {
    let config = url.parse::<tokio_postgres::Config>()?;
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Ok(Pool::builder(manager).max_size(size).build()?)
}

/// Makes the rest of the transaction act as `caller`, so that grants and policies decide, in the same way as PostgREST does it.
/// The connection's own role must be a member of the caller's, as `authenticator` is.
///
/// # Errors
/// When the role doesn't exist or may not be taken.
pub async fn as_caller(transaction: &Transaction<'_>, caller: &Caller) -> Result<(), tokio_postgres::Error> {
    let settings = "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)";
    transaction.execute(settings, &[&caller.role, &caller.claims.to_string()]).await?;
    Ok(())
}
