//! Everything that a worker is given: what its start, the doctor and `/readyz` look at.

use clap::Args;

use super::{Database, Provider, Supabase, Worker};

/// The options of a worker, group by group.
#[derive(Args, Clone, Debug)]
pub struct Deployment {
    /// How to reach the database.
    #[command(flatten)]
    pub database: Database,
    /// How to reach the project's API.
    #[command(flatten)]
    pub supabase: Supabase,
    /// How to reach the provider.
    #[command(flatten)]
    pub provider: Provider,
    /// How much is done at once.
    #[command(flatten)]
    pub worker: Worker,
}
