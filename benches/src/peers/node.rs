//! The peers of the npm registry, in a Node process for each round.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, ensure};
use tokio::process::Command;

pub(super) async fn pick_up(peer: &str, url: &str, samples: usize) -> anyhow::Result<Vec<f64>> {
    Ok(serde_json::from_str(&script("pick_up.mjs", &[peer, url, &samples.to_string()]).await?)?)
}

pub(super) async fn drain(peer: &str, url: &str, jobs: usize, connections: usize) -> anyhow::Result<f64> {
    Ok(script("drain.mjs", &[peer, url, &jobs.to_string(), &connections.to_string()]).await?.trim().parse()?)
}

/// Runs a script and returns its last line.
async fn script(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let output = Command::new("node")
        .arg(folder.join(name))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("node can't be started")?;
    ensure!(output.status.success(), "{name} {} ended with {}", arguments[0], output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}
