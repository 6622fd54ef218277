//! A database that lets nobody in, or takes no writes: named by everything that meets it, with what mends it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::deployment::Deployment;
use crate::doctor::{doctor, examined, of};
use crate::{address, carousel, ended, ready, terminated, worker};

/// The finding of this check that failed: detail and mend.
fn failure<'a>(findings: &'a [Value], check: &str) -> (&'a str, &'a str) {
    let failed = of(findings, "failed");
    let found = failed.iter().find(|(name, ..)| *name == check);
    let (_, detail, mend) = found.unwrap_or_else(|| panic!("{check} has not failed: {findings:#?}"));
    (detail, mend)
}

/// Lets new sessions write nothing.
async fn read_only(deployment: &Deployment) {
    let alter = format!("alter database {} set default_transaction_read_only = on", deployment.project.database);
    deployment.project.admin().await.batch_execute(&alter).await.unwrap();
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named_by_the_doctor_and_lets_no_worker_start() {
    let deployment = Deployment::new().await;
    read_only(&deployment).await;
    let mut as_owner = doctor(&deployment);
    as_owner.env("DATABASE_URL", deployment.stack.database_url("postgres"));
    let mut mended_by = String::new();
    for command in [doctor(&deployment), as_owner] {
        let (code, findings) = examined(command).await;
        let (detail, mend) = failure(&findings, "writes");
        mended_by = mend[mend.find("begin read write;").expect("it is a statement")..].to_owned();
        assert!(code == 1 && detail.contains("takes no writes") && detail.contains("25006"), "{detail}");
        assert!(mend.contains("disk") && mend.contains("default_transaction_read_only = off"), "{mend}");
        let skipped = of(&findings, "skipped");
        assert!(skipped.iter().any(|(check, ..)| *check == "queue"), "who is alive can't say so: {findings:#?}");
    }
    let (code, _, said) = ended(worker(&deployment)).await;
    assert!(code != 0 && said.contains("takes no writes") && said.contains("disk"), "{said}");
    deployment.project.admin().await.batch_execute(&mended_by).await.unwrap();
    let before = "select count(*) from carousel_private.workers";
    assert_eq!(examined(doctor(&deployment)).await.0, 0);
    let rows: i64 = deployment.project.owner.query_one(before, &[]).await.unwrap().get(0);
    assert_eq!(rows, 0, "looking leaves nothing behind");
}

#[tokio::test]
async fn a_service_whose_database_takes_no_writes_is_not_ready() {
    let deployment = Deployment::new().await;
    let mut command = carousel(&["serve", "--listen", "127.0.0.1:0"]);
    for (name, value) in worker(&deployment).as_std().get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    command.env("SUPABASE_PUBLISHABLE_KEY", deployment.stack.publishable_key()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let (url, lines) = address(&mut process).await;
    assert_eq!(ready(&deployment, &url).await["ready"], true);
    read_only(&deployment).await;
    let unready = async {
        loop {
            let told = ready(&deployment, &url).await;
            if told["ready"] == false {
                return told;
            }
            // The same answer is given for some seconds.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(60), unready).await.expect("it says so");
    let unready: Vec<&Value> =
        told["checks"].as_array().unwrap().iter().filter(|check| check["ready"] == false).collect();
    assert_eq!(unready, [&json!({ "name": "writes", "ready": false })], "{told}");
    terminated(process, lines).await;
}

/// Everything that connects says the same: what the database said, its SQLSTATE, and what mends it.
#[tokio::test]
async fn whoever_is_not_let_in_hears_the_databases_own_words_and_what_mends_it() {
    let deployment = Deployment::new().await;
    let admin = deployment.project.admin().await;
    let (url, database) = (deployment.project.worker_url(), &deployment.project.database);
    let role = format!("asleep_{database}");
    admin.batch_execute(&format!("create role {role} nologin password 'worker'")).await.unwrap();
    let asleep = url.replace("carousel_worker:", &format!("{role}:"));
    for (url, code, words, mend) in [
        (url.replace(":worker@", ":MARKER@"), "28P01", "password authentication failed", "login password '...'"),
        (asleep, "28000", "not permitted to log in", "login password '...'"),
        (url.replace(database.as_str(), "nowhere"), "3D000", "\"nowhere\" does not exist", "it is postgres"),
    ] {
        let mut examination = doctor(&deployment);
        examination.env("DATABASE_URL", &url);
        let (_, findings) = examined(examination).await;
        let (detail, line) = failure(&findings, "connection");
        assert!(detail.contains(code) && detail.contains(words) && line.contains(mend), "{detail}; {line}");
        assert!(!detail.contains("MARKER") && !line.contains("carousel migrate"), "{detail}; {line}");
        let mut starting = worker(&deployment);
        starting.env("DATABASE_URL", &url);
        let mut migrating = carousel(&["migrate"]);
        migrating.env("DATABASE_URL", &url);
        for command in [starting, migrating] {
            let (exit, _, said) = ended(command).await;
            assert!(exit != 0 && said.contains(code) && said.contains(words) && said.contains(mend), "{said}");
            assert!(!said.contains("MARKER") && !said.contains("carousel migrate"), "{said}");
        }
    }
    let mut torn = doctor(&deployment);
    torn.env("DATABASE_URL", url.replace(":worker@", ":MARKERA@MARKERB@"));
    let (_, findings) = examined(torn).await;
    assert!(failure(&findings, "database_url").0.contains("%40"), "{findings:#?}");
    assert!(!Value::from(findings).to_string().contains("MARKER"));
}

/// An app that had tables of our names before is known by everything that meets it, and comes over by one command.
#[tokio::test]
async fn an_app_from_before_is_told_what_adopt_does_and_adopted() {
    let server = &crate::project::shared().await.server;
    crate::project::fresh(server, "from_before", true).await;
    let url = server.url("postgres", "from_before");
    let owner = server.connect("postgres", "from_before").await.unwrap();
    owner.batch_execute(include_str!("../schema/before.sql")).await.unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = carousel(arguments);
        command.env("DATABASE_URL", &url);
        ended(command).await
    };
    for arguments in [&["migrate"][..], &["migrate", "--check"]] {
        let (code, _, said) = run(arguments).await;
        assert!(code == 1 && said.contains("carousel migrate --adopt") && said.contains("0 jobs"), "{said}");
    }
    let (code, told, _) = run(&["doctor"]).await;
    assert!(code == 1 && told.contains("carousel migrate --adopt"), "{told}");
    let (code, _, said) = run(&["migrate", "--frontend"]).await;
    assert!(code == 2 && said.contains("--adopt"), "{said}");
    let (code, told, said) = run(&["migrate", "--adopt", "--check"]).await;
    assert!(code == 0 && told.contains("0 of 0 jobs") && told.contains("nothing was changed"), "{told}{said}");
    let (code, _, said) = run(&["migrate", "--adopt", "--frontend"]).await;
    assert!(code == 1 && said.contains("public addresses") && said.contains("public_address"), "{said}");
    let address = "https://abc.supabase.co/storage/v1/object/public/generated-carousels";
    let (code, told, said) =
        run(&["migrate", "--adopt", "--frontend", "--raise-limits", "--public-address", address, "--json"]).await;
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("not JSON: {told}"));
    assert_eq!(told["rows"]["images"], json!({ "found": 0, "carried": 0 }));
    let limit = "select file_size_limit from storage.buckets where id = 'generated-carousels' and public";
    assert_eq!(owner.query_one(limit, &[]).await.unwrap().get::<_, i64>(0), 52_428_800);
    let (code, told, said) = run(&["migrate", "--adopt"]).await;
    assert!(code == 0 && told.contains("up to date") && said.contains("nothing is to be carried over"), "{told}{said}");
    assert_eq!(run(&["migrate", "--check"]).await.0, 0);
}
