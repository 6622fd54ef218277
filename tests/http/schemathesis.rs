//! A program that reads the API's description and tries to catch it lying: requests by the rules and against them, each answer compared.
//!
//! Schemathesis comes from PyPI into a virtual environment of its own, with the versions of `requirements.txt`. It needs Python with its `venv`.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use carousel_local::install;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::door::{Door, GENERATE, TEMPLATES};

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// Why the program can't be had here.
enum Missing {
    Python(String),
    Packages(String),
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(output) } else { Err(told) }
}

/// The program, installed by the first test that asks.
fn schemathesis() -> Result<PathBuf, Missing> {
    let digest: String = Sha256::digest(REQUIREMENTS).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = install::home().join(format!("schemathesis-{digest}"));
    fs::create_dir_all(&folder).expect("a folder can be made");
    // Another run may be installing.
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !folder.join("complete").exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear", "venv"]).current_dir(&folder))
            .map_err(Missing::Python)?;
        fs::write(folder.join("requirements.txt"), REQUIREMENTS).unwrap();
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"];
        run(Command::new(folder.join("venv/bin/python")).args(install).current_dir(&folder))
            .map_err(Missing::Packages)?;
        fs::write(folder.join("complete"), "").unwrap();
    }
    Ok(folder.join("venv/bin/schemathesis"))
}

#[tokio::test]
async fn no_request_gets_a_server_error_or_an_answer_that_is_not_described() {
    let program = match tokio::task::spawn_blocking(schemathesis).await.unwrap() {
        Ok(program) => program,
        Err(Missing::Packages(why)) => panic!("schemathesis can't be installed: {why}"),
        // A machine without Python has all the other tests; the checks of every change have this one.
        Err(Missing::Python(why)) if std::env::var_os("CI").is_none() => {
            eprintln!("NOT TESTED: python3 with venv is missing ({why}); on Debian: apt-get install python3-venv");
            return;
        }
        Err(Missing::Python(why)) => {
            panic!("install Python 3 with venv (on Debian: apt-get install python3-venv): {why}")
        }
    };
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let source = anna.photo().await;
    // Something to be found: a job that is over, and a template.
    let job =
        door.send(door.post(GENERATE, &anna.token).json(&json!({ "prompt": "a cup", "source_paths": [source] }))).await;
    let job = job.body["id"].as_str().unwrap().to_owned();
    door.send(door.post(&format!("/api/image-generator/jobs/{job}/cancel"), &anna.token)).await;
    let template = json!({ "name": "a cup", "source_paths": [source], "prompt": "a cup" });
    let template =
        door.send(door.post(TEMPLATES, &anna.token).json(&template)).await.body["id"].as_str().unwrap().to_owned();

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schemathesis.toml"), configuration(&job, &template)).unwrap();
    let (url, token, place) = (door.url.clone(), anna.token.clone(), folder.path().to_owned());
    let tried = tokio::task::spawn_blocking(move || attack(&program, &place, &url, &token)).await.unwrap();
    let told = tried.unwrap_or_else(|told| panic!("{told}"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    eprintln!("{told}");
    let operations =
        door.description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
    assert!(told.contains(&format!("Tested: {}\n", operations.sum::<usize>())), "every operation was tried");
    assert_eq!(door.send(door.request(reqwest::Method::GET, "/healthz")).await.status, 200);
}

/// The ids of what is there: made-up ones find nothing. What deletes keeps to those.
fn configuration(job: &str, template: &str) -> String {
    let rows = [
        ("jobs", job, "get"),
        ("jobs", job, "post"),
        ("templates", template, "get"),
        ("templates", template, "post"),
        ("templates", template, "patch"),
    ];
    let mut text = String::new();
    for (table, id, method) in rows {
        text.push_str(&format!(
            "[[operations]]\ninclude-path-regex = \"/{table}/\\\\{{id\\\\}}\"\ninclude-method = \"{}\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n",
            method.to_uppercase()
        ));
    }
    text
}

fn attack(program: &Path, folder: &Path, url: &str, token: &str) -> Result<Output, String> {
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";
    let mut command = Command::new(program);
    command
        .args(["run", &format!("{url}/openapi.json"), "--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", checks, "--phases", "examples,coverage,fuzzing", "--max-examples", "50", "--seed", "1"])
        .args(["--generation-database", "none", "--workers", "2", "--request-timeout", "60", "--continue-on-failure"])
        .env("NO_COLOR", "1")
        .env_remove("CI")
        .current_dir(folder);
    run(&mut command)
}
