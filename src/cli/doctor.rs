//! `carousel doctor`: what is wrong with a project, and the line that mends it.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::{coloured, line, print, print_json};
use crate::checks::{self, Finding, Report, Verdict};
use crate::config::Deployment;

/// Find what is wrong with the project, and name the line that mends it
///
/// Takes the options of `carousel worker` and makes all the checks that a worker makes at its start, and more: settings, database, schema,
/// row level security, publication, grants, LISTEN, clock, queue, bucket, both API keys, provider. Nothing is changed, and nothing is paid.
///
/// A check ends `ok`, `warning` (it works, and somebody should look), `FAILED`, or `skipped` (something else must be mended first).
/// As the worker's role it sees what a worker needs; as `postgres` it sees the history of migrations as well.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Exit codes:\n  0  nothing failed\n  1  a check failed, or with --strict one warned\n  2  the command line is wrong\n\n\
    Examples:\n  carousel doctor\n  carousel doctor --json | jq '.checks[] | select(.verdict == \"failed\") | .mend'"
)]
pub struct Doctor {
    /// Take a warning for a failure
    #[arg(long)]
    strict: bool,

    /// Print JSON: {"healthy": ..., "checks": [{"check", "verdict", "detail", "mend"}]}
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    deployment: Deployment,
}

impl Doctor {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let report = checks::all(&self.deployment).await;
        let count = |verdict| report.of(verdict).count();
        let healthy = count(Verdict::Failed) == 0 && !(self.strict && count(Verdict::Warning) > 0);
        if self.json {
            print_json(&json!({ "healthy": healthy, "checks": report.findings }))?;
        } else {
            show(&report)?;
        }
        Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn show(report: &Report) -> std::io::Result<()> {
    let width = report.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for Finding { check, verdict, detail, mend } in &report.findings {
        let word = match verdict {
            Verdict::Passed => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "skipped",
        };
        print(format!("{:<7}  {check:<width$}  {}", coloured(word), line(detail)))?;
        if let Some(mend) = mend {
            print(format!("{:<7}  {:<width$}  -> {}", "", "", line(mend)))?;
        }
    }
    let count = |verdict| report.of(verdict).count();
    print(format!(
        "\n{} ok, {} to look at, {} failed, {} not looked at",
        count(Verdict::Passed),
        count(Verdict::Warning),
        count(Verdict::Failed),
        count(Verdict::Skipped)
    ))
}
