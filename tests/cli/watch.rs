//! `carousel watch` and `submit --wait`: what is shown, and the code at the end.

use std::process::Stdio;
use std::time::Duration;

use carousel_local::openai::{ApiError, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::acting::{operator, person, refused};
use crate::deployment::Deployment;
use crate::ended;

/// Lines of JSON.
fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("a line is JSON: {line}"))).collect()
}

#[tokio::test]
async fn every_change_is_a_line_and_the_last_one_is_the_jobs() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    deployment.openai.hold();
    let job = me
        .submit(&json!({ "prompt": "calm", "slide_prompts": ["one", "two"], "source_paths": [me.photo().await] }))
        .await;
    let mut command = person(&me, &["watch", &job, "--json"]);
    command.stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&said.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&first["job"]["id"], &first["job"]["status"]), (&json!(job), &json!("pending")));
    // Only now is there anything to change.
    let _worker = deployment.worker();
    let mut rest = Vec::new();
    while let Some(line) = tokio::time::timeout(Duration::from_secs(120), said.next_line()).await.unwrap().unwrap() {
        // The provider waits until the beginning has been seen.
        if line.contains(r#""status":"processing""#) {
            deployment.openai.release();
        }
        rest.push(line);
    }
    let rest = lines(&rest.join("\n"));
    let last = rest.last().unwrap();
    assert_eq!((&last["job"]["status"], &last["job"]["progress"]), (&json!("completed"), &json!(100)));
    let completed = rest.iter().filter(|line| line["image"]["status"] == "completed").count();
    assert_eq!(completed, 2, "{rest:#?}");
    assert!(rest.iter().any(|line| line["job"]["status"] == "processing"), "{rest:#?}");
    assert!(process.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_code_says_how_the_job_ended() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let me = deployment.person().await;
    let source = me.photo().await;
    let none = format!("{}/sources/none.png", me.id);
    deployment.openai.faults().on("blocked", 1, Fault::Refused(ApiError::moderation_blocked()));
    let completed = me.submit(&json!({ "prompt": "calm", "source_paths": [source] })).await;
    let failed = me.submit(&json!({ "prompt": "calm", "source_paths": [none] })).await;
    let partial =
        me.submit(&json!({ "prompt": "calm", "slide_prompts": ["good", "blocked"], "source_paths": [source] })).await;
    let late = json!({ "prompt": "calm", "source_paths": [source], "run_at": "2099-01-01T00:00:00Z" });
    let cancelled = me.submit(&late).await;
    for (job, code, words) in [
        (&completed, 0, "completed: 1 of 1 images"),
        (&partial, 3, "carousel jobs retry"),
        (&failed, 4, "failed: 0 of 1 images"),
    ] {
        for command in [person(&me, &["watch", job]), operator(&deployment, &["watch", job])] {
            let (ended, said, error) = ended(command).await;
            assert_eq!(ended, code, "{said}{error}");
            assert!(said.contains(words), "{said}");
            // Plain lines where there is no terminal.
            assert!(!error.contains('\u{1b}') && error.contains('%'), "{error:?}");
        }
    }
    let watching = tokio::spawn(ended(person(&me, &["watch", &cancelled, "--json"])));
    let (code, ..) = ended(person(&me, &["jobs", "cancel", &cancelled])).await;
    assert_eq!(code, 0);
    let (code, said, error) = watching.await.unwrap();
    assert_eq!(code, 5, "{said}{error}");
    assert_eq!(lines(&said).last().unwrap()["job"]["status"], "cancelled");
}

#[tokio::test]
async fn a_job_that_is_not_there_not_ones_own_or_deleted_meanwhile_is_not_found() {
    let deployment = Deployment::new().await;
    let (me, other) = (deployment.person().await, deployment.person().await);
    let late = json!({ "prompt": "calm", "source_paths": [me.photo().await], "run_at": "2099-01-01T00:00:00Z" });
    let job = me.submit(&late).await;
    assert!(refused(person(&other, &["watch", &job]), 6).await.contains("not yours"));
    refused(person(&me, &["watch", &me.id.to_string(), "--json"]), 6).await;

    let mut command = person(&me, &["watch", &job, "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
    said.next_line().await.unwrap().expect("the job is shown");
    me.rest("DELETE", &format!("image_generation_jobs?id=eq.{job}"), None).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), process.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(6));
}

/// With and without the owner's channel, and whenever the server closes it.
#[tokio::test]
async fn a_job_is_watched_to_its_end_whatever_becomes_of_the_channel() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let me = deployment.person().await;
    let wanted = json!({ "prompt": "calm", "slide_prompts": ["one", "two"], "source_paths": [me.photo().await] });
    for is_private in [true, false] {
        if !is_private {
            let drop = "drop policy \"carousel: people hear their own channel\" on realtime.messages";
            deployment.project.owner.batch_execute(drop).await.unwrap();
        }
        deployment.openai.hold();
        let job = me.submit(&wanted).await;
        let mut command = person(&me, &["watch", &job, "--json"]);
        command.stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        said.next_line().await.unwrap().expect("the job is shown");
        deployment.stack.realtime().close_channels("Too many messages per second");
        deployment.openai.release();
        let mut last = String::new();
        while let Some(line) = tokio::time::timeout(Duration::from_secs(120), said.next_line()).await.unwrap().unwrap()
        {
            last = line;
        }
        assert!(last.contains(r#""status":"completed""#), "{last}");
        assert!(process.wait().await.unwrap().success());
    }
}
