//! A stack of one's own, with its own server, data and keys.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use carousel_local::stack::{Settings, Stack};
use carousel_local::{database, install};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// A directory that PostgreSQL's own account can enter. It goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("carousel-{name}-{}", std::process::id())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(directory: &Path, port: u16, reset: bool) -> anyhow::Result<Stack> {
    let (home, directory) = (install::home(), directory.to_owned());
    Stack::start(&Settings { home, directory, port, database_port: 0, reset, openai: None }, |step| eprintln!("{step}"))
        .await
}

async fn sign(stack: &Stack, path: &str) -> (StatusCode, Value) {
    let body = json!({ "email": "ada@example.com", "password": "a good one" });
    let request = reqwest::Client::new().post(format!("{}/auth/v1/{path}", stack.url()));
    let answer = request.header("apikey", stack.publishable_key()).json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_second_start_finds_users_tables_and_keys_and_a_reset_none_of_them() {
    let directory = Directory::new("second-start");
    let first = start(&directory.0, 0, false).await.unwrap();
    let secret = first.secret_key().to_owned();
    assert_eq!(sign(&first, "signup").await.0, StatusCode::OK);
    let owner = database::connect(&first.database_url("postgres")).await.unwrap();
    owner.batch_execute("create table public.notes (id int primary key)").await.unwrap();
    let session = sign(&first, "token?grant_type=password").await.1;
    let port = first.url().rsplit(':').next().unwrap().parse().unwrap();
    first.stop().await;

    let second = start(&directory.0, port, false).await.unwrap();
    assert_eq!(second.secret_key(), secret);
    second.keys().verify(session["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(sign(&second, "token?grant_type=password").await.0, StatusCode::OK);
    second.until_served("notes").await.unwrap();
    second.stop().await;

    let third = start(&directory.0, 0, true).await.unwrap();
    assert_ne!(third.secret_key(), secret);
    assert_eq!(sign(&third, "token?grant_type=password").await.0, StatusCode::BAD_REQUEST);
    third.stop().await;
}

/// A page of anywhere can have its own name lead to this machine, and is then let read what it asks there.
#[tokio::test]
async fn nobody_else_reads_what_a_stack_keeps_neither_from_its_folder_nor_by_a_name_that_only_leads_here() {
    let directory = Directory::new("nobody-else");
    let stack = start(&directory.0, 0, false).await.unwrap();
    let client = reqwest::Client::new();
    let ask = |path: &str, host: &str| {
        client.get(format!("{}{path}", stack.url())).header("apikey", stack.secret_key()).header("host", host).send()
    };
    for path in ["/rest/v1/", "/auth/v1/settings", "/storage/v1/bucket", "/realtime/v1/websocket"] {
        let strange = ask(path, "evil.example:54321").await.unwrap();
        assert_eq!(strange.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert!(!strange.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    assert_eq!(ask("/auth/v1/settings", "localhost:1").await.unwrap().status(), StatusCode::OK);

    let storage = format!("{}/storage/v1", stack.url());
    let bucket = client.post(format!("{storage}/bucket")).header("apikey", stack.secret_key());
    bucket.json(&json!({ "id": "photos", "name": "photos" })).send().await.unwrap().error_for_status().unwrap();
    let upload = client.post(format!("{storage}/object/photos/a.txt")).header("apikey", stack.secret_key());
    upload.body("hers").send().await.unwrap().error_for_status().unwrap();
    // PostgreSQL's account goes through these two.
    let open = [directory.0.clone(), directory.0.join("postgres")];
    let (mut found, mut folders) = (0, vec![directory.0.clone()]);
    while let Some(folder) = folders.pop() {
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777;
        assert!(mode & 0o77 == 0 || open.contains(&folder), "{}: {mode:o}", folder.display());
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let kind = entry.metadata().unwrap();
            // What is below a closed folder, nobody else comes to.
            if kind.is_dir() && (open.contains(&entry.path()) || entry.file_name() != "pgdata") {
                folders.push(entry.path());
            } else if !kind.is_dir() {
                assert_eq!(kind.permissions().mode() & 0o77, 0, "{}", entry.path().display());
                found += 1;
            }
        }
    }
    assert!(found > 3, "keys, logs and the object were looked at: {found}");
    stack.stop().await;
}

#[tokio::test]
async fn a_stack_in_use_and_a_taken_port_are_told_in_one_line() {
    let directory = Directory::new("in-use");
    let stack = start(&directory.0, 0, false).await.unwrap();
    let refused = start(&directory.0, 0, true).await.err().unwrap().to_string();
    assert!(refused.starts_with("a local stack already runs with the data in "), "{refused}");
    let port = stack.url().rsplit(':').next().unwrap();
    let elsewhere = Directory::new("taken-port");
    let refused = start(&elsewhere.0, port.parse().unwrap(), false).await.err().unwrap().to_string();
    assert_eq!(refused, format!("port {port} is taken: choose another with --port"));
    assert_eq!(sign(&stack, "signup").await.0, StatusCode::OK);
    stack.stop().await;
}

#[tokio::test]
async fn nothing_answers_any_more_after_a_stop() {
    let directory = Directory::new("stopped");
    let stack = start(&directory.0, 0, false).await.unwrap();
    let (gateway, server) = (stack.url().to_owned(), stack.database_url("postgres"));
    // A connection that is kept open must not keep the stack.
    let client = reqwest::Client::new();
    client.get(&gateway).send().await.unwrap();
    stack.stop().await;
    assert!(client.get(&gateway).send().await.unwrap_err().is_connect());
    assert!(database::connect(&server).await.is_err());
    assert!(!directory.0.join("postgres/pgdata/postmaster.pid").exists());
}
