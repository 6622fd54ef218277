//! Objects whose rows are gone: taken for a while, removed by the caller, then forgotten.

use std::time::Duration;

use uuid::Uuid;

use super::{Error, Queue};

/// An object that is to leave the bucket.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Row of `carousel_private.storage_cleanup`.
    pub id: i64,
    /// Object in the bucket.
    pub path: String,
}

impl Queue {
    /// Takes up to `count` objects that are to go. What is not ended by [`Queue::end_cleanup`] comes again, later each time, by `pause`
    /// times the tries. A source that a row names again, or that was uploaded anew, is forgotten instead.
    pub async fn take_cleanup(&self, count: usize, pause: Duration) -> Result<Vec<Removal>, Error> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows = self.once(include_str!("../../sql/take_cleanup.sql"), &[&count, &pause.as_secs_f64()]).await?;
        rows.iter().map(|row| Ok(Removal { id: row.try_get("id")?, path: row.try_get("path")? })).collect()
    }

    /// Writes down the objects that carousel wrote down as its own before this `age`, and that no row names. Returns how many there were.
    pub async fn sweep_objects(&self, age: Duration) -> Result<i32, Error> {
        let statement = include_str!("../../sql/sweep_objects.sql");
        let row = self.once(statement, &[&age.as_secs_f64()]).await?.pop().ok_or(Error::Lost)?;
        Ok(row.try_get("found")?)
    }

    /// Writes down a random number, which no other database has.
    pub async fn begin_proof(&self, nonce: Uuid) -> Result<(), Error> {
        self.once(include_str!("../../sql/begin_proof.sql"), &[&nonce]).await?;
        Ok(())
    }

    /// Forgets objects that are gone.
    pub async fn end_cleanup(&self, ids: &[i64]) -> Result<(), Error> {
        self.once(include_str!("../../sql/end_cleanup.sql"), &[&ids]).await?;
        Ok(())
    }
}
