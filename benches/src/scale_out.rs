//! Jobs a second with more and more worker processes on one database.

use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;
use carousel::queue::{Queue, Settings};
use tokio::process::Command;

use crate::queue_alone;
use crate::report::Report;
use crate::scene::Scene;

/// Connections of each worker: the default of `CAROUSEL_DATABASE_CONNECTIONS`.
const CONNECTIONS: usize = 4;

/// Measures 1, 2, 4 and 8 workers in turn, for so many rounds.
pub async fn run(rounds: usize, jobs: usize) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut report = Report::new("scale-out", &["jobs a second", "x one worker"]);
    for _ in 0..rounds {
        let mut one = f64::NAN;
        for workers in [1, 2, 4, 8] {
            let project = scene.project("scale_out").await?;
            let users = project.users(50).await?;
            project.jobs(&users, jobs).await?;
            project.admin.batch_execute("vacuum analyze").await?;
            let since = Instant::now();
            let mut processes = Vec::new();
            for _ in 0..workers {
                let mut command = Command::new(std::env::current_exe()?);
                processes.push(command.args(["drain", &project.worker_url]).stdin(Stdio::null()).spawn()?);
            }
            for mut process in processes {
                ensure!(process.wait().await?.success(), "a worker failed");
            }
            let rate = jobs as f64 / since.elapsed().as_secs_f64();
            if workers == 1 {
                one = rate;
            }
            report.add(&format!("{workers} worker{}", if workers == 1 { "" } else { "s" }), &[rate, rate / one]);
        }
    }
    report.finish(&scene.version().await?)
}

/// The process of one worker: works until nothing is left.
pub async fn worker(url: &str) -> anyhow::Result<()> {
    let queue = Queue::new(&Settings { database: url.parse()?, certificates: Vec::new(), connections: CONNECTIONS })?;
    queue_alone::drain(&queue, queue_alone::SLOTS).await
}
