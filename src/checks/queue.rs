//! The queue as it is now: who waits, who works, and whether the provider is left alone. The operator's views say it; here it is judged.

use std::time::Duration;

use tokio_postgres::{Client, Error};

use super::Report;

/// A job that has waited for so long while workers are alive waits for too few of them.
const LONG: Duration = Duration::from_secs(600);

/// What is waiting, and who could take it.
#[derive(Debug)]
struct State {
    waiting: i64,
    oldest: Duration,
    running: i64,
    /// Jobs whose worker was lost, and that nobody has taken back.
    lost: i64,
    alive: i64,
}

pub(super) async fn look(report: &mut Report, client: &Client) -> Result<(), Error> {
    let statement = "
        select waiting, coalesce(extract(epoch from oldest_waiting), 0)::float8 as oldest, running, lost,
            (select count(*) from carousel_private.worker_health where health = 'alive') as alive,
            greatest(0, coalesce(extract(epoch from paused_until - now()), 0))::float8 as paused, paused_reason
        from carousel_private.queue_health";
    let row = client.query_one(statement, &[]).await?;
    let seconds = |name: &str| Duration::try_from_secs_f64(row.get::<_, f64>(name)).unwrap_or_default();
    let state = State {
        waiting: row.get("waiting"),
        oldest: seconds("oldest"),
        running: row.get("running"),
        lost: row.get("lost"),
        alive: row.get("alive"),
    };
    judge(report, &state);
    limits(report, client).await?;
    match seconds("paused") {
        Duration::ZERO => report.passed("provider_pause", "neither the provider nor Storage is left alone"),
        left => report.warning(
            "provider_pause",
            format!(
                "no job is taken up for another {}: {}",
                spoken(left),
                row.get::<_, Option<String>>("paused_reason")
                    .as_deref()
                    .unwrap_or("the provider or Storage is left alone")
            ),
            "mend what it names, then: update carousel_private.provider_budget set paused_until = null;",
        ),
    }
    let statement = "
        select model, extract(epoch from paused_until - now())::float8 as paused, reason
        from carousel_private.model_pauses where paused_until > now() order by model";
    for row in client.query(statement, &[]).await? {
        let left = Duration::try_from_secs_f64(row.get("paused")).unwrap_or_default();
        let (model, reason): (&str, &str) = (row.get("model"), row.get("reason"));
        report.warning(
            "provider_pause",
            format!("jobs that have chosen {model} wait for another {}: {reason}", spoken(left)),
            "mend what it names, or leave the model out of CAROUSEL_MODELS",
        );
    }
    Ok(())
}

/// What everyone may ask for who has no limits of their own.
async fn limits(report: &mut Report, client: &Client) -> Result<(), Error> {
    let statement = "
        select max_active_jobs, max_images_a_day, max_usd_a_month::text,
            (select count(*) from carousel_private.limits where user_id is not null) as own
        from (select) as always left join carousel_private.limits on user_id is null";
    let row = client.query_one(statement, &[]).await?;
    let number = |name: &str, what: &str| row.get::<_, Option<i32>>(name).map(|most| format!("{most} {what}"));
    let dollars = row.get::<_, Option<String>>("max_usd_a_month").map(|most| format!("{most} dollars a month"));
    let most =
        [number("max_active_jobs", "unfinished jobs"), number("max_images_a_day", "images in 24 hours"), dollars];
    let most: Vec<String> = most.into_iter().flatten().collect();
    let own = counted(row.get("own"), "person has limits", "people have limits");
    if most.is_empty() {
        report.warning(
            "limits",
            format!("anybody may ask for as much as they like; {own} of their own"),
            "insert into carousel_private.limits (max_active_jobs, max_images_a_day) values (500, 1000) \
             on conflict (user_id) do update set max_active_jobs = 500, max_images_a_day = 1000;",
        );
    } else {
        report.passed("limits", format!("each person may have {}; {own} of their own", most.join(", ")));
    }
    Ok(())
}

fn judge(report: &mut Report, state: &State) {
    let State { waiting, oldest, running, lost, alive } = state;
    let waits = format!("{}, the oldest for {}", counted(*waiting, "job waits", "jobs wait"), spoken(*oldest));
    let workers = counted(*alive, "worker is alive", "workers are alive");
    match (waiting, lost, alive) {
        // A worker that is alive takes back what another one lost.
        (0, 0, _) | (0, _, 1..) => {
            let running = counted(*running, "job is", "jobs are");
            report.passed("queue", format!("nothing waits, {running} in work, {workers}"));
        }
        (0, _, 0) => {
            let lost = counted(*lost, "job has lost its worker", "jobs have lost their workers");
            report.warning("queue", format!("{lost}, and no worker is alive"), "carousel worker");
        }
        (_, _, 0) => report.warning("queue", format!("{waits}, and no worker is alive"), "carousel worker"),
        _ if *oldest > LONG => report.warning(
            "queue",
            format!("{waits}, and {}", counted(*alive, "worker can't keep up", "workers can't keep up")),
            "start more workers, or raise CAROUSEL_JOBS and CAROUSEL_CALLS",
        ),
        _ => report.passed("queue", format!("{waits}; {workers}")),
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

    fn verdict(waiting: i64, minutes: u64, lost: i64, alive: i64) -> (Verdict, String) {
        let mut report = Report::default();
        let oldest = Duration::from_secs(minutes * 60);
        judge(&mut report, &State { waiting, oldest, running: 1, lost, alive });
        (report.findings[0].verdict, report.findings[0].detail.clone())
    }

    #[test]
    fn jobs_that_nobody_takes_are_told_and_jobs_that_wait_their_turn_are_not() {
        assert_eq!(verdict(0, 0, 0, 0).0, Verdict::Passed);
        assert_eq!(verdict(3, 1, 0, 2).0, Verdict::Passed);
        assert_eq!(verdict(0, 0, 1, 1).0, Verdict::Passed, "that worker takes it back");
        for (state, words) in [
            (verdict(3, 200, 0, 0), "3 jobs wait, the oldest for 3 h, and no worker is alive"),
            (verdict(0, 0, 1, 0), "1 job has lost its worker, and no worker is alive"),
            (verdict(1, 11, 0, 1), "1 job waits, the oldest for 11 min, and 1 worker can't keep up"),
        ] {
            assert_eq!(state, (Verdict::Warning, words.to_owned()));
        }
    }
}
