//! What `/readyz` asks again and again while requests are served: whether what was there at the start still is.

use super::{api, schema};
use crate::config;
use crate::database::{prove_write, words};
use crate::http::Check;
use crate::migrations;
use crate::supabase::Project;
use crate::supabase::storage::Storage;

/// Looks at everything that requests and jobs need.
pub(crate) async fn all(project: &Project, database: &config::Database, storage: &Storage) -> Vec<Check> {
    let (project, (mut checks, shared), bucket) = tokio::join!(api(project), inside(database), storage.check());
    let fault = match bucket {
        Ok(taken) if api::is_open(&taken, shared) => Some("the bucket is public".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    checks.push(Check { name: "bucket", fault });
    checks.push(project);
    checks
}

/// Whether the project's API can be used: all that requests need where no worker is beside them.
pub(crate) async fn api(project: &Project) -> Check {
    Check { name: "project", fault: project.check().await.err().map(|error| error.to_string()) }
}

/// Database and migrations, and whether the app shares its bucket.
async fn inside(database: &config::Database) -> (Vec<Check>, bool) {
    let fault = |name, fault| Check { name, fault };
    // One of the pool's connections would say nothing of a new one.
    let client = match async { database.settings()?.connect().await }.await {
        Ok(client) => client,
        Err(error) => return (vec![fault("database", Some(format!("{error:#}")))], false),
    };
    // The worker's own role need not see the history; then its statements say what is missing.
    let missing = migrations::missing(&client).await.unwrap_or_default();
    let missing = (!missing.is_empty()).then(|| format!("the schema lacks {}", missing.join(", ")));
    let writes = match prove_write(&client).await {
        Ok(written) => written.err().map(|trouble| trouble.to_string()),
        Err(error) => Some(format!("a write can't be tried: {}", words(&error))),
    };
    let shared = schema::is_bucket_shared(&client).await;
    (vec![fault("database", None), fault("migrations", missing), fault("writes", writes)], shared)
}
