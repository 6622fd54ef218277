//! How many files and connections this process may have open at once.

use super::Report;
use crate::config::Deployment;

/// What is open beside the calls, the transfers and the database's connections: sources that are fetched or sent (32 of each at once), those who listen, logs.
const BESIDE: u64 = 128;

/// Raises the limit to what the settings need, and says so where that is not allowed.
///
/// A call that can't open its connection is only tried again; but a picture that can't be uploaded for long was paid for in vain.
pub(super) fn look(report: &mut Report, deployment: &Deployment) {
    let settings = &deployment.worker;
    let connections = u64::from(deployment.database.database_connections);
    let needed = u64::from(settings.calls) + u64::from(settings.transfers) + connections + BESIDE;
    match allowed(needed) {
        Some(allowed) if allowed < needed => report.failed(
            "open_files",
            format!(
                "{allowed} files and connections may be open at once, and CAROUSEL_CALLS={} needs {needed}",
                settings.calls
            ),
            format!("ulimit -n {needed} (systemd: LimitNOFILE={needed}; Docker: --ulimit nofile={needed})"),
        ),
        _ => report.passed("open_files", format!("{needed} files and connections may be open at once")),
    }
}

/// How many may be open, raised to `needed` as far as that is allowed; nothing where there is no such limit.
#[cfg(unix)]
fn allowed(needed: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let now = limit.current?;
    let current = limit.maximum.map_or(needed, |most| most.min(needed));
    if current <= now {
        return Some(now);
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    Some(if raised.is_ok() { current } else { now })
}

#[cfg(not(unix))]
fn allowed(_: u64) -> Option<u64> {
    None
}
