//! The numbers of carousel, each by one command: `benches/run NAME`. See `benches/README.md`.

mod bytes_moved;
mod claims;
mod database;
mod deployed;
mod floor;
mod hostile;
mod idle;
mod in_flight;
mod marks;
#[cfg(feature = "peers")]
mod peers;
mod pick_up;
mod queue_alone;
mod report;
mod scale_out;
mod scene;
mod stand_in;
mod unanalyzed;
mod wake;
mod whole_job;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Benchmarks of carousel on a local stack: each prints a table and writes `benches/results/NAME.json`
#[derive(Parser)]
struct Benches {
    /// Rounds; contenders are measured in turn in each
    #[arg(long, global = true, default_value_t = 5)]
    rounds: usize,
    /// Connections to the database that each contender may use
    #[arg(long, global = true, default_value_t = 10)]
    connections: usize,
    /// The program as it is deployed, for `idle` and `in-flight`
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/carousel"))]
    program: PathBuf,
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// From an acknowledged INSERT to the first line of the work
    PickUp {
        /// Jobs a round
        #[arg(long, default_value_t = 500)]
        samples: usize,
    },
    /// Jobs a second with work that does nothing
    Queue {
        /// Jobs a round
        #[arg(long, default_value_t = 20_000)]
        jobs: usize,
    },
    /// The cost of a claim by jobs and users waiting, after a million finished jobs, and before anything is analyzed
    Claims {
        /// Finished jobs, and waiting jobs at most
        #[arg(long, default_value_t = 1_000_000)]
        most: usize,
    },
    /// How long somebody's job waits beside an account that has done its worst
    Hostile {
        /// Jobs a round
        #[arg(long, default_value_t = 200)]
        samples: usize,
    },
    /// Statements and memory of a worker that has nothing to do
    Idle {
        /// How long it is watched
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Memory of a worker with many generations at once
    InFlight {
        /// Generations at once
        #[arg(long, default_value_t = 2000)]
        generations: usize,
        /// Seconds that the provider takes for each
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only the rows with these words in their name, for example TLS
        #[arg(long, default_value = "")]
        only: String,
    },
    /// A whole job without the provider's time, step by step
    Job {
        /// Jobs a round
        #[arg(long, default_value_t = 40)]
        samples: usize,
    },
    /// From the provider's answer to the stored object, against the floor
    Bytes,
    /// Statements, WAL and Realtime changes of jobs
    Database,
    /// Jobs a second with 1, 2, 4 and 8 workers
    ScaleOut {
        /// Jobs a round
        #[arg(long, default_value_t = 5000)]
        jobs: usize,
    },
    /// What 1 to 96 idle workers cost an INSERT, as all of them hear of it
    Wake {
        /// INSERTs a round and number of workers
        #[arg(long, default_value_t = 50)]
        inserts: usize,
    },
    #[command(hide = true)]
    Move { how: bytes_moved::How, provider: String, storage: String, width: u32, height: u32 },
    #[command(hide = true)]
    Drain { url: String },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Benches { rounds, connections, program, benchmark } = Benches::parse();
    match benchmark {
        Benchmark::PickUp { samples } => pick_up::run(rounds, samples).await,
        Benchmark::Queue { jobs } => queue_alone::run(rounds, jobs, connections).await,
        Benchmark::Claims { most } => claims::run(rounds, most).await,
        Benchmark::Hostile { samples } => hostile::run(rounds, samples).await,
        Benchmark::Idle { seconds } => idle::run(&program, seconds).await,
        Benchmark::InFlight { generations, seconds, only } => {
            in_flight::run(&program, rounds, generations, Duration::from_secs(seconds), &only).await
        }
        Benchmark::Job { samples } => whole_job::run(rounds, samples).await,
        Benchmark::Bytes => bytes_moved::run(rounds).await,
        Benchmark::Database => database::run().await,
        Benchmark::ScaleOut { jobs } => scale_out::run(rounds, jobs).await,
        Benchmark::Wake { inserts } => wake::run(rounds, inserts).await,
        Benchmark::Move { how, provider, storage, width, height } => {
            bytes_moved::client(how, &provider, &storage, width, height).await
        }
        Benchmark::Drain { url } => scale_out::worker(&url).await,
    }
}
