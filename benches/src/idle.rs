//! What a worker costs that has nothing to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::deployed::Program;
use crate::report::Report;
use crate::scene::{Project, Scene};
use crate::stand_in::StandIn;

/// Until it has said that it lives, looked once, and the listener's first wake is over.
const SETTLED: Duration = Duration::from_secs(12);

/// Counts statements and looks at memory for so many `seconds`.
pub async fn run(program: &Path, seconds: u64) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let project = scene.project("idle").await?;
    let stack = scene.stack(&project).await?;
    let provider = StandIn::start(&[], Duration::ZERO).await?;
    log_statements(&project).await?;
    let worker = Program::start(program, scene.folder(), &project, &stack, &provider.url, &[]).await?;
    tokio::time::sleep(SETTLED).await;
    let (before, processor) = (scene.postgres_log()?.len(), worker.processor()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let statements = statements(&scene.postgres_log()?[before..]);
    let (now, most) = worker.memory()?;
    let minutes = seconds as f64 / 60.0;
    let mut report = Report::new(
        "idle",
        &["statements a minute", "MB now", "of which its own", "MB at most", "processor ms a minute"],
    );
    let count: usize = statements.values().sum();
    report.add(
        "carousel worker",
        &[
            count as f64 / minutes,
            now,
            worker.own_memory()?,
            most,
            (worker.processor()? - processor) * 1000.0 / minutes,
        ],
    );
    for (statement, times) in statements {
        eprintln!("  {times} x {statement}");
    }
    stack.stop().await;
    report.finish(&scene.version().await?)
}

/// Lets PostgreSQL log each statement of the worker's role from its next connection on.
pub async fn log_statements(project: &Project) -> anyhow::Result<()> {
    Ok(project.admin.batch_execute("alter role carousel_worker set log_min_duration_statement = 0").await?)
}

/// The statements in a piece of the log, by their first words, and how often each was executed.
pub fn statements(log: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in log.lines() {
        let Some((_, line)) = line.split_once("LOG:  duration: ") else { continue };
        let said = line.split_once("  execute ").map(|(_, said)| said.split_once(": ").map_or(said, |(_, sql)| sql));
        let Some(sql) = said.or_else(|| line.split_once("  statement: ").map(|(_, sql)| sql)) else { continue };
        *found.entry(sql.chars().take(90).collect()).or_default() += 1;
    }
    found
}
