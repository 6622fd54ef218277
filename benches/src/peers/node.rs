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
    // Its own Node.js, where there is one for this machine.
    let node = folder.join("node_modules/.bin/node");
    let node = if node.exists() { node } else { "node".into() };
    let output = Command::new(node)
        .arg(folder.join(name))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("Node.js can't be started: is `npm ci` done in benches/peers?")?;
    ensure!(output.status.success(), "{name} {} ended with {}", arguments[0], output.status);
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().last().unwrap_or_default().to_owned())
}
