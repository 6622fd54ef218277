//! The command line: one file a command.

mod api;
#[cfg(feature = "local")]
mod dev;
mod migrate;
mod preflight;
mod serve;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry::{self, LogFormat};

/// Turns job rows of a Supabase project into carousels of generated images
///
/// A frontend inserts a row into image_generation_jobs; the worker hears of it, edits the person's photos with the provider's image
/// model, stores the results in the bucket generated-carousels, and writes its progress to the rows, which Realtime shows to the person.
///
/// Try it without any account: carousel dev
#[derive(Parser, Debug)]
#[command(version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to log: a level (error, warn, info, debug, trace) or directives such as carousel=debug,info
    #[arg(long, global = true, env = "CAROUSEL_LOG", value_name = "FILTER", default_value = "info")]
    log: String,

    /// How log lines look
    #[arg(long, global = true, env = "CAROUSEL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[cfg(feature = "local")]
    Dev(Box<dev::Dev>),
    Serve(Box<serve::Serve>),
    Worker(Box<worker::WorkerCommand>),
    Api(Box<api::Api>),
    Migrate(migrate::Migrate),
}

impl Cli {
    /// Runs the command. What goes wrong is told on standard error.
    pub async fn run(self) -> ExitCode {
        let quiet = match &self.command {
            // A person looks at progress bars: log lines would tear them.
            #[cfg(feature = "local")]
            Command::Dev(_) if self.log == "info" => "warn",
            _ => &self.log,
        };
        let done = match telemetry::start(quiet, self.log_format) {
            Ok(()) => match self.command {
                #[cfg(feature = "local")]
                Command::Dev(dev) => dev.run().await,
                Command::Serve(serve) => serve.run().await,
                Command::Worker(worker) => worker.run().await,
                Command::Api(api) => api.run().await,
                Command::Migrate(migrate) => migrate.run().await,
            },
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("carousel: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Resolves when the process is asked to end: SIGTERM, or Ctrl-C.
async fn end_requested() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(interrupt.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupt.await);
}
