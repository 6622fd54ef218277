//! The worker: in this process, with its real loop, or as the program that is deployed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::StatusCode;
use axum::{Json, Router};
use carousel::supabase::Project as Client;
use carousel::listener::Listener;
use carousel_local::stack::Stack;
use carousel::pipeline::{self, Pipeline};
use carousel::provider::{self, PriceTable, Provider};
use carousel::queue;
use carousel::supabase::storage::{self, Storage};
use carousel::worker;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scene::Project;

/// Key that no server of a benchmark looks at.
pub const KEY: &str = "sk-bench";

/// Connections of a worker: the default of `CAROUSEL_DATABASE_CONNECTIONS`.
const CONNECTIONS: usize = 4;

/// A worker in this process.
pub struct InProcess {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), worker::HelperEnded>>,
}

impl InProcess {
    /// A worker whose Storage has no object: each job ends where its work begins.
    pub async fn without_hands(project: &Project) -> anyhow::Result<Self> {
        let storage = without_objects().await?;
        Self::start(project, &storage, KEY, &storage, CONNECTIONS)
    }

    /// So many of them, each with the fewest connections that a worker can have: one that listens, one that claims and writes.
    pub async fn idle(project: &Project, count: usize) -> anyhow::Result<Vec<Self>> {
        let storage = without_objects().await?;
        (0..count).map(|_| Self::start(project, &storage, KEY, &storage, 1)).collect()
    }

    /// A worker of a whole deployment.
    pub fn with_stack(project: &Project, stack: &Stack, provider: &str) -> anyhow::Result<Self> {
        Self::start(project, stack.url(), stack.secret_key(), provider, CONNECTIONS)
    }

    fn start(project: &Project, url: &str, key: &str, provider: &str, connections: usize) -> anyhow::Result<Self> {
        let database: tokio_postgres::Config = project.worker_url.parse()?;
        let connect = queue::Settings { database: database.clone(), certificates: Vec::new(), connections };
        let storage = Arc::new(Storage::new(storage_settings(url, key)?)?);
        let provider = Arc::new(Provider::new(provider_settings(provider)?)?);
        let spool = std::env::temp_dir();
        let pipeline = Pipeline::new(Arc::clone(&storage), provider, pipeline_settings(spool))?;
        let worker = worker::Worker {
            queue: queue::Queue::new(&connect)?,
            renewals: queue::Queue::new(&queue::Settings { connections: 1, ..connect })?,
            listener: Listener::new(database, queue::tls(&[])?),
            storage,
            api: Client::new(&url.parse()?, key.to_owned().into(), &[])?.key_holder(),
            pipeline: Arc::new(pipeline),
            settings: worker::Settings {
                name: "bench".to_owned(),
                jobs: 8,
                job_attempts: 5,
                lease: Duration::from_secs(30),
                poll: Duration::from_secs(10),
                grace: Duration::from_secs(10),
            },
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(worker.run(async { drop(stopped.await) }));
        Ok(Self { stop, task })
    }

    pub async fn stop(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

/// A Storage that has no object. Returns its address.
async fn without_objects() -> anyhow::Result<String> {
    let missing = Router::new().fallback(|| async {
        let body = json!({ "statusCode": "404", "error": "not_found", "message": "Object not found" });
        (StatusCode::BAD_REQUEST, Json(body))
    });
    serve(missing).await
}

fn pipeline_settings(spool: PathBuf) -> pipeline::Settings {
    pipeline::Settings {
        model: "gpt-image-2".to_owned(),
        models: Vec::new(),
        quality: "medium".to_owned(),
        prices: PriceTable::default(),
        image_tries: 8,
        rated: false,
        calls: 16,
        calls_per_job: 4,
        transfers: 8,
        spool,
    }
}

/// Settings as the command line makes them.
pub fn storage_settings(url: &str, key: &str) -> anyhow::Result<storage::Settings> {
    Ok(storage::Settings {
        url: url.parse()?,
        certificates: Vec::new(),
        secret_key: key.to_owned().into(),
        bucket: "generated-carousels".to_owned(),
        connect_timeout: Duration::from_secs(10),
        silence_timeout: Duration::from_secs(30),
        total_timeout: Duration::from_secs(300),
    })
}

/// Settings as the command line makes them.
pub fn provider_settings(url: &str) -> anyhow::Result<provider::Settings> {
    Ok(provider::Settings {
        base_url: format!("{url}/v1").parse()?,
        certificates: Vec::new(),
        api_key: KEY.to_owned().into(),
        auth_header: "authorization".to_owned(),
        query: None,
        connect_timeout: Duration::from_secs(10),
        silence_timeout: Duration::from_secs(60),
        total_timeout: Duration::from_secs(600),
        max_answer_bytes: 100 << 20,
        url_hosts: Vec::new(),
    })
}

/// Serves `router` on any free port until this process ends. Returns its address.
pub async fn serve(router: Router) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

/// The program as it is deployed: `carousel worker`. Dropping it kills it.
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it, with these variables besides what it must have, and returns when it works.
    pub async fn start(
        program: &Path,
        folder: &Path,
        project: &Project,
        stack: &Stack,
        provider: &str,
        more: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let log = folder.join("worker.log");
        let child = Command::new(program)
            .arg("worker")
            .env_clear()
            .env("DATABASE_URL", &project.worker_url)
            .env("SUPABASE_URL", stack.url())
            .env("SUPABASE_SECRET_KEY", stack.secret_key())
            .env("OPENAI_BASE_URL", format!("{provider}/v1"))
            .env("OPENAI_API_KEY", KEY)
            .envs(more.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{} is not there: `cargo build --release --no-default-features`", program.display())
            })?;
        let mut started = Self { child, log };
        while !started.log()?.contains("worker started") {
            if let Some(status) = started.child.try_wait()? {
                bail!("the worker ended at its start ({status}): {}", started.log()?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(started)
    }

    /// What it has written so far.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    /// What the system knows of its memory: megabytes now, and at most so far.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        Ok((self.megabytes("VmRSS:")?, self.megabytes("VmHWM:")?))
    }

    /// Megabytes now without the pages of the program's file, which the system takes back when it needs them.
    pub fn own_memory(&self) -> anyhow::Result<f64> {
        self.megabytes("RssAnon:")
    }

    fn megabytes(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with(field)).and_then(|line| line.split_whitespace().nth(1));
        let kilobytes: f64 = line.and_then(|number| number.parse().ok()).context("no such field")?;
        Ok(kilobytes / 1024.0)
    }

    /// Seconds of processor time that it has taken.
    pub fn processor(&self) -> anyhow::Result<f64> {
        processor(self.pid()?)
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the worker has ended")
    }
}

/// Seconds of processor time that a process has taken.
pub fn processor(pid: u32) -> anyhow::Result<f64> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = line.rsplit_once(')').context("the name is in brackets")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    // Linux counts in hundredths of a second, whatever the kernel's own clock is.
    Ok(ticks.iter().sum::<f64>() / 100.0)
}
