//! What can go wrong between us and the database, by meaning.

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::{Severity, SqlState};

use crate::job::Unknown;

/// Why a statement of the queue did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease is held by nobody or by somebody else: the job was deleted, cancelled or taken over. Stop quietly.
    #[error("the lease on the job is lost")]
    Lost,
    /// The database can't be reached, is restarting, or can't do this just now: no connection, no room, a lock, a time limit. It is worth
    /// waiting.
    #[error("the database is away: {0}")]
    Away(String),
    /// The database refused the statement, and somebody has to mend that.
    #[error("the database refused a statement: {0}")]
    Refused(String),
    /// A row holds a value that this version does not know.
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// Classes of SQLSTATE that pass by themselves: connection, rollback of a transaction, resources, intervention, system.
const PASSING: [&str; 5] = ["08", "40", "53", "57", "58"];

/// Whether the same statement could do better in a while.
fn may_pass(code: &SqlState, fatal: bool, words: &str) -> bool {
    // The server's own XX000 is a fault of the server; of a session that is refused as a whole, it is the pooler that speaks.
    let pooler = *code == SqlState::INTERNAL_ERROR && fatal && !is_wrong_address(words);
    pooler
        || PASSING.iter().any(|class| code.code().starts_with(class))
        || [
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code)
        // The time limit of a transaction, which came with PostgreSQL 17.
        || code.code() == "25P04"
}

/// Whether the pooler knows nobody of this name: no time mends that.
fn is_wrong_address(words: &str) -> bool {
    let words = words.to_lowercase();
    (words.contains("tenant") || words.contains("user")) && words.contains("not found")
        || words.contains("no tenant identifier")
}

/// What mends a refusal, as the end of a sentence.
fn mend(code: &SqlState, words: &str) -> &'static str {
    let missing = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
    ];
    if missing.contains(code) {
        "; run `carousel migrate`"
    } else if *code == SqlState::INTERNAL_ERROR && is_wrong_address(words) {
        "; restore the project if it is paused, or copy DATABASE_URL anew from its Connect page: host and user name are its own"
    } else {
        ""
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = error.as_db_error() {
            let (code, words) = (refusal.code(), refusal.message());
            let fatal = refusal.parsed_severity() == Some(Severity::Fatal) || refusal.severity() == "FATAL";
            if may_pass(code, fatal, words) {
                Self::Away(format!("{words} ({})", code.code()))
            } else {
                Self::Refused(format!("{words} ({}){}", code.code(), mend(code, words)))
            }
        } else {
            let text = error.to_string();
            // Else it is the connection.
            let unfit = text.starts_with("error deserializing") || text.starts_with("error serializing");
            if unfit { Self::Refused(text) } else { Self::Away(text) }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_waited_for_and_all_else_is_a_refusal() {
        let passes = |code: &str, fatal, words: &str| may_pass(&SqlState::from_code(code), fatal, words);
        for code in [
            "08006", "08P01", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "53300", "53400", "55P03",
            "57014", "57P01", "57P03", "57P05", "58030",
        ] {
            assert!(passes(code, false, ""), "{code}");
        }
        for code in [
            "0A000", "21000", "22001", "22021", "22P02", "23502", "23503", "23505", "23514", "25P02", "28000", "28P01",
            "3D000", "3F000", "42501", "42601", "42703", "42883", "42P01", "54000", "55000", "P0001", "PT400", "XX000",
            "XX001",
        ] {
            assert!(!passes(code, false, ""), "{code}");
        }
    }

    #[test]
    fn the_pooler_is_waited_for_unless_it_knows_nobody_of_this_name() {
        let passes = |words: &str| may_pass(&SqlState::INTERNAL_ERROR, true, words);
        assert!(passes(
            "MaxClientsInSessionMode: max clients reached - in Session mode max clients are limited to pool_size"
        ));
        assert!(passes("Max client connections reached"));
        assert!(passes("Unable to check out a connection from the pool after 15000ms"));
        assert!(passes("connection to database closed. Check logs for more information"));
        for words in ["Tenant or user not found", "(ENOTFOUND) tenant/user carousel_worker.abc not found"] {
            assert!(!passes(words), "{words}");
            assert!(mend(&SqlState::INTERNAL_ERROR, words).contains("Connect"));
        }
    }

    #[test]
    fn migrating_is_advised_only_where_something_is_missing() {
        for code in ["42P01", "42703", "42883", "3F000"] {
            assert!(mend(&SqlState::from_code(code), "").contains("carousel migrate"), "{code}");
        }
        for code in ["42501", "23514", "22001", "P0001", "28P01"] {
            assert_eq!(mend(&SqlState::from_code(code), ""), "", "{code}");
        }
    }
}
