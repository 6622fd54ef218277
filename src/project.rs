//! The proof that a database and an API are those of one project.
//!
//! A copy of a project has the same rows, so a number that was just drawn is written into the database, and the API asked for it. Without the
//! proof nothing is removed: it might be another project's.

use std::time::Duration;

use uuid::Uuid;

use crate::queue::Queue;
use crate::supabase::{Caller, Error};

/// How often the API is asked that does not know the question: after a migration it takes a moment to read the schema again.
const TRIES: u32 = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(1);

/// Why database and API are not taken for one project's.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// The API has answered from another database.
    #[error("database and API are two projects: what was written to the one is not in the other")]
    Other,
    /// The API is none of a project with this schema.
    #[error("the API does not know carousel_has_proof: it is another project's, or has not read the schema again")]
    Unknown,
    /// One of the two could not be asked. It may pass.
    #[error("whether database and API are one project is not known: {0}")]
    Unproven(String),
}

/// Proves that the database of `queue` is that of `api`, whose caller holds the secret key.
///
/// # Errors
/// See [`Doubt`].
pub async fn prove(queue: &Queue, api: &Caller) -> Result<(), Doubt> {
    let nonce = Uuid::new_v4();
    queue.begin_proof(nonce).await.map_err(|error| Doubt::Unproven(error.to_string()))?;
    for attempt in 1.. {
        match api.has_proof(nonce).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Doubt::Other),
            Err(Error::NotFound | Error::SchemaMissing) if attempt < TRIES => tokio::time::sleep(PAUSE).await,
            Err(Error::NotFound | Error::SchemaMissing) => break,
            Err(error) => return Err(Doubt::Unproven(error.to_string())),
        }
    }
    Err(Doubt::Unknown)
}
