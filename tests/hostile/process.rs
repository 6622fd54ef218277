//! A worker process, its log, and how much memory it ever had.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::deployment::Deployment;

/// Key of the provider. Longer than the stand-in's own, so that it is worth hiding.
pub const KEY: &str = "sk-proj-hostile-0123456789";
/// Most memory that a worker may ever have had, in bytes. A debug build that does nothing has about 50 MB.
const MOST: u64 = 300 << 20;

pub struct Worker {
    process: Child,
    log: JoinHandle<Vec<String>>,
}

impl Worker {
    /// Starts `carousel worker` with the provider at `provider` and Storage at `storage`.
    pub fn start(deployment: &Deployment, provider: &str, key: &str, storage: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carousel"));
        command.arg("worker").stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        for (name, _) in std::env::vars() {
            if ["CAROUSEL_", "SUPABASE_", "OPENAI_", "DATABASE_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .env("DATABASE_URL", deployment.project.worker_url())
            .env("SUPABASE_URL", storage)
            .env("SUPABASE_SECRET_KEY", deployment.stack.secret_key())
            .env("OPENAI_BASE_URL", provider)
            .env("OPENAI_API_KEY", key)
            .env("CAROUSEL_MODELS", "gpt-image-2-2026-04-21")
            .env("CAROUSEL_IMAGE_TRIES", "1")
            .env("CAROUSEL_CALL_SECONDS", "120")
            // In text a line break would show; in JSON it never could. The database's client writes statements of many lines.
            .env("CAROUSEL_LOG_FORMAT", "text")
            .env("CAROUSEL_LOG", "debug,tokio_postgres=info");
        let mut process = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
            log
        });
        Self { process, log }
    }

    /// Drains the worker, and makes sure that it had little memory and that its log is its own.
    pub async fn end(mut self, secrets: &[&str]) {
        let id = self.process.id().expect("it still runs");
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) {
            let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the system counts memory");
            let most: u64 = most.trim().trim_end_matches(" kB").parse().expect("it is a number");
            eprintln!("the worker had {} MB at most", most >> 10);
            assert!(most << 10 <= MOST, "the worker had {} MB at most", most >> 10);
        }
        let asked = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().expect("it is asked");
        assert!(asked.success());
        let status = tokio::time::timeout(Duration::from_secs(60), self.process.wait()).await.expect("it drains");
        assert!(status.expect("it ends").success(), "a drained worker ends with 0");
        let log = self.log.await.expect("the log is read");
        assert!(log.len() > 2, "it tells what it does: {log:?}");
        for line in log {
            // 2026-11-22T20:52:28.000000Z
            let time = line.get(..27).unwrap_or_default();
            assert!(time.starts_with("20") && time.ends_with('Z') && time.contains('T'), "a forged line: {line}");
            assert!(!line.contains(|letter: char| letter.is_control()), "{line:?}");
            assert!(!secrets.iter().any(|secret| line.contains(secret)), "a secret is told: {line}");
        }
    }
}
