//! The database's troubles in words: what it said, and the line that mends it.
//!
//! The one place that knows what a refusal to connect means, for everything that connects. Nothing of a password is in what it says.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;

use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error};

/// What every worker writes before anything else.
const WRITE: &str = "
    insert into carousel_private.workers (id, name, version, concurrency, running, state)
    values (gen_random_uuid(), 'a check that is rolled back', '', 0, 0, 'stopped')";

/// How long a statement of any connection of ours waits for a row that somebody holds, and how long it may take. What gave up is tried again, and its
/// connection is free for others in between: no client's transaction keeps one. After 20 s nobody waits for the answer any more. Shorter ones, which
/// somebody has set for the role, stay.
pub const TIME_LIMITS: &str = "
    select set_config(name, milliseconds, false)
    from (values ('lock_timeout', '500'), ('statement_timeout', '20000')) as ours (name, milliseconds)
    join pg_settings using (name)
    where setting = '0' or setting::integer > milliseconds::integer";

/// What is wrong, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was found, in a sentence without its full stop.
    pub said: String,
    /// For a shell, for the SQL editor, or in words.
    pub mend: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}; {}", self.said, self.mend)
    }
}

impl std::error::Error for Trouble {}

/// The database's own words with its SQLSTATE, or what happened on the way to it.
pub fn words(error: &Error) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        // The outer words say which step failed, the cause says why.
        None => error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

/// Why there is no connection to `place`.
pub fn unreachable(error: &Error, place: &Config) -> Trouble {
    let mend = match error.as_db_error() {
        Some(refusal) => refused(refusal.code(), refusal.message(), place),
        None => cut_off(error, place),
    };
    Trouble { said: format!("the database can't be reached: {}", words(error)), mend }
}

/// What mends a refusal of the database's, or of the pooler's in front of it.
fn refused(code: &SqlState, message: &str, place: &Config) -> String {
    let user = place.get_user().unwrap_or("carousel_worker");
    // A pooler wants the project behind the role's name.
    let role = quoted(user.split('.').next().unwrap_or(user));
    let told = message.to_ascii_lowercase();
    if *code == SqlState::INVALID_PASSWORD {
        format!(
            "check the password in DATABASE_URL (percent-encoded), or set it: alter role {role} login password '...'; \
             (a pooler may take a minute to learn it, and after 10 failed logins it lets nobody in for 120 s)"
        )
    } else if told.contains("not permitted to log in") {
        format!("alter role {role} login password '...';")
    } else if told.contains("role") && told.contains("does not exist") {
        format!("run `carousel migrate` as postgres, then: alter role {role} login password '...';")
    } else if told.contains("pg_hba.conf") || told.contains("not in allow list") || told.contains("allow_list") {
        "let this machine's address in (Database Settings, Network Restrictions; else pg_hba.conf)".to_owned()
    } else if told.contains("tenant") {
        "copy the session pooler's address from the project's Connect page (its number and region are the project's own); \
         the role is written ROLE.PROJECT, and a paused project is to be restored first"
            .to_owned()
    } else if told.contains("circuit breaker") || told.contains("too many authentication") {
        "check the password in DATABASE_URL, then wait for 120 s: after 10 failed logins the pooler lets nobody in"
            .to_owned()
    } else if *code == SqlState::TOO_MANY_CONNECTIONS || told.contains("max client") || told.contains("too many") {
        "all connections are taken: end what is not needed, lower CAROUSEL_DATABASE_CONNECTIONS, or enlarge the pool"
            .to_owned()
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        "name a database that is there at the end of DATABASE_URL; on Supabase it is postgres".to_owned()
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        "wait until it has started".to_owned()
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        format!("check role and password in DATABASE_URL, or set them: alter role {role} login password '...';")
    } else {
        "check DATABASE_URL".to_owned()
    }
}

/// What mends a connection that did not come about.
fn cut_off(error: &Error, place: &Config) -> String {
    let debug = format!("{error:?}");
    let cause = error.source();
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let said = cause.map(ToString::to_string).unwrap_or_default();
    if debug.contains("UnknownIssuer") {
        return "download the certificate that signed it (Database Settings, SSL Configuration) and name the file in CAROUSEL_DATABASE_CA"
            .to_owned();
    }
    if said.contains("does not support TLS") {
        return "this server speaks no TLS, and a password is not sent in the clear: check the host, or switch TLS on there".to_owned();
    }
    if said.contains("password missing") {
        return "DATABASE_URL has no password: expected postgresql://role:password@host:5432/postgres".to_owned();
    }
    let lookup = said.contains("lookup address");
    let unroutable =
        matches!(io, Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable));
    if let Some(project) = direct(place).filter(|_| lookup || unroutable || debug.contains("AddressFamilyNotSupported"))
    {
        let user = place.get_user().unwrap_or("carousel_worker");
        return format!(
            "the direct connection is IPv6 only, and this machine has no way there: use the session pooler of the project's Connect page, \
             port 5432, as {user}.{project}"
        );
    }
    match io {
        Some(ErrorKind::ConnectionRefused) => "nothing listens there: check host and port in DATABASE_URL".to_owned(),
        _ if lookup => "check the host in DATABASE_URL: there is none of this name".to_owned(),
        _ => "check DATABASE_URL, and whether a firewall stands in between or the project is paused".to_owned(),
    }
}

/// The project, when `place` is the direct connection to a hosted one.
fn direct(place: &Config) -> Option<&str> {
    place.get_hosts().iter().find_map(|host| match host {
        Host::Tcp(name) => {
            let name = name.strip_prefix("db.")?;
            name.strip_suffix(".supabase.co").or_else(|| name.strip_suffix(".supabase.com"))
        }
        #[cfg(unix)]
        Host::Unix(_) => None,
    })
}

/// Tries a write, and takes it back. What the database says against it is a trouble when it is about writes as such, an error else.
///
/// # Errors
/// When the database can't be asked, or this role may not do this.
pub async fn prove_write(client: &Client) -> Result<Result<(), Trouble>, Error> {
    let here =
        client.query_one("select pg_catalog.pg_is_in_recovery(), pg_catalog.current_database()::text", &[]).await?;
    if here.get(0) {
        return Ok(Err(Trouble {
            said: "the database is a replica, which takes no writes".to_owned(),
            mend: "name the primary database in DATABASE_URL".to_owned(),
        }));
    }
    client.batch_execute("begin").await?;
    let tried = client.batch_execute(WRITE).await;
    client.batch_execute("rollback").await?;
    match tried {
        Ok(()) => Ok(Ok(())),
        Err(error) => unwritable(&error, here.get(1)).map_or(Err(error), |trouble| Ok(Err(trouble))),
    }
}

/// The trouble of the database `name`, which takes no writes; nothing when the refusal is about something else.
fn unwritable(error: &Error, name: &str) -> Option<Trouble> {
    let code = error.code()?;
    let room = "make room on its disk or enlarge it (hosted: Database Settings, Disk)";
    let mend = if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        // The statement that ends it is a write itself.
        format!(
            "{room}: a hosted project becomes read-only when its disk is full; where somebody has set it: \
             begin read write; alter database {} set default_transaction_read_only = off; commit;",
            quoted(name)
        )
    } else if code.code().starts_with("53") || code.code().starts_with("58") {
        room.to_owned()
    } else {
        return None;
    };
    Some(Trouble { said: format!("the database takes no writes: {}", words(error)), mend })
}

/// A name as it stands in SQL.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
        && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Config {
        url.parse().expect("it is a connection string")
    }

    #[test]
    fn a_refusal_is_mended_by_its_own_line() {
        let at = place("postgresql://carousel_worker.abc:p@aws-0-eu.pooler.supabase.com/postgres");
        for (code, message, word) in [
            (
                "28P01",
                "password authentication failed for user \"carousel_worker\"",
                "alter role carousel_worker login password",
            ),
            ("28P01", "password authentication failed for user \"carousel_worker\"", "120 s"),
            (
                "28000",
                "role \"carousel_worker\" is not permitted to log in",
                "alter role carousel_worker login password",
            ),
            ("28000", "role \"carousel_worker\" does not exist", "run `carousel migrate`"),
            ("28000", "no pg_hba.conf entry for host \"10.0.0.1\"", "Network Restrictions"),
            ("3D000", "database \"postgrse\" does not exist", "on Supabase it is postgres"),
            ("XX000", "Tenant or user not found", "Connect page"),
            ("XX000", "(ENOTFOUND) tenant/user carousel_worker.abc not found", "ROLE.PROJECT"),
            ("XX000", "Circuit breaker open: Too many authentication errors", "120 s"),
            ("XX000", "MaxClientsInSessionMode: max clients reached", "CAROUSEL_DATABASE_CONNECTIONS"),
            ("53300", "remaining connection slots are reserved", "CAROUSEL_DATABASE_CONNECTIONS"),
            ("57P03", "the database system is starting up", "wait"),
        ] {
            let mend = refused(&SqlState::from_code(code), message, &at);
            assert!(mend.contains(word), "{code} {message}: {mend}");
            assert_eq!(mend.contains("carousel migrate"), word.contains("carousel migrate"), "{message}: {mend}");
        }
    }

    #[test]
    fn only_the_direct_connection_of_a_hosted_project_is_one() {
        for (url, project) in [
            ("postgresql://u:p@db.abcdef.supabase.co/postgres", Some("abcdef")),
            ("postgresql://u:p@aws-0-eu-central-1.pooler.supabase.com/postgres", None),
            ("postgresql://u:p@db.example.com/postgres", None),
        ] {
            assert_eq!(direct(&place(url)), project, "{url}");
        }
    }

    #[tokio::test]
    async fn a_host_that_has_no_way_from_here_is_named_with_the_way_round() {
        let nobody = Config::new().host("127.0.0.1").port(1).user("u").password("hidden").clone();
        let error = nobody.connect(tokio_postgres::NoTls).await.err().expect("nobody is there");
        let trouble = unreachable(&error, &nobody);
        assert!(trouble.said.contains("refused") && trouble.mend.contains("nothing listens"), "{trouble}");
        // The answer of a resolver that knows no address for it.
        let direct = Config::new().host("db.none.invalid.supabase.co").user("u").password("hidden").clone();
        let error = direct.connect(tokio_postgres::NoTls).await.err().expect("there is no such host");
        let trouble = unreachable(&error, &direct);
        assert!(trouble.mend.contains("session pooler") && !trouble.to_string().contains("hidden"), "{trouble}");
    }

    #[test]
    fn a_name_is_quoted_where_sql_needs_it() {
        assert_eq!(quoted("carousel_worker"), "carousel_worker");
        assert_eq!(quoted("carousel_worker.abc"), "\"carousel_worker.abc\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
