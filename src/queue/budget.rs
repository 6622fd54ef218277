//! What all workers together may ask of the provider, of one of its models and of Storage: their pace, and how long each is left alone.

use std::time::Duration;

use super::{Error, Queue, seconds};

/// Name of the provider's row in `carousel_private.provider_budget`: one key, one budget.
const PROVIDER: &str = "openai";
/// Name of the row that stands beside it for the bucket.
const STORAGE: &str = "storage";

impl Queue {
    /// Says how many images a minute all workers together may ask for.
    pub async fn set_rate(&self, images_per_minute: u32) -> Result<(), Error> {
        let rate = i32::try_from(images_per_minute).unwrap_or(i32::MAX);
        self.rows(include_str!("../../sql/set_rate.sql"), &[&PROVIDER, &rate]).await?;
        Ok(())
    }

    /// Leaves the provider alone for the time `pause`: every worker that shares its key does. `reason` is for the dashboard.
    pub async fn pause_provider(&self, pause: Duration, reason: &str) -> Result<(), Error> {
        self.pause(PROVIDER, pause, reason).await
    }

    /// The same of Storage: a picture that it does not take is paid all the same.
    pub async fn pause_storage(&self, pause: Duration, reason: &str) -> Result<(), Error> {
        self.pause(STORAGE, pause, reason).await
    }

    /// Leaves a model alone that the job has chosen: jobs of other models go on.
    pub async fn pause_model(&self, model: &str, pause: Duration, reason: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/pause_model.sql");
        self.rows(statement, &[&model, &pause.as_secs_f64(), &reason]).await?;
        Ok(())
    }

    async fn pause(&self, whom: &str, pause: Duration, reason: &str) -> Result<(), Error> {
        let statement = include_str!("../../sql/pause_provider.sql");
        self.rows(statement, &[&whom, &pause.as_secs_f64(), &reason]).await?;
        Ok(())
    }

    /// Takes the next place in the row of all workers' calls, and says how long to wait for it.
    pub async fn reserve_call(&self) -> Result<Duration, Error> {
        let row = self.row(include_str!("../../sql/reserve_call.sql"), &[&PROVIDER]).await?;
        Ok(seconds(row.map_or(Ok(0.0), |row| row.try_get("wait_seconds"))?))
    }
}
