//! The command line: one file a command.

mod acting;
mod api;
mod board;
mod carousels;
mod completions;
#[cfg(feature = "local")]
mod dev;
mod doctor;
mod download;
mod ending;
mod init;
mod jobs;
mod migrate;
mod option;
mod request;
mod serve;
mod submit;
mod templates;
mod terminal;
mod upload;
mod watch;
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
    #[arg(
        long,
        global = true,
        help_heading = "Logging",
        env = "CAROUSEL_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,

    /// How log lines look
    #[arg(long, global = true, help_heading = "Logging", env = "CAROUSEL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
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
    Init(init::Init),
    Doctor(Box<doctor::Doctor>),
    Submit(Box<submit::Submit>),
    Watch(Box<watch::Watch>),
    Jobs(Box<jobs::Jobs>),
    Templates(Box<templates::Templates>),
    Carousels(Box<carousels::Carousels>),
    Completions(completions::Completions),
}

impl Cli {
    /// Runs the command. What goes wrong is told on standard error.
    pub async fn run(self) -> ExitCode {
        let filter = match &self.command {
            Command::Serve(_) | Command::Worker(_) | Command::Api(_) | Command::Migrate(_) => &self.log,
            // A person looks at what the command itself says: log lines would tear it.
            _ if self.log == "info" => "warn",
            _ => &self.log,
        };
        let done = match telemetry::start(filter, self.log_format) {
            Ok(()) => self.command.run().await,
            Err(error) => Err(error),
        };
        done.unwrap_or_else(|error| {
            if terminal::nobody_reads(&error) {
                return ExitCode::SUCCESS;
            }
            eprintln!("carousel: {}", terminal::lines(&format!("{error:#}")));
            ending::code_of_error(&error)
        })
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            #[cfg(feature = "local")]
            Self::Dev(dev) => dev.run().await?,
            Self::Serve(serve) => serve.run().await?,
            Self::Worker(worker) => worker.run().await?,
            Self::Api(api) => api.run().await?,
            Self::Migrate(migrate) => migrate.run().await?,
            Self::Init(init) => init.run().await?,
            Self::Doctor(doctor) => return doctor.run().await,
            Self::Submit(submit) => return submit.run().await,
            Self::Watch(watch) => return watch.run().await,
            Self::Jobs(jobs) => jobs.run().await?,
            Self::Templates(templates) => return templates.run().await,
            Self::Carousels(carousels) => carousels.run().await?,
            Self::Completions(completions) => completions.run()?,
        }
        Ok(ExitCode::SUCCESS)
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
