//! Removes objects whose rows are gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, interval_at};

use crate::project::{self, Doubt};
use crate::queue::Queue;
use crate::supabase::Caller;
use crate::supabase::storage::Storage;

/// Storage takes no more in one request.
const BATCH: usize = 100;
/// First wait before a removal that failed is tried again; it grows with each try.
const PAUSE: Duration = Duration::from_secs(60);

/// Between two searches for objects without a row, and how long ago they must have been written down: no call takes so long.
const SWEEP: Duration = Duration::from_secs(3600);

/// Cleans for ever: removes what is written down whenever `removals_due` is notified, and sweeps once an hour. Nothing is removed while it is not
/// proven that the database, which says what, and `api`, behind which the bucket is, are one project's.
pub(super) async fn clean(queue: Queue, storage: Arc<Storage>, api: Caller, removals_due: Arc<Notify>) {
    let mut sweeps = interval_at(Instant::now() + SWEEP, SWEEP);
    loop {
        tokio::select! {
            () = removals_due.notified() => if is_one_project(&queue, &api).await {
                while remove(&queue, &storage).await {}
            },
            // What is found is written down, and the worker's next look sees it.
            _ = sweeps.tick() => match queue.sweep_objects(SWEEP).await {
                Ok(0) => {}
                Ok(objects) => tracing::warn!(objects, "found objects without a row; they will be removed"),
                Err(error) => tracing::warn!(%error, "can't look for objects without a row"),
            },
        }
    }
}

async fn is_one_project(queue: &Queue, api: &Caller) -> bool {
    match project::prove(queue, api).await {
        Ok(()) => return true,
        Err(doubt @ Doubt::Unproven(_)) => tracing::warn!(%doubt, "no object is removed"),
        Err(doubt) => {
            tracing::error!(%doubt, "no object is removed: DATABASE_URL and SUPABASE_URL must name one project")
        }
    }
    false
}

/// One batch. Says whether there may be more.
async fn remove(queue: &Queue, storage: &Storage) -> bool {
    let removals = match queue.take_cleanup(BATCH, PAUSE).await {
        Ok(removals) if removals.is_empty() => return false,
        Ok(removals) => removals,
        Err(error) => {
            tracing::warn!(%error, "can't look for objects to remove");
            return false;
        }
    };
    let paths: Vec<String> = removals.iter().map(|removal| removal.path.clone()).collect();
    // Storage names only what was there; what was not is gone as well.
    if let Err(error) = storage.remove(&paths).await {
        tracing::warn!(%error, objects = paths.len(), "objects could not be removed; trying again later");
        return false;
    }
    let ids: Vec<i64> = removals.iter().map(|removal| removal.id).collect();
    if let Err(error) = queue.end_cleanup(&ids).await {
        tracing::warn!(%error, "removed objects stay written down; removing them again does no harm");
        return false;
    }
    tracing::debug!(objects = ids.len(), "objects removed");
    removals.len() == BATCH
}
