//! A real PostgreSQL server of our own, with its data in one directory, set up like the server of a hosted Supabase project.
//!
//! The directory holds `pgdata`, `postgres.log` and `password` (one for all roles that log in). Not responsible for what is in a
//! database: that is [`bootstrap`]'s.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::process::{Process, Program, User};
use super::{bootstrap, cluster, database};

/// The superuser, as hosted projects call it.
pub const ADMIN: &str = "supabase_admin";

/// How a server is to run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Port on 127.0.0.1 that is taken when it is free; otherwise, and for 0, any free port.
    pub port: u16,
    /// For tests: writing is much faster, nothing survives a crash, and the directory goes when the server ends.
    pub throw_away: bool,
}

/// A running server.
pub struct Server {
    process: Process,
    port: u16,
    password: String,
}

/// What a try to start came to.
enum Start {
    Ready(Server),
    PortTaken,
    DirectoryTaken,
}

impl Server {
    /// Starts the server of `directory` with the programs in `programs` (PostgreSQL 15 or later), making its data when there is none.
    /// As root it runs under another account, who must be able to enter `directory`.
    pub async fn start(programs: &Path, directory: &Path, options: Options) -> anyhow::Result<Self> {
        // A server whose owner was killed a moment ago may still be shutting down.
        let patience = Instant::now() + Duration::from_secs(3);
        let mut ports_tried = 0;
        loop {
            match Self::try_start(programs, directory, options).await? {
                Start::Ready(server) => {
                    let admin = server.connect(ADMIN, "postgres").await?;
                    bootstrap::roles(&admin, &server.password).await?;
                    return Ok(server);
                }
                Start::PortTaken if ports_tried < 10 => ports_tried += 1,
                Start::PortTaken => bail!("no free port on 127.0.0.1 could be taken for PostgreSQL"),
                Start::DirectoryTaken if Instant::now() < patience => {
                    tokio::time::sleep(Duration::from_millis(200)).await
                }
                Start::DirectoryTaken => {
                    let pid =
                        std::fs::read_to_string(cluster::data(directory).join("postmaster.pid")).unwrap_or_default();
                    let pid = pid.lines().next().unwrap_or("unknown").to_owned();
                    bail!(
                        "the data in {} is in use by another PostgreSQL (process {pid}): stop the program that started it",
                        directory.display()
                    );
                }
            }
        }
    }

    /// Starts a server for tests: in a new temporary directory, which goes with it, on any free port.
    pub async fn temporary(programs: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("carousel-postgres-").tempdir()?.keep();
        Self::start(programs, &directory, Options { throw_away: true, ..Options::default() }).await
    }

    async fn try_start(programs: &Path, directory: &Path, options: Options) -> anyhow::Result<Start> {
        let user = User::unprivileged()?;
        let password = cluster::prepare(programs, directory, user, options.throw_away).await?;
        let port = free_port(options.port)?;
        let mut process = Process::start(&Program {
            path: &programs.join("postgres"),
            args: arguments(&cluster::data(directory), port, options.throw_away),
            env: vec![("LC_ALL", "C".into())],
            user,
            // Fast shutdown: ends the sessions and leaves nothing to recover. PostgreSQL sets its own handler for it.
            stop_signal: "INT",
            log: &directory.join("postgres.log"),
            remove_after: options.throw_away.then_some(directory),
        })?;
        let url = url(ADMIN, &password, port, "postgres");
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut pause = Duration::from_millis(10);
        while Instant::now() < deadline {
            // Only our own server may answer: one that ended at once has perhaps lost its port to another.
            let ended = process.has_ended();
            if !ended && database::connect(&url).await.is_ok() {
                return Ok(Start::Ready(Self { process, port, password }));
            }
            if ended {
                let said = process.output();
                if said.contains("could not bind") {
                    return Ok(Start::PortTaken);
                }
                if said.contains("lock file \"postmaster.pid\" already exists") {
                    return Ok(Start::DirectoryTaken);
                }
                let reason = said.lines().rfind(|line| line.contains("FATAL")).or_else(|| said.lines().last());
                bail!(
                    "PostgreSQL ended at its start ({}): {}",
                    programs.display(),
                    reason.unwrap_or("it gave no reason")
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        bail!("PostgreSQL wasn't ready after a minute: see {}", directory.join("postgres.log").display())
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connection string for a role that logs in: [`ADMIN`], `postgres`, `authenticator`, `supabase_auth_admin` or
    /// `supabase_storage_admin`. It holds the password.
    pub fn url(&self, role: &str, database: &str) -> String {
        url(role, &self.password, self.port, database)
    }

    /// One connection as `role`.
    pub async fn connect(&self, role: &str, database: &str) -> anyhow::Result<Client> {
        let connected = database::connect(&self.url(role, database)).await;
        connected.with_context(|| format!("PostgreSQL refused {role} in the database {database}"))
    }

    /// Makes a database that `postgres` owns, empty or as a copy of `template`, to which nobody may be connected.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> anyhow::Result<()> {
        let admin = self.connect(ADMIN, "postgres").await?;
        let template = quoted(template.unwrap_or("template0"));
        let statement = format!("create database {} owner postgres template {template}", quoted(name));
        admin.batch_execute(&statement).await.with_context(|| format!("the database {name} can't be made"))
    }

    /// Removes a database if it is there, ending the sessions and the replication in it.
    pub async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let admin = self.connect(ADMIN, "postgres").await?;
        let statement = format!("drop database if exists {} with (force)", quoted(name));
        // `with (force)` ends sessions, but it refuses while a replication slot is in use.
        let end_replication = "select pg_terminate_backend(active_pid) from pg_replication_slots \
                               where database = $1 and active_pid is not null";
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            admin.execute(end_replication, &[&name]).await?;
            match admin.batch_execute(&statement).await {
                Err(error) if error.code() == Some(&SqlState::OBJECT_IN_USE) && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                done => return done.with_context(|| format!("the database {name} can't be removed")),
            }
        }
    }

    /// Stops the server in good order.
    pub async fn stop(self) {
        self.process.stop().await;
    }
}

/// `preferred` when it is free, else any free port of 127.0.0.1. Another program may take it before the caller does.
pub(super) fn free_port(preferred: u16) -> anyhow::Result<u16> {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listen(preferred).or_else(|_| listen(0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn url(role: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgresql://{role}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn arguments(data: &Path, port: u16, throw_away: bool) -> Vec<OsString> {
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "wal_level=logical".to_owned(),
        "max_replication_slots=64".to_owned(),
        "max_wal_senders=64".to_owned(),
        "max_connections=200".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ];
    if throw_away {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    let settings = settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]);
    ["-D".into(), PathBuf::from(data).into_os_string()].into_iter().chain(settings).collect()
}
