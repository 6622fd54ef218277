//! What can go wrong between us and the database, by meaning.

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::job::Unknown;

/// Why a statement of the queue did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease is held by nobody or by somebody else: the job was deleted, cancelled or taken over. Stop quietly.
    #[error("the lease on the job is lost")]
    Lost,
    /// The database can't be reached, or is restarting, or has no connection to give. It is worth waiting.
    #[error("the database is away: {0}")]
    Away(String),
    /// The database refused the statement: its schema is not what this program expects.
    #[error("the database refused a statement: {0}; run `carousel migrate`")]
    Refused(String),
    /// A row holds a value that this version does not know.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        let away = match error.code() {
            // Without a code it is the connection, or a value that could not be read.
            None => {
                !error.to_string().starts_with("error deserializing")
                    && !error.to_string().starts_with("error serializing")
            }
            Some(code) => {
                code.code().starts_with("08")
                    || [
                        SqlState::ADMIN_SHUTDOWN,
                        SqlState::CRASH_SHUTDOWN,
                        SqlState::CANNOT_CONNECT_NOW,
                        SqlState::TOO_MANY_CONNECTIONS,
                        SqlState::T_R_DEADLOCK_DETECTED,
                        SqlState::T_R_SERIALIZATION_FAILURE,
                        SqlState::READ_ONLY_SQL_TRANSACTION,
                    ]
                    .contains(code)
            }
        };
        let text = error.as_db_error().map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned());
        if away { Self::Away(text) } else { Self::Refused(text) }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            other => Self::Away(other.to_string()),
        }
    }
}
