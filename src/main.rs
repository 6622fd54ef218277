//! `carousel`: parse the command, start tracing, call it.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    carousel::cli::Cli::parse().run().await
}
