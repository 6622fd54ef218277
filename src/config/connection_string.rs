//! Reads `DATABASE_URL`: what is said of it never holds a part of it that could be a password's.
//!
//! A password that is not percent-encoded ends where a reader does not expect it, and what follows stands where host or parameter should.
//! So nothing of the string is told before it is known for what it is.

use anyhow::{Context, bail, ensure};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// Parameters of other clients that change nothing here: they are passed over.
const PASSED_OVER: [&str; 14] = [
    "client_encoding",
    "connection_limit",
    "fallback_application_name",
    "gssencmode",
    "max_idle_connection_lifetime",
    "pgbouncer",
    "pool_timeout",
    "prepare_threshold",
    "prepared_statements",
    "schema",
    "socket_timeout",
    "statement_cache_size",
    "supa",
    "uselibpqcompat",
];
/// Parameters that `tokio-postgres` reads.
const READ: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];
const SHAPE: &str = "expected postgresql://role:password@host:5432/postgres";
const ENCODE: &str =
    "percent-encode the password: @ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25, a space is %20";

/// Where the database is, and as whom to connect.
///
/// # Errors
/// What is wrong and what mends it, without a part of any password.
pub(super) fn read(text: &str) -> anyhow::Result<Config> {
    let config = match ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => address(rest)?,
        None if text.contains("://") || !text.contains('=') => bail!("DATABASE_URL is no connection string: {SHAPE}"),
        None => pairs(text)?,
    };
    ensure!(config.get_user().is_some_and(|role| !role.is_empty()), "DATABASE_URL names no role: {SHAPE}");
    ensure!(
        config.get_password() != Some(b"[YOUR-PASSWORD]".as_slice()),
        "DATABASE_URL still says [YOUR-PASSWORD]: put the role's password in its place, and {ENCODE}"
    );
    let odd = |host: &Host| match host {
        Host::Tcp(name) => !name.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_:%".contains(letter)),
        #[cfg(unix)]
        Host::Unix(_) => false,
    };
    ensure!(
        !config.get_hosts().is_empty() && !config.get_hosts().iter().any(odd),
        "DATABASE_URL names no host where one should stand: {SHAPE}; {ENCODE}"
    );
    Ok(config)
}

/// Reads an address, from behind its scheme on.
fn address(rest: &str) -> anyhow::Result<Config> {
    ensure!(
        rest.matches('@').count() < 2,
        "DATABASE_URL has more than one @, so it is not clear where the password ends: {ENCODE}"
    );
    let behind = rest.find('@').map_or(0, |at| at + 1);
    let (place, parameters) = match rest[behind..].find('?') {
        Some(at) => (&rest[..behind + at], &rest[behind + at + 1..]),
        None => (rest, ""),
    };
    let mut kept = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter
            .split_once('=')
            .with_context(|| format!("DATABASE_URL has a parameter without a value: {SHAPE}; {ENCODE}"))?;
        match (name, value) {
            // libpq's two strictest modes are what this program does with every encrypted connection.
            ("sslmode", "verify-full" | "verify-ca") => kept.push("sslmode=require".to_owned()),
            ("sslmode", "disable" | "allow" | "prefer" | "require") => kept.push(parameter.replace("allow", "prefer")),
            ("sslmode", _) => bail!(
                "DATABASE_URL has an sslmode that is not known here: use sslmode=require, or leave it out (certificates are always verified)"
            ),
            (name, _) if PASSED_OVER.contains(&name) => {}
            (name, _) => {
                // Without an @ before it, this may be the middle of a password.
                known(if behind > 0 { name } else { "" })?;
                kept.push(parameter.to_owned());
            }
        }
    }
    let plain = format!("postgresql://{place}?{}", kept.join("&"));
    let refused = |error: tokio_postgres::Error| {
        // It names a parameter at most.
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let what = if cause.starts_with("invalid value for option") { format!(" ({cause})") } else { String::new() };
        anyhow::anyhow!("DATABASE_URL is no connection string{what}: {SHAPE}; {ENCODE}")
    };
    plain.parse().map_err(refused)
}

/// Refuses a parameter that is not known, by its name where that can be nothing else.
fn known(name: &str) -> anyhow::Result<()> {
    match name {
        name if READ.contains(&name) || name == "user" => Ok(()),
        "sslrootcert" => bail!(
            "DATABASE_URL has the parameter sslrootcert: name that file in CAROUSEL_DATABASE_CA, and take the parameter away"
        ),
        "sslcert" | "sslkey" | "sslpassword" | "sslcrl" => {
            bail!("DATABASE_URL has the parameter {name}: there are no client certificates here; take it away")
        }
        name if name.len() <= 40 && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') => {
            bail!("DATABASE_URL has the parameter {name}, which is not known here: take it away")
        }
        _ => bail!("DATABASE_URL has a parameter that is not known here: take it away"),
    }
}

/// Reads `name=value` pairs. What the parser says of them may hold a piece of any value, so none of it is told.
fn pairs(text: &str) -> anyhow::Result<Config> {
    let plain = text.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    plain.parse().map_err(|_: tokio_postgres::Error| {
        let foreign = |name: &&&str| {
            plain.split_whitespace().any(|pair| pair.split_once('=').is_some_and(|(key, _)| key == **name))
        };
        let named = PASSED_OVER.iter().chain(&["sslrootcert", "sslcert", "sslkey", "sslpassword"]).find(foreign);
        match named {
            Some(name) => {
                anyhow::anyhow!("DATABASE_URL has the parameter {name}, which is not known here: take it away")
            }
            None => anyhow::anyhow!(
                "DATABASE_URL is not understood: {SHAPE}; in name=value pairs, a value with spaces stands in '...'"
            ),
        }
    })
}
