//! Programs that the tests start: found, started, awaited until they serve, and ended with the test.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carousel_local::install::{self, Packages};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");

/// How long a program may take to serve, or to do its work.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder in which the packages of `package.json` are installed.
pub async fn packages() -> PathBuf {
    let contents = "Deno and readers of edge configuration for the tests (about 100 MB)";
    let packages = Packages { name: "edge", contents, package: PACKAGE, lock: LOCK };
    let installed = packages.ensure(&install::home(), |_| Ok(()), &|step| eprintln!("{step}")).await;
    installed.expect("the packages can be installed")
}

/// The program of the npm package `deno` for this machine.
pub async fn deno() -> PathBuf {
    let platforms = packages().await.join("node_modules/@deno");
    let entries = std::fs::read_dir(&platforms).unwrap_or_else(|error| panic!("{}: {error}", platforms.display()));
    let mut programs = entries.map(|entry| entry.expect("it can be listed").path().join("deno"));
    programs.find(|program| program.is_file()).expect("Deno is packaged for this machine")
}

/// A program that serves until it is dropped.
pub struct Running {
    said: Arc<Mutex<String>>,
    _child: Child,
}

impl Running {
    /// Starts a program and waits until it has said each of these signs on standard error; or else gives all that it said.
    pub async fn start(mut command: Command, signs: &[&str]) -> Result<Self, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let note = |said: &Mutex<String>, line: &str| said.lock().unwrap().extend([line, "\n"]);
        let mut awaited = signs.to_vec();
        let ready = async {
            while !awaited.is_empty() {
                let Some(line) = lines.next_line().await.expect("it speaks UTF-8") else { return false };
                note(&said, &line);
                awaited.retain(|sign| !line.contains(sign));
            }
            true
        };
        if tokio::time::timeout(PATIENCE, ready).await != Ok(true) {
            return Err(said.lock().unwrap().clone());
        }
        // Read on, so that it never waits for its own words to be read.
        let later = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                note(&later, &line);
            }
        });
        Ok(Self { said, _child: child })
    }

    /// All that it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }
}

/// Runs a program to its good end and returns what it wrote to standard output.
pub async fn output(mut command: Command) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} is stuck"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_packages_are_pinned_and_their_lock_file_names_no_host_to_download_from() {
    assert!(!LOCK.contains("\"resolved\"") && !LOCK.contains("://"));
    let package: Value = serde_json::from_str(PACKAGE).expect("it is JSON");
    for (name, version) in package["dependencies"].as_object().expect("there are some") {
        let exact = version.as_str().is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        assert!(exact, "{name} {version}");
    }
}
