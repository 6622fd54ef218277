//! The database: the way to it, and its clock. What stands in it is looked at by [`schema`], [`rights`] and [`queue`].

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_postgres::Client;

use super::settings::Settings;
use super::{Report, Verdict, broadcasts, queue, rights, schema};
use crate::database::{Trouble, prove_write, unreachable, words};
use crate::listener::Listener;

/// What needs a connection, in the order in which it is looked at.
const CONNECTED: [&str; 6] = ["schema", "row_level_security", "publication", "grants", "role", "writes"];
/// What only the doctor looks at.
const WIDE: [&str; 5] = ["clock", "broadcasts", "queue", "limits", "provider_pause"];
/// Tokens are judged by clocks; a difference of some seconds is nothing to them.
const SKEW: Duration = Duration::from_secs(5);

/// Looks at all of it. Says as well whether the app shares its bucket.
pub(super) async fn look(settings: &Settings, wide: bool) -> (Report, bool) {
    let mut report = Report::default();
    let database = match &settings.database {
        Ok(database) => database,
        Err(first) => {
            report.skipped("connection", first);
            skip(&mut report, wide, first);
            return (report, false);
        }
    };
    let (client, connection) = match database.place.connect(database.tls.clone()).await {
        Ok((client, connection)) => (client, tokio::spawn(connection)),
        Err(error) => {
            let Trouble { said, mend } = unreachable(&error, &database.place);
            report.failed("connection", said, mend);
            skip(&mut report, wide, "connection");
            return (report, false);
        }
    };
    let answer = who(&mut report, &client).await;
    report.refused(&["connection"], answer);
    inside(&mut report, &client, wide).await;
    let shared = schema::is_bucket_shared(&client).await;
    match Listener::new(database.place.clone(), database.tls.clone()).probe().await {
        Ok(()) => report.passed("listen", "a notification to ourselves arrived"),
        Err(error) => {
            let mend = "use the direct connection or the session pooler, port 5432, in DATABASE_URL";
            report.failed("listen", error.to_string(), mend);
        }
    }
    drop(client);
    connection.abort();
    (report, shared)
}

fn skip(report: &mut Report, wide: bool, first: &str) {
    let more = if wide { &WIDE[..] } else { &[] };
    for check in CONNECTED.iter().chain(more).chain(&["listen"]) {
        report.skipped(check, first);
    }
}

/// Looks at what stands in the database.
async fn inside(report: &mut Report, client: &Client, wide: bool) {
    if wide {
        let answer = clock(report, client).await;
        report.refused(&["clock"], answer);
    }
    match schema::is_open(report, client).await {
        Ok(true) => {}
        Ok(false) => {
            let more = if wide { &WIDE[1..] } else { &[] };
            for check in CONNECTED[1..].iter().chain(more) {
                report.skipped(check, "schema");
            }
            return;
        }
        refused => return report.refused(&CONNECTED, refused.map(drop)),
    }
    let answer = schema::look(report, client).await;
    report.refused(&CONNECTED[..3], answer);
    let answer = rights::look(report, client).await;
    report.refused(&CONNECTED[3..5], answer);
    let answer = writes(report, client).await;
    report.refused(&CONNECTED[5..], answer);
    if report.of(Verdict::Failed).any(|finding| finding.check == "writes") {
        // Nobody can work, and who is alive can't say so.
        let more = if wide { &WIDE[1..] } else { &[] };
        more.iter().for_each(|check| report.skipped(check, "writes"));
    } else if wide {
        let answer = broadcasts::look(report, client).await;
        report.refused(&WIDE[1..2], answer);
        let answer = queue::look(report, client).await;
        report.refused(&WIDE[2..], answer);
    }
}

impl Report {
    /// Says that the database did not let us look, when it did not. Then the last of `checks` come to nothing.
    fn refused(&mut self, checks: &[&'static str], answer: Result<(), tokio_postgres::Error>) {
        let open: Vec<&str> = checks
            .iter()
            .copied()
            .filter(|check| self.findings.iter().all(|finding| finding.check != *check))
            .collect();
        if let (Err(error), Some((check, rest))) = (answer, open.split_first()) {
            self.failed(
                check,
                format!("the database can't be asked: {}", words(&error)),
                "connect as carousel_worker or postgres",
            );
            rest.iter().for_each(|later| self.skipped(later, check));
        }
    }
}

async fn who(report: &mut Report, client: &Client) -> Result<(), tokio_postgres::Error> {
    let statement = "
        select current_user::text, current_setting('server_version'),
            coalesce((select version from pg_stat_ssl where pid = pg_backend_pid() and ssl), 'no TLS')";
    let row = client.query_one(statement, &[]).await?;
    let (user, version, tls): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    report.passed("connection", format!("PostgreSQL {version} answers {user}, {tls}"));
    Ok(())
}

/// Tries a write.
async fn writes(report: &mut Report, client: &Client) -> Result<(), tokio_postgres::Error> {
    match prove_write(client).await {
        Ok(Ok(())) => report.passed("writes", "a write that was taken back went through"),
        Ok(Err(Trouble { said, mend })) => report.failed("writes", said, mend),
        // What is wrong with rights and tables has its own checks.
        Err(error) if error.code().is_some_and(|code| code.code().starts_with("42")) => {
            report.skipped("writes", "grants")
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Compares this machine's clock with the database's.
async fn clock(report: &mut Report, client: &Client) -> Result<(), tokio_postgres::Error> {
    // Once before, so that what is measured is one way there and back.
    client.query_one("select clock_timestamp()", &[]).await?;
    let (asked, since) = (OffsetDateTime::now_utc(), Instant::now());
    let theirs: OffsetDateTime = client.query_one("select clock_timestamp()", &[]).await?.get(0);
    let ahead = asked + since.elapsed() / 2 - theirs;
    match skew(ahead, since.elapsed()) {
        None => report.passed("clock", "this machine's clock is the database's, within 5 s"),
        Some(detail) => report.warning("clock", detail, "timedatectl set-ntp true"),
    }
    Ok(())
}

/// What is wrong when this machine is `ahead` of the database, as seen in an exchange that took `exchange`.
fn skew(ahead: time::Duration, exchange: Duration) -> Option<String> {
    let certain = ahead.unsigned_abs().saturating_sub(exchange);
    let side = if ahead.is_negative() { "behind" } else { "ahead of" };
    (certain > SKEW).then(|| {
        format!(
            "this machine's clock is {} s {side} the database's: tokens are refused too early or too late",
            certain.as_secs()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_and_a_slow_way_is_not_taken_for_one() {
        let at_once = Duration::from_millis(2);
        assert_eq!(skew(time::Duration::seconds(3), at_once), None);
        assert!(skew(time::Duration::seconds(61), at_once).unwrap().contains("60 s ahead of"));
        assert!(skew(time::Duration::seconds(-61), at_once).unwrap().contains("60 s behind"));
        assert_eq!(skew(time::Duration::seconds(12), Duration::from_secs(10)), None);
    }
}
