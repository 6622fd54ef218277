//! Options of the database.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use rustls::pki_types::CertificateDer;
use secrecy::SecretString;

use super::{certificates, connection_string, given};

/// How to reach the database.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct Database {
    /// Connection string of the project's database: direct or session pooler, port 5432
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<SecretString>,

    /// Certificate to trust for the database, in PEM (Supabase: Database Settings, SSL Configuration)
    #[arg(long, env = "CAROUSEL_DATABASE_CA", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,

    /// Connections for the queue, besides one that listens and one that renews leases
    #[arg(long, env = "CAROUSEL_DATABASE_CONNECTIONS", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub database_connections: u16,
}

impl Database {
    /// The certificates to trust besides the public authorities'.
    ///
    /// # Errors
    /// When their file can't be read, has no certificate in it, or one that is broken.
    pub fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        certificates::read("CAROUSEL_DATABASE_CA", self.database_ca.as_deref())
    }

    /// Where the database is, and as whom to connect.
    ///
    /// # Errors
    /// When the URL is missing or malformed, names the transaction pooler, or asks for a connection without TLS to another machine.
    pub fn place(&self) -> anyhow::Result<tokio_postgres::Config> {
        let url = given(self.database_url.as_ref())
            .context("DATABASE_URL is not set: pass the connection string of the project's database, user `carousel_worker` or `postgres`")?;
        let mut database = connection_string::read(url)?;
        if database.get_ports().contains(&6543) {
            bail!(
                "DATABASE_URL names port 6543, the pooler in transaction mode, through which LISTEN hears nothing: \
                 use the session pooler or the direct connection, both on port 5432"
            );
        }
        let local = database.get_hosts().iter().all(is_loopback);
        match database.get_ssl_mode() {
            tokio_postgres::config::SslMode::Disable if !local => {
                bail!(
                    "DATABASE_URL says sslmode=disable for another machine: passwords would travel in the clear; use sslmode=require"
                );
            }
            tokio_postgres::config::SslMode::Prefer if !local => {
                database.ssl_mode(tokio_postgres::config::SslMode::Require);
            }
            _ => {}
        }
        database
            .application_name("carousel")
            .connect_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(30));
        Ok(database)
    }

    /// Settings of the queue's connections.
    ///
    /// # Errors
    /// Those of [`Database::place`] and [`Database::certificates`].
    pub fn settings(&self) -> anyhow::Result<crate::queue::Settings> {
        Ok(crate::queue::Settings {
            database: self.place()?,
            certificates: self.certificates()?,
            connections: usize::from(self.database_connections),
        })
    }
}

fn is_loopback(host: &tokio_postgres::config::Host) -> bool {
    match host {
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost"
                || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(_) => true,
    }
}
