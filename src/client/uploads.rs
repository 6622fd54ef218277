//! Uploads, written down before they are made: what no row names after a day is removed.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::supabase::{Caller, Error};

const UPLOADS: &str = "carousel_uploads";
/// Tries, when somebody else writes the same path down at the same moment.
const TRIES: u32 = 3;

impl Caller {
    /// Writes down that sources of `owner` are about to be uploaded. For a path that was written down before, the day begins anew.
    ///
    /// # Errors
    /// `Refused` with `source_being_removed` when what has such a path is about to go; else see [`Error`].
    pub async fn declare(&self, owner: Uuid, paths: &[String]) -> Result<(), Error> {
        if paths.is_empty() {
            return Ok(());
        }
        let is_person = self.claimed_user().is_some();
        let row = |path| if is_person { json!({ "path": path }) } else { json!({ "path": path, "user_id": owner }) };
        let rows: Value = paths.iter().map(row).collect();
        for attempt in 1.. {
            match self.rows::<Value>(self.from(UPLOADS).insert(rows.to_string())).await {
                Err(Error::Conflict { .. }) if attempt < TRIES => {}
                answer => return answer.map(drop),
            }
        }
        Ok(())
    }
}
