//! A real PostgREST for one database.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;

use super::caller::Keys;
use super::postgres::free_port;
use super::process::{Process, Program, User};

/// How long it may take to start, and to come back when its database was away: it looks again after up to 32 seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running PostgREST.
pub struct PostgRest {
    process: Process,
    url: String,
}

/// What a PostgREST needs to know.
pub struct Settings<'a> {
    /// The program.
    pub program: &'a Path,
    /// Connection string of the role `authenticator`.
    pub database_url: String,
    /// Whose tokens it accepts.
    pub keys: &'a Keys,
    /// Where it writes what it has to say.
    pub log: PathBuf,
}

/// A client for PostgREST. It runs on this machine, where no proxy leads, and what it answers is passed on as it comes.
pub(crate) fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}

impl PostgRest {
    /// Starts it on a free port of 127.0.0.1 and waits until it serves the schema `public`.
    pub async fn start(settings: &Settings<'_>) -> anyhow::Result<Self> {
        for _ in 0..10 {
            if let Some(started) = Self::try_start(settings).await? {
                return Ok(started);
            }
        }
        bail!("no free port on 127.0.0.1 could be taken for PostgREST")
    }

    /// `None` when another program took the port first.
    async fn try_start(settings: &Settings<'_>) -> anyhow::Result<Option<Self>> {
        let port = free_port(0)?;
        let env = [
            ("PGRST_DB_URI", settings.database_url.clone()),
            ("PGRST_DB_SCHEMAS", "public".to_owned()),
            ("PGRST_DB_EXTRA_SEARCH_PATH", "public,extensions".to_owned()),
            ("PGRST_DB_PRE_REQUEST", "extensions.safeupdate".to_owned()),
            ("PGRST_DB_ANON_ROLE", "anon".to_owned()),
            ("PGRST_DB_MAX_ROWS", "1000".to_owned()),
            ("PGRST_DB_POOL", "8".to_owned()),
            ("PGRST_DB_CHANNEL_ENABLED", "true".to_owned()),
            // Checking a signature takes it longer than a small query; a token that it knows isn't checked again until it expires.
            ("PGRST_JWT_CACHE_MAX_LIFETIME", "3600".to_owned()),
            ("PGRST_JWT_SECRET", settings.keys.jwks().to_string()),
            ("PGRST_SERVER_HOST", "127.0.0.1".to_owned()),
            ("PGRST_SERVER_PORT", port.to_string()),
            ("PGRST_LOG_LEVEL", "error".to_owned()),
        ];
        let mut process = Process::start(&Program {
            path: settings.program,
            args: Vec::new(),
            env: env.into_iter().map(|(name, value)| (name, value.into())).collect(),
            user: User::unprivileged()?,
            stop_signal: "TERM",
            log: &settings.log,
            remove_after: None,
        })?;
        let url = format!("http://127.0.0.1:{port}");
        let client = client().timeout(Duration::from_secs(5)).build()?;
        let token = settings.keys.sign(&json!({ "role": "anon" }))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if process.has_ended() {
                let said = process.output();
                if said.contains("Address already in use") {
                    return Ok(None);
                }
                bail!("PostgREST ended at its start: {}", said.lines().last().unwrap_or("it gave no reason"));
            }
            let answer = client.get(&url).bearer_auth(&token).send().await;
            match answer.map(|answer| answer.status()) {
                Ok(reqwest::StatusCode::OK) => return Ok(Some(Self { process, url })),
                // It doesn't know our key, so it isn't ours: it took the port between our look and our start.
                Ok(reqwest::StatusCode::UNAUTHORIZED) => return Ok(None),
                // 503 while it reads the schema.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        bail!("PostgREST wasn't ready after a minute: see {}", settings.log.display())
    }

    /// `http://127.0.0.1:PORT`, where tables are `/name`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until `table` is in the schema that it has read.
    pub(super) async fn until_served(&self, table: &str, keys: &Keys) -> anyhow::Result<()> {
        let client = client().timeout(Duration::from_secs(5)).build()?;
        let token = keys.sign(&json!({ "role": "anon" }))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Reading a table works before it is known. Writing doesn't: of a known table it misses the column instead, and whether
            // the caller may write isn't asked before that.
            let url = format!("{}/{table}?columns=no%20such%20column", self.url);
            let answer = client.post(url).bearer_auth(&token).json(&json!([{}])).send().await?;
            if answer.json::<serde_json::Value>().await.is_ok_and(|body| body["code"] == "PGRST204") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("PostgREST doesn't serve the table `{table}`: does a migration make it in the schema public?")
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.process.stop().await;
    }
}
