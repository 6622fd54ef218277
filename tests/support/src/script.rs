//! A script in Node: given a deployment, answered what it asks on the way, and held to its report.
//!
//! The two talk in lines of JSON. The script reads the facts of the deployment, then an answer for each of its questions, from
//! standard input; it writes questions (`{"ask": ...}`) and last its report to standard output.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use carousel_local::install::{self, Packages};
use carousel_local::openai::{ApiError, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::deployment::{Deployment, picture};

/// How long a script may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(300);

/// A source image that scripts upload.
pub struct Photo {
    pub name: &'static str,
    pub mime: &'static str,
    pub bytes: Vec<u8>,
}

/// A PNG and a JPEG.
pub fn photos() -> [Photo; 2] {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_fn(80, 60, |x, y| image::Rgb([(x * 3) as u8, (y * 4) as u8, 120]));
    pixels.write_to(&mut jpeg, image::ImageFormat::Jpeg).expect("a picture can be encoded");
    [
        Photo { name: "cup.png", mime: "image/png", bytes: picture() },
        Photo { name: "table.jpg", mime: "image/jpeg", bytes: jpeg.into_inner() },
    ]
}

/// A script below `tests/`, and what it is given.
pub struct Script<'a> {
    pub path: &'a str,
    /// What it may `require`.
    pub packages: Packages<'a>,
    /// Facts besides those of the deployment, as an object.
    pub facts: Value,
}

/// Runs a script to its end; anything but a report of kept claims fails the test with all that was said.
pub async fn run(deployment: &Deployment, script: &Script<'_>) {
    let Script { path: name, packages, .. } = script;
    let modules = packages.ensure(&install::home(), |_| Ok(()), &|step| eprintln!("{step}")).await;
    let modules = modules.unwrap_or_else(|error| panic!("{} can't be installed: {error:#}", packages.contents));
    let path = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
    let spawned = Command::new("node")
        .arg(path)
        .env("CAROUSEL_PACKAGES", modules.join("package.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut node = match spawned {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            panic!("node isn't installed: install Node.js 20 or later (https://nodejs.org)")
        }
        spawned => spawned.expect("node can be started"),
    };
    let (mut input, output) = (node.stdin.take().expect("it is piped"), node.stdout.take().expect("it is piped"));
    let mut errors = node.stderr.take().expect("it is piped");
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text).await;
        text
    });
    let mut report = None;
    let talking = async {
        let mut line = facts(deployment, &script.facts).to_string();
        let mut lines = BufReader::new(output).lines();
        loop {
            // A script that has ended early reads nothing more; its exit tells.
            let _ = input.write_all(format!("{line}\n").as_bytes()).await;
            let Some(said) = lines.next_line().await.expect("a script writes text") else { break };
            let said: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{name} wrote no JSON: {said}"));
            if said.get("ask").is_none() {
                report = Some(said);
                break;
            }
            line = answer(deployment, &said).await.to_string();
        }
        drop(input);
        node.wait().await.expect("node can be waited for")
    };
    let status = tokio::time::timeout(PATIENCE, talking).await;
    let Ok(status) = status else { panic!("{name} is stuck after {} s", PATIENCE.as_secs()) };
    let complaints = complaints.await.unwrap_or_default();
    let Some(report) = report else { panic!("{name} ended with {status} and without a report:\n{complaints}") };
    let claims = |which: &str| report[which].as_array().cloned().unwrap_or_default();
    for kept in claims("kept") {
        eprintln!("{name}: {} ({} ms)", kept["claim"].as_str().unwrap_or_default(), kept["ms"]);
    }
    let (kept, broken) = (claims("kept").len(), claims("broken"));
    assert!(
        status.success() && kept > 0 && broken.is_empty(),
        "{name} ended with {status}, {kept} claims were kept, these were not: {broken:#?}\n{complaints}"
    );
}

/// What a script is told at its start.
fn facts(deployment: &Deployment, more: &Value) -> Value {
    let stack = &deployment.stack;
    let photos = photos();
    let photos = photos
        .iter()
        .map(|photo| json!({ "name": photo.name, "mime": photo.mime, "base64": STANDARD.encode(&photo.bytes) }));
    let mut facts = json!({
        "url": stack.url(),
        "publishableKey": stack.publishable_key(),
        "secretKey": stack.secret_key(),
        "photos": photos.collect::<Vec<_>>(),
    });
    for (name, fact) in more.as_object().into_iter().flatten() {
        facts[name] = fact.clone();
    }
    facts
}

/// What a browser could not do or know.
async fn answer(deployment: &Deployment, question: &Value) -> Value {
    let openai = &deployment.openai;
    match question["ask"].as_str().unwrap_or_default() {
        // Keeps the provider's calls under way.
        "hold" => openai.hold(),
        "release" => openai.release(),
        // Waits for so many calls, and tells how many there are.
        "calls" => {
            let wanted = question["at_least"].as_u64().unwrap_or(0);
            return openai.reached(wanted as usize).await.len().into();
        }
        // Refuses the next call whose prompt has these words.
        "refuse" => {
            let words = question["words"].as_str().expect("words are text");
            openai.faults().on(words, 1, Fault::Refused(ApiError::moderation_blocked()));
        }
        // A token of this project with any claims.
        "sign" => return deployment.stack.keys().sign(&question["claims"]).expect("claims can be signed").into(),
        // The rows of a query, as the superuser.
        "rows" => {
            let query = question["query"].as_str().expect("a query is text");
            let query = format!("select coalesce(jsonb_agg(to_jsonb(row)), '[]') from ({query}) as row");
            let admin = deployment.project.admin().await;
            return admin.query_one(&query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0);
        }
        // Statements, as the superuser.
        "sql" => {
            let statements = question["statements"].as_str().expect("statements are text");
            let admin = deployment.project.admin().await;
            admin.batch_execute(statements).await.unwrap_or_else(|error| panic!("{statements}: {error}"));
        }
        // Closes every channel of Realtime for good.
        "close_channels" => deployment.stack.realtime().close_channels("Too many messages per second"),
        other => panic!("no script may ask for {other:?}"),
    }
    Value::Null
}
