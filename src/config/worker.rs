//! Options of the worker.

use std::path::PathBuf;

use clap::Args;

/// How much is done at once, and how patiently.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Worker")]
pub struct Worker {
    /// Jobs that are worked on at once
    #[arg(long, env = "CAROUSEL_JOBS", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub jobs: u32,

    /// Calls to the provider at once, over all jobs
    #[arg(long, env = "CAROUSEL_CALLS", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub calls: u32,

    /// Images a minute that all workers with the same provider key may ask for together; no limit of ours when left out
    #[arg(long, env = "CAROUSEL_IMAGES_PER_MINUTE", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub images_per_minute: Option<u32>,

    /// Calls to the provider at once for one job
    #[arg(long, env = "CAROUSEL_CALLS_PER_JOB", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub calls_per_job: u32,

    /// Pictures in memory at once, on their way from the provider to the bucket; this bounds the memory
    #[arg(long, env = "CAROUSEL_TRANSFERS", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub transfers: u32,

    /// Times that an image is tried before it fails
    #[arg(long, env = "CAROUSEL_IMAGE_TRIES", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub image_tries: u32,

    /// Workers that a job may lose before it fails
    #[arg(long, env = "CAROUSEL_JOB_ATTEMPTS", value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub job_attempts: i32,

    /// Seconds after which a silent worker's job may be taken by another; renewed at a third of it
    #[arg(long, env = "CAROUSEL_LEASE_SECONDS", value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub lease_seconds: u64,

    /// Seconds between looks at the database when it says nothing
    #[arg(long, env = "CAROUSEL_POLL_SECONDS", value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub poll_seconds: u64,

    /// Seconds that running images get to finish after SIGTERM
    #[arg(long, env = "CAROUSEL_GRACE_SECONDS", value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub grace_seconds: u64,

    /// Folder in which source images are spooled while their job runs
    #[arg(long, env = "CAROUSEL_SPOOL", value_name = "DIR")]
    pub spool: Option<PathBuf>,
}

impl Worker {
    /// The folder for source images.
    pub fn spool(&self) -> PathBuf {
        self.spool.clone().unwrap_or_else(std::env::temp_dir)
    }
}
