//! `carousel jobs`: as their owner, as the operator, and as somebody else.

use serde_json::json;

use crate::acting::{json, operator, person, refused};
use crate::deployment::Deployment;
use crate::ended;

#[tokio::test]
async fn a_job_is_listed_shown_cancelled_retried_and_deleted_by_its_owner_and_by_the_operator() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let source = me.photo().await;
    for as_operator in [false, true] {
        let command = |arguments: &[&str]| match as_operator {
            true => operator(&deployment, arguments),
            false => person(&me, arguments),
        };
        let job = me.submit(&json!({ "prompt": "calm", "title": "Desk", "source_paths": [source] })).await;
        let listed = json(command(&["jobs", "list", "--status", "pending", "--json"]), 0).await;
        assert_eq!((&listed["jobs"][0]["id"], &listed["next"]), (&json!(job), &json!(null)), "{listed}");
        let shown = json(command(&["jobs", "show", &job, "--json"]), 0).await;
        assert_eq!((&shown["job"]["title"], &shown["images"]), (&json!("Desk"), &json!([])));
        let cancelled = json(command(&["jobs", "cancel", &job, "--json"]), 0).await;
        assert_eq!(cancelled["job"]["status"], "cancelled");
        let (_, said, _) = ended(command(&["jobs", "cancel", &job])).await;
        assert!(said.contains("is cancelled"), "{said}");
        let retried = json(command(&["jobs", "retry", &job, "--json"]), 0).await;
        assert_eq!(retried["job"]["status"], "pending");
        let (code, said, _) = ended(command(&["jobs", "delete", &job])).await;
        assert_eq!((code, said), (0, format!("{job} is deleted\n")));
        refused(command(&["jobs", "show", &job]), 6).await;
    }
}

#[tokio::test]
async fn what_is_over_has_nothing_to_cancel_and_what_is_complete_nothing_to_retry() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let me = deployment.person().await;
    let job = me.submit(&json!({ "prompt": "calm", "source_paths": [me.photo().await] })).await;
    me.over(&job).await;
    let (code, said, _) = ended(person(&me, &["jobs", "cancel", &job])).await;
    assert!(code == 0 && said.contains("nothing to cancel"), "{said}");
    let (code, said, _) = ended(person(&me, &["jobs", "retry", &job])).await;
    assert!(code == 0 && said.contains("nothing to make once more"), "{said}");
    let (_, said, _) = ended(person(&me, &["jobs", "show", &job])).await;
    assert!(said.contains("1 of 1") && said.contains("1:1    completed"), "{said}");
}

#[tokio::test]
async fn another_persons_job_is_not_found_by_any_command() {
    let deployment = Deployment::new().await;
    let (me, other) = (deployment.person().await, deployment.person().await);
    let job = me.submit(&json!({ "prompt": "secret", "source_paths": [me.photo().await] })).await;
    let before = me.job(&job).await;
    for command in ["show", "cancel", "retry", "delete"] {
        for format in [&[][..], &["--json"]] {
            let error = refused(person(&other, &[&["jobs", command, &job], format].concat()), 6).await;
            assert!(error.contains("not yours") && !error.contains("secret"), "{error}");
        }
    }
    let listed = json(person(&other, &["jobs", "list", "--json"]), 0).await;
    assert_eq!(listed["jobs"], json!([]));
    assert_eq!(me.job(&job).await, before);
    refused(person(&me, &["jobs", "show", "7"]), 2).await;
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let source = me.photo().await;
    let mut expected = Vec::new();
    for number in 0..3 {
        expected.insert(0, me.submit(&json!({ "prompt": format!("{number}"), "source_paths": [source] })).await);
    }
    let first = json(person(&me, &["jobs", "list", "--limit", "2", "--json"]), 0).await;
    let next = first["next"].as_str().expect("there are more");
    let rest = json(person(&me, &["jobs", "list", "--after", next, "--json"]), 0).await;
    let rows = [&first, &rest].map(|page| page["jobs"].as_array().unwrap().clone()).concat();
    assert_eq!(rows.iter().map(|job| job["id"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    assert_eq!(rest["next"], json!(null));
    let (_, said, error) = ended(person(&me, &["jobs", "list", "--limit", "2"])).await;
    assert!(said.lines().count() == 3 && error.contains(&format!("--after {next}")), "{said}{error}");
    assert!(refused(person(&me, &["jobs", "list", "--after", "x"]), 2).await.contains("cursor"));
}

#[tokio::test]
async fn what_people_wrote_can_not_forge_lines_on_a_terminal_and_is_whole_in_json() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let title = "x\u{1b}[2J\u{1b}[1;1Hcarousel: all is well\u{202e}\r\nFORGED  completed";
    let job = me.submit(&json!({ "prompt": "a\nFORGED b", "title": title, "source_paths": [me.photo().await] })).await;
    for arguments in [&["jobs", "list"][..], &["jobs", "show", &job], &["templates", "list"]] {
        for command in [person(&me, arguments), operator(&deployment, arguments)] {
            let (code, said, error) = ended(command).await;
            assert_eq!(code, 0, "{error}");
            assert!(said.contains("\u{241b}[2J"), "{said:?}");
            assert!(said.chars().all(|letter| letter == '\n' || !letter.is_control()), "{said:?}");
            assert!(!said.contains('\u{202e}') && !said.lines().any(|line| line.starts_with("FORGED")), "{said:?}");
        }
    }
    let (_, said, _) = ended(person(&me, &["jobs", "show", &job, "--json"])).await;
    assert!(said.chars().all(|letter| letter == '\n' || !letter.is_control() && letter != '\u{202e}'), "{said:?}");
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(shown["job"]["title"], title);
}

/// Rows of before words had an end.
#[tokio::test]
async fn a_list_is_read_whatever_the_jobs_in_it_say() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    let source = me.photo().await;
    let insert = format!(
        "alter table public.image_generation_jobs disable trigger require_few_words;
         alter table public.image_generation_templates disable trigger require_few_words;
         insert into public.image_generation_jobs (user_id, title, source_paths, prompt, slide_prompts)
         select '{}', 'wordy', array['{source}'], 'a cup', array_fill(repeat('😀', 31000), array[100]) from generate_series(1, 3)",
        me.id
    );
    deployment.project.owner.batch_execute(&insert).await.unwrap();
    for command in [operator(&deployment, &["jobs", "list", "--json"]), person(&me, &["jobs", "list", "--json"])] {
        let listed = json(command, 0).await;
        assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(3));
        assert!(listed["jobs"][0].get("prompt").is_none());
    }
    let (code, said, error) = ended(operator(&deployment, &["jobs", "list"])).await;
    assert!(code == 0 && said.matches("wordy").count() == 3, "{said}{error}");
    let templates = json(operator(&deployment, &["templates", "list", "--json"]), 0).await;
    assert_eq!(templates["templates"][0]["name"], "wordy");
}

#[tokio::test]
async fn a_job_without_a_title_is_listed_by_its_template() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    me.submit(&json!({ "prompt": "a calm story", "source_paths": [me.photo().await] })).await;
    let (_, said, _) = ended(person(&me, &["jobs", "list"])).await;
    assert!(said.contains("a calm story"), "{said}");
}

#[tokio::test]
async fn a_reader_that_ends_early_is_no_failure() {
    let deployment = Deployment::new().await;
    let me = deployment.person().await;
    me.submit(&json!({ "prompt": "calm", "source_paths": [me.photo().await] })).await;
    let mut command = person(&me, &["jobs", "list"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(std::process::Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}
