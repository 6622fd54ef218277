//! Logs: for people on a terminal, JSON lines elsewhere. Field names are `job`, `image`, `user`, `attempt`, `code`, `request_id`.
//!
//! No secret is ever logged, and no prompt at `info` or above. What comes from outside goes into fields, which both formats escape: a
//! line break in a message can't begin a line of its own.

pub mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. `filter` is a level or a list of directives such as `carousel=debug,info`.
pub fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("--log {filter} is no filter: {error}; write for example info or carousel=debug")
    })?;
    // The pool's own words name no cause; what matters of them is reported where a statement fails.
    let filter = filter.add_directive("deadpool.postgres=off".parse()?);
    let terminal = std::io::stderr().is_terminal();
    let json = format == LogFormat::Json || (format == LogFormat::Auto && !terminal);
    let registry = tracing_subscriber::registry().with(filter);
    let writer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if json {
        registry.with(writer.json().flatten_event(true).with_current_span(false)).try_init()?;
    } else {
        registry.with(writer.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())).try_init()?;
    }
    Ok(())
}
