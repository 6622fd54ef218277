//! What can be wrong with a project, its keys and its provider: each check gives a verdict and the line that mends what it found.
//!
//! The one home of these checks: `carousel worker` makes those that a job depends on before it starts, `carousel doctor` makes all, and `/readyz`
//! those of [`ready`]. What the schema should be is read from `supabase/schemas` ([`promises`]). Nothing is changed by looking, but for a number that
//! [`project`] writes down.

mod api;
mod broadcasts;
mod database;
mod files;
mod project;
mod promises;
mod queue;
pub(crate) mod ready;
mod rights;
mod schema;
mod settings;

use serde::Serialize;

use crate::config::Deployment;
use settings::Settings;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// All is well.
    Passed,
    /// It works, and yet somebody should look.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be looked at.
    Skipped,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// Stable name of the check.
    pub(crate) check: &'static str,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// What was found, in a sentence without its full stop.
    pub(crate) detail: String,
    /// The line that mends it: for a shell, for the SQL editor, or in words.
    pub(crate) mend: Option<String>,
}

/// Findings, in the order in which a person mends them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    fn passed(&mut self, check: &'static str, detail: impl Into<String>) {
        self.findings.push(Finding { check, verdict: Verdict::Passed, detail: detail.into(), mend: None });
    }

    fn warning(&mut self, check: &'static str, detail: impl Into<String>, mend: impl Into<String>) {
        let (detail, mend) = (detail.into(), Some(mend.into()));
        self.findings.push(Finding { check, verdict: Verdict::Warning, detail, mend });
    }

    fn failed(&mut self, check: &'static str, detail: impl Into<String>, mend: impl Into<String>) {
        let (detail, mend) = (detail.into(), Some(mend.into()));
        self.findings.push(Finding { check, verdict: Verdict::Failed, detail, mend });
    }

    /// Says that `check` can't be made before `first` passes.
    fn skipped(&mut self, check: &'static str, first: &str) {
        let detail = format!("not looked at: {first} comes first");
        self.findings.push(Finding { check, verdict: Verdict::Skipped, detail, mend: None });
    }

    /// Passes `check` when there are no `faults`, each a detail and its mend.
    fn faults(&mut self, check: &'static str, all_well: impl Into<String>, faults: Vec<(String, String)>) {
        if faults.is_empty() {
            self.passed(check, all_well);
        }
        for (detail, mend) in faults {
            self.failed(check, detail, mend);
        }
    }

    /// Findings with this verdict.
    pub(crate) fn of(&self, verdict: Verdict) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.verdict == verdict)
    }
}

/// Makes every check. Those that don't depend on each other are made at once.
pub(crate) async fn all(deployment: &Deployment) -> Report {
    let (mut report, settings) = settings::read(deployment);
    settings::publishable_key(&mut report, deployment);
    look(&mut report, &settings, true).await;
    report
}

/// Makes the checks that a worker's jobs depend on.
///
/// # Errors
/// When one fails: all that failed, with what mends it.
pub(crate) async fn at_start(deployment: &Deployment) -> anyhow::Result<()> {
    let (mut report, settings) = settings::read(deployment);
    // Nothing is called with settings that are wrong.
    if report.of(Verdict::Failed).next().is_none() {
        look(&mut report, &settings, false).await;
    }
    for Finding { check, detail, mend, .. } in report.of(Verdict::Warning) {
        tracing::warn!(check, detail, mend, "the worker starts, and yet something is to be mended");
    }
    let failed: Vec<String> = report
        .of(Verdict::Failed)
        .map(|finding| match &finding.mend {
            Some(mend) => format!("{}; {mend}", finding.detail),
            None => finding.detail.clone(),
        })
        .collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\ncarousel: "));
    Ok(())
}

/// Calls what is set up. `wide` adds what no job of the worker's depends on.
async fn look(report: &mut Report, settings: &Settings, wide: bool) {
    let ((database, shared), provider) = tokio::join!(database::look(settings, wide), api::provider(settings));
    // Once the schema has been seen: both depend on what is in it.
    let usable = database.of(Verdict::Failed).next().is_none();
    let (api, project) = tokio::join!(api::look(settings, wide, shared), project::look(settings, usable));
    report.findings.extend([database, api, project, provider].into_iter().flat_map(|part| part.findings));
}
