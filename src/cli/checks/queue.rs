//! The queue as it is now: who waits, who works, and whether the provider is left alone.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::Report;

/// Workers report about once a minute; one that was silent for so long is gone.
const SILENT: f64 = 180.0;
/// A job that has waited for so long while workers are alive waits for too few of them.
const LONG: Duration = Duration::from_secs(600);

/// What is waiting, and who could take it.
#[derive(Debug)]
struct State {
    waiting: i64,
    oldest: Duration,
    running: i64,
    alive: i64,
}

pub(super) async fn look(report: &mut Report, client: &Client) -> Result<(), Error> {
    let statement = "
        select
            (select count(*) from carousel_private.queue where run_at <= now()) as waiting,
            (select coalesce(extract(epoch from now() - min(run_at)), 0)::float8 from carousel_private.queue where run_at <= now()) as oldest,
            (select count(*) from carousel_private.leases) as running,
            (select count(*) from carousel_private.workers where state = 'running' and extract(epoch from now() - seen_at) < $1::float8) as alive,
            (select greatest(0, coalesce(extract(epoch from max(paused_until) - now()), 0))::float8 from carousel_private.provider_budget) as paused,
            (select paused_reason from carousel_private.provider_budget order by paused_until desc nulls last limit 1) as reason";
    let row = client.query_one(statement, &[&SILENT]).await?;
    let seconds = |name: &str| Duration::try_from_secs_f64(row.get::<_, f64>(name)).unwrap_or_default();
    let state = State {
        waiting: row.get("waiting"),
        oldest: seconds("oldest"),
        running: row.get("running"),
        alive: row.get("alive"),
    };
    judge(report, &state);
    match seconds("paused") {
        Duration::ZERO => report.passed("provider_pause", "the provider may be called"),
        left => report.warning(
            "provider_pause",
            format!(
                "no job is taken up for another {}: {}",
                spoken(left),
                row.get::<_, Option<String>>("reason").as_deref().unwrap_or("the provider wants to be left alone")
            ),
            "mend the account at the provider, then: update carousel_private.provider_budget set paused_until = null;",
        ),
    }
    Ok(())
}

fn judge(report: &mut Report, state: &State) {
    let State { waiting, oldest, running, alive } = state;
    let waits = format!("{}, the oldest for {}", counted(*waiting, "job waits", "jobs wait"), spoken(*oldest));
    match (waiting, alive) {
        (0, _) => {
            let alive = counted(*alive, "worker is alive", "workers are alive");
            report.passed(
                "queue",
                format!("nothing waits, {} in work, {alive}", counted(*running, "job is", "jobs are")),
            );
        }
        (_, 0) => report.warning("queue", format!("{waits}, and no worker is alive"), "carousel worker"),
        _ if *oldest > LONG => report.warning(
            "queue",
            format!("{waits}, and {}", counted(*alive, "worker can't keep up", "workers can't keep up")),
            "start more workers, or raise CAROUSEL_JOBS and CAROUSEL_CALLS",
        ),
        _ => report.passed("queue", format!("{waits}; {}", counted(*alive, "worker is alive", "workers are alive"))),
    }
}

fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time as one says it.
fn spoken(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn verdict(waiting: i64, minutes: u64, alive: i64) -> (Verdict, String) {
        let mut report = Report::default();
        let oldest = Duration::from_secs(minutes * 60);
        judge(&mut report, &State { waiting, oldest, running: 1, alive });
        (report.findings[0].verdict, report.findings[0].detail.clone())
    }

    #[test]
    fn jobs_that_nobody_takes_are_told_and_jobs_that_wait_their_turn_are_not() {
        assert_eq!(verdict(0, 0, 0).0, Verdict::Passed);
        assert_eq!(verdict(3, 1, 2).0, Verdict::Passed);
        let (stuck, detail) = verdict(3, 200, 0);
        assert_eq!(stuck, Verdict::Warning);
        assert!(detail.contains("3 jobs wait, the oldest for 3 h") && detail.contains("no worker"), "{detail}");
        let (slow, detail) = verdict(1, 11, 1);
        assert_eq!(slow, Verdict::Warning);
        assert!(detail.contains("1 job waits, the oldest for 11 min") && detail.contains("keep up"), "{detail}");
    }
}
