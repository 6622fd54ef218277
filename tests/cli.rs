//! The program as it is started: what it says when something is missing, and how it ends.

#[path = "cli/acting.rs"]
mod acting;
#[path = "cli/beforehand.rs"]
mod beforehand;
#[path = "cli/carousels.rs"]
mod carousels;
#[path = "cli/completions.rs"]
mod completions;
#[path = "cli/database.rs"]
mod database;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/jobs.rs"]
mod jobs;
#[path = "cli/reached.rs"]
mod reached;
#[path = "cli/submit.rs"]
mod submit;
#[path = "cli/templates.rs"]
mod templates;
#[path = "cli/watch.rs"]
mod watch;

use std::process::{Output, Stdio};
use std::time::Duration;

use carousel_support::{deployment, project};
use deployment::{Deployment, OPENAI_KEY};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The program with nothing of this machine's environment that it reads.
fn carousel(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carousel"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    for (name, _) in std::env::vars() {
        if ["CAROUSEL_", "SUPABASE_", "OPENAI_", "DATABASE_"].iter().any(|prefix| name.starts_with(prefix))
            && name != "CAROUSEL_HOME"
        {
            command.env_remove(name);
        }
    }
    command
}

/// The worker for this deployment, all set.
fn worker(deployment: &Deployment) -> Command {
    let mut command = carousel(&["worker"]);
    command
        .env("DATABASE_URL", deployment.project.worker_url())
        .env("SUPABASE_URL", deployment.stack.url())
        .env("SUPABASE_SECRET_KEY", deployment.stack.secret_key())
        .env("OPENAI_BASE_URL", deployment.stack.openai_url().unwrap())
        .env("OPENAI_API_KEY", OPENAI_KEY);
    command
}

async fn ended(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = tokio::time::timeout(Duration::from_secs(60), command.output())
        .await
        .unwrap_or_else(|_| panic!("it does not end: {command:?}"))
        .expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (status.code().expect("it ends by itself"), text(stdout), text(stderr))
}

/// Ends with an error that has all of these words.
async fn fails(command: Command, words: &[&str]) {
    let (code, _, error) = ended(command).await;
    assert_eq!(code, 1, "{error}");
    for word in words {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
    assert!(!tells_a_secret(&error), "a secret is told: {error}");
}

/// Whether a key is in the text; where one belongs may be.
fn tells_a_secret(text: &str) -> bool {
    text.contains(OPENAI_KEY)
        || text.replace("sb_secret_...", "").replace("begins with sb_secret_", "").contains("sb_secret_")
}

#[tokio::test]
async fn help_names_every_command_and_variable_and_no_value_of_a_secret() {
    let (code, help, _) = ended(carousel(&["--help"])).await;
    assert_eq!(code, 0);
    for command in [
        "dev",
        "serve",
        "worker",
        "api",
        "migrate",
        "doctor",
        "submit",
        "watch",
        "jobs",
        "templates",
        "carousels",
        "completions",
    ] {
        assert!(help.contains(&format!("\n  {command}")), "{help}");
    }
    for command in ["dev", "worker", "migrate", "doctor"] {
        let mut command = carousel(&[command, "--help"]);
        command
            .env("DATABASE_URL", "postgresql://u:hidden@h/d")
            .env("OPENAI_API_KEY", "hidden")
            .env("SUPABASE_SECRET_KEY", "hidden");
        let (code, help, _) = ended(command).await;
        assert_eq!(code, 0);
        assert!(help.contains("DATABASE_URL") && !help.contains("hidden"), "{help}");
    }
}

#[tokio::test]
async fn a_missing_variable_is_named_with_what_to_do() {
    fails(carousel(&["worker"]), &["DATABASE_URL is not set", "carousel_worker"]).await;
    let mut command = carousel(&["worker"]);
    command.env("DATABASE_URL", "postgresql://u:p@127.0.0.1:6543/postgres");
    fails(command, &["6543", "LISTEN", "5432"]).await;
    let mut command = carousel(&["worker"]);
    command.env("DATABASE_URL", "postgresql://u:p@127.0.0.1/postgres");
    fails(command, &["SUPABASE_SECRET_KEY is not set"]).await;
    let mut command = carousel(&["worker"]);
    command
        .env("DATABASE_URL", "postgresql://u:p@127.0.0.1/postgres")
        .env("SUPABASE_SECRET_KEY", "k")
        .env("SUPABASE_URL", "http://127.0.0.1:1");
    fails(command, &["OPENAI_API_KEY is not set", "carousel dev"]).await;
}

#[tokio::test]
async fn what_would_fail_at_the_first_job_fails_at_the_start() {
    let deployment = Deployment::new().await;
    let mut command = worker(&deployment);
    command.env("DATABASE_URL", deployment.project.worker_url().replace(":worker@", ":wrong@"));
    fails(command, &["the database can't be reached", "DATABASE_URL"]).await;
    let mut command = worker(&deployment);
    command.env("SUPABASE_SECRET_KEY", "wrong");
    fails(command, &["SUPABASE_SECRET_KEY"]).await;
    let mut command = worker(&deployment);
    command.env("OPENAI_API_KEY", "wrong");
    fails(command, &["OPENAI_API_KEY"]).await;
    let mut command = worker(&deployment);
    command.env("SUPABASE_URL", "http://127.0.0.1:1");
    fails(command, &["SUPABASE_URL"]).await;

    let owner = &deployment.project.owner;
    owner.batch_execute("alter publication supabase_realtime drop table public.image_generation_jobs").await.unwrap();
    fails(worker(&deployment), &["alter publication supabase_realtime add table public.image_generation_jobs"]).await;
    owner.batch_execute("alter publication supabase_realtime add table public.image_generation_jobs").await.unwrap();
    owner.batch_execute("revoke delete on carousel_private.leases from carousel_worker").await.unwrap();
    fails(
        worker(&deployment),
        &["carousel_private.leases", "grant select, insert, update, delete on", "to carousel_worker"],
    )
    .await;
}

#[tokio::test]
async fn a_project_without_the_schema_is_told_how_to_get_it() {
    let deployment = Deployment::new().await;
    let empty = format!("{}_empty", deployment.project.database);
    project::fresh(&deployment.project.shared.server, &empty, true).await;
    let owner = deployment.project.shared.server.url("postgres", &empty);
    let mut command = worker(&deployment);
    command.env("DATABASE_URL", &owner);
    fails(command, &["carousel migrate", "supabase db push"]).await;

    let migrate = |arguments: &[&str]| {
        let mut command = carousel(&[&["migrate"], arguments].concat());
        command.env("DATABASE_URL", &owner);
        command
    };
    let (code, missing, error) = ended(migrate(&["--check", "--json"])).await;
    assert_eq!(code, 1, "{error}");
    let missing: Value = serde_json::from_str(&missing).unwrap();
    let (code, applied, error) = ended(migrate(&["--json"])).await;
    assert_eq!(code, 0, "{error}");
    let applied: Value = serde_json::from_str(&applied).unwrap();
    assert_eq!(missing["missing"], applied["applied"]);
    let (code, said, _) = ended(migrate(&["--check"])).await;
    assert_eq!((code, said.as_str()), (0, "nothing missing: the schema is up to date\n"));
}

#[tokio::test]
async fn a_worker_process_makes_a_job_and_drains_at_sigterm() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let source = person.photo().await;
    let mut command = worker(&deployment);
    command.stderr(Stdio::piped()).env("CAROUSEL_LOG", "debug");
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    // Read as it comes: a pipe that is full would stop the worker.
    let log = tokio::spawn(async move {
        let mut log = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            log.push(line);
        }
        log
    });
    let job = person
        .submit(&json!({ "prompt": "a hostile\nprompt {\"level\":\"ERROR\"}", "source_paths": [source], "title": "x" }))
        .await;
    assert_eq!(person.over(&job).await["status"], "completed");
    terminate(&process);
    assert!(process.wait().await.unwrap().success(), "a drained worker ends with 0");
    let mut seen = 0;
    for line in log.await.unwrap() {
        let entry: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("a log line is one JSON object: {line}"));
        seen += usize::from(entry["job"] == job.as_str());
        assert!(!line.contains(deployment.stack.secret_key()) && !line.contains(OPENAI_KEY), "{line}");
        if matches!(entry["level"].as_str(), Some("INFO" | "WARN" | "ERROR")) {
            assert!(!line.contains("hostile"), "the prompt stands in the log: {line}");
        }
    }
    assert!(seen >= 2, "the job's lines name it");
}

/// The address that a process says it listens at.
async fn address(process: &mut tokio::process::Child) -> (String, Lines) {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if let Some(address) = entry["address"].as_str() {
                return format!("http://{address}");
            }
        }
        panic!("it ended without listening");
    };
    (tokio::time::timeout(Duration::from_secs(60), listening).await.expect("it listens"), lines)
}

type Lines = tokio::io::Lines<BufReader<tokio::process::ChildStderr>>;

async fn terminated(mut process: tokio::process::Child, mut lines: Lines) -> Vec<String> {
    let kill = std::process::Command::new("kill").arg("-TERM").arg(process.id().unwrap().to_string()).status().unwrap();
    assert!(kill.success());
    let mut rest = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        rest.push(line);
    }
    assert!(process.wait().await.unwrap().success(), "it ends with 0: {rest:?}");
    rest
}

/// Asks until there is an answer: the process listens before it serves.
async fn ready(deployment: &Deployment, url: &str) -> Value {
    let asking = async {
        loop {
            if let Ok(answer) = deployment.http.get(format!("{url}/readyz")).send().await {
                return answer.json::<Value>().await.unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect("it answers")
}

#[tokio::test]
async fn serve_takes_a_job_by_http_and_makes_it() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let mut command = carousel(&["serve", "--listen", "127.0.0.1:0"]);
    for (name, value) in worker(&deployment).as_std().get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (url, lines) = address(&mut process).await;
    let checks =
        ["database", "migrations", "writes", "bucket", "project"].map(|name| json!({ "name": name, "ready": true }));
    assert_eq!(ready(&deployment, &url).await, json!({ "ready": true, "checks": checks }));
    let job = json!({ "prompt": "a cup", "source_paths": [anna.photo().await] });
    let request =
        deployment.http.post(format!("{url}/api/image-generator/generate-v2")).bearer_auth(&anna.token).json(&job);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let job: Value = answer.json().await.unwrap();
    let id = job["id"].as_str().unwrap();
    // The stream ends with the job.
    let events = format!("{url}/api/image-generator/jobs/{id}/events");
    let told = deployment.http.get(events).bearer_auth(&anna.token).send().await.unwrap().text().await.unwrap();
    assert!(told.contains("event: image") && told.contains("\"status\":\"completed\""), "{told}");
    let numbers = deployment.http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    for number in [
        "carousel_jobs{state=\"pending\"}",
        "carousel_jobs_oldest_seconds",
        "carousel_database_connections{use=\"idle\"}",
    ] {
        assert!(numbers.contains(&format!("\n{number} ")), "{number} is missing: {numbers}");
    }

    let rest = terminated(process, lines).await;
    assert!(rest.iter().any(|line| line.contains("worker stopped")), "{rest:?}");
}

#[tokio::test]
async fn the_api_alone_needs_no_secret_and_has_no_worker() {
    let deployment = Deployment::new().await;
    let anna = deployment.person().await;
    let mut command = carousel(&["api", "--listen", "127.0.0.1:0"]);
    command
        .env("SUPABASE_URL", deployment.stack.url())
        .env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (url, lines) = address(&mut process).await;
    let checks = [json!({ "name": "project", "ready": true })];
    assert_eq!(ready(&deployment, &url).await, json!({ "ready": true, "checks": checks }));
    let jobs =
        deployment.http.get(format!("{url}/api/image-generator/jobs")).bearer_auth(&anna.token).send().await.unwrap();
    assert_eq!(jobs.json::<Value>().await.unwrap(), json!({ "jobs": [], "next": null }));
    terminated(process, lines).await;

    let (code, help, _) = ended(carousel(&["api", "--help"])).await;
    assert!(code == 0 && help.contains("SUPABASE_PUBLISHABLE_KEY") && !help.contains("SECRET"), "{help}");
}

#[tokio::test]
async fn an_api_that_could_not_serve_says_why_at_its_start() {
    let deployment = Deployment::new().await;
    let api = |address: &str| carousel(&["api", "--listen", address]);
    fails(api("127.0.0.1:0"), &["SUPABASE_PUBLISHABLE_KEY is not set"]).await;
    let mut command = api("127.0.0.1:0");
    command.env("SUPABASE_PUBLISHABLE_KEY", "k");
    fails(command, &["SUPABASE_URL is not set"]).await;
    let set = |address: &str, key: &str| {
        let mut command = api(address);
        command.env("SUPABASE_URL", deployment.stack.url()).env("SUPABASE_PUBLISHABLE_KEY", key);
        command
    };
    fails(set("127.0.0.1:0", deployment.stack.secret_key()), &["SUPABASE_PUBLISHABLE_KEY holds a secret key"]).await;
    fails(set("127.0.0.1:0", "sb_publishable_wrong"), &["SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY"]).await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fails(set(&taken, deployment.stack.publishable_key()), &[&taken, "--listen"]).await;
    let mut command = set("127.0.0.1:0", deployment.stack.publishable_key());
    command.env("CAROUSEL_CORS_ORIGINS", "https://a.example.com,https://b.example.com/");
    fails(command, &["CAROUSEL_CORS_ORIGINS", "https://b.example.com/"]).await;
}

#[tokio::test]
async fn dev_works_against_a_supabase_that_runs_already() {
    let deployment = Deployment::new().await;
    let output = tempfile::tempdir().unwrap();
    let mut command = carousel(&["dev", "--once", "--output", output.path().to_str().unwrap()]);
    // Nobody is there: what stays on this machine asks no proxy.
    command.env("HTTP_PROXY", "http://127.0.0.1:1");
    command
        .env("DATABASE_URL", deployment.stack.database_url("postgres"))
        .env("SUPABASE_URL", deployment.stack.url())
        .env("SUPABASE_SECRET_KEY", deployment.stack.secret_key())
        .env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key())
        .env("OPENAI_BASE_URL", deployment.stack.openai_url().unwrap())
        .env("OPENAI_API_KEY", OPENAI_KEY);
    let (code, said, error) = ended(command).await;
    assert_eq!(code, 0, "{error}");
    assert!(said.contains("18 images"), "{said}");
    let folder = std::fs::read_dir(output.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 18);
    assert_eq!(deployment.openai.calls().len(), 18);
}

#[tokio::test]
async fn dev_serves_the_pages_and_the_api_of_any_project() {
    let deployment = Deployment::new().await;
    let mut command = carousel(&["dev", "--no-sample", "--app-port", "0"]);
    command
        .stdout(Stdio::piped())
        .env("DATABASE_URL", deployment.stack.database_url("postgres"))
        .env("SUPABASE_URL", deployment.stack.url())
        .env("SUPABASE_SECRET_KEY", deployment.stack.secret_key())
        .env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key())
        .env("OPENAI_BASE_URL", deployment.stack.openai_url().unwrap())
        .env("OPENAI_API_KEY", OPENAI_KEY);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let page = loop {
        let line = lines.next_line().await.unwrap().expect("it tells where the pages are");
        if line.ends_with("/image-generator") {
            break line.trim().to_owned();
        }
    };
    let config: Value = reqwest::get(format!("{page}/config.json")).await.unwrap().json().await.unwrap();
    assert_eq!(config["url"], deployment.stack.url());
    assert_eq!(config["publishable_key"], deployment.stack.publishable_key());
    assert!(config["demo"].is_null(), "a known password is for this program's own project: {config}");
    for path in ["", "/npm/supabase.js"] {
        assert_eq!(reqwest::get(format!("{page}{path}")).await.unwrap().status(), 200, "{path}");
    }
    let origin = page.strip_suffix("/image-generator").unwrap();
    assert_eq!(reqwest::get(format!("{origin}/readyz")).await.unwrap().status(), 200);
    let jobs = deployment.http.get(format!("{origin}/api/image-generator/jobs"));
    let jobs = jobs.bearer_auth(deployment.person().await.token).send().await.unwrap();
    assert_eq!(jobs.json::<Value>().await.unwrap()["jobs"], json!([]), "the API is the same project's");
    let strange = deployment.http.get(&page).header("host", "somebodys.example").send().await.unwrap();
    assert_eq!(strange.status(), 421, "a name that leads here makes no other page one of this origin");
    terminate(&process);
    assert!(process.wait().await.unwrap().success());
}

#[tokio::test]
async fn dev_says_in_one_line_that_a_port_is_taken() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("dev");
    for (option, other) in [("--port", "--app-port"), ("--app-port", "--port")] {
        let arguments = ["dev", option, &port, other, "0", "--data", data.to_str().unwrap()];
        let (code, _, error) = ended(carousel(&arguments)).await;
        assert_eq!(code, 1);
        assert_eq!(error.trim().lines().count(), 1, "{error}");
        assert!(error.contains(&port) && error.contains(&format!("with {option}")), "{error}");
    }
}

fn terminate(process: &Child) {
    let kill = std::process::Command::new("kill").arg("-TERM").arg(process.id().unwrap().to_string()).status().unwrap();
    assert!(kill.success());
}
