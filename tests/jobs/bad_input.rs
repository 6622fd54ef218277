//! Input that no image can be made from: refused by the database where it can know, else failed by the worker with a code, never paid for.

use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, picture};

async fn failed(person: &Person<'_>, job: Value) -> Value {
    let job = person.submit(&job).await;
    let row = person.over(&job).await;
    assert_eq!(row["status"], "failed", "{row}");
    assert!(
        person
            .images(&job)
            .await
            .iter()
            .all(|image| image["status"] == "failed" && image["error_code"] == row["error_code"])
    );
    row
}

#[tokio::test]
async fn a_source_that_is_no_picture_fails_the_job_before_anything_is_paid() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    let mut bomb = picture();
    // The header says 100,000 x 100,000.
    bomb[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
    let sources = [
        ("text", b"this is text".to_vec(), "source_not_an_image"),
        ("svg", svg, "source_not_an_image"),
        ("bomb", bomb, "source_too_large"),
        ("empty", Vec::new(), "source_not_an_image"),
        ("cut", picture()[..20].to_vec(), "source_damaged"),
    ];
    for (name, bytes, code) in sources {
        let path = person.upload(name, "image/png", bytes).await;
        let row = failed(&person, json!({ "prompt": "a cup", "source_paths": [path] })).await;
        assert_eq!(row["error_code"], code, "{name}");
        assert!(row["error_message"].as_str().unwrap().contains(&path), "the words name the file: {row}");
    }
    let missing = format!("{}/sources/missing.png", person.id);
    let row = failed(&person, json!({ "prompt": "a cup", "source_paths": [missing] })).await;
    assert_eq!(row["error_code"], "source_not_found");
    assert!(deployment.openai.calls().is_empty());
}

#[tokio::test]
async fn a_source_beyond_50_mb_is_never_sent() {
    let deployment = Deployment::new().await;
    let _worker = deployment.worker();
    let person = deployment.person().await;
    // The bucket refuses such a file; a project may have raised its limit since.
    let admin = deployment.project.admin().await;
    admin.execute("update storage.buckets set file_size_limit = null", &[]).await.unwrap();
    let mut large = picture();
    large.resize(60 << 20, 0);
    let path = person.upload("large", "image/png", large).await;
    let row = failed(&person, json!({ "prompt": "a cup", "source_paths": [path] })).await;
    assert_eq!(row["error_code"], "source_too_large");
    assert!(deployment.openai.calls().is_empty());
}

#[tokio::test]
async fn what_only_the_worker_can_know_fails_without_a_call() {
    let deployment = Deployment::new().await;
    let (mut pipeline, worker) = deployment.settings();
    pipeline.models = vec!["old-model".to_owned()];
    let _worker = deployment.start(pipeline, worker);
    let person = deployment.person().await;
    let source = person.photo().await;
    let rows = [
        (json!({ "prompt": "a cup", "source_paths": [source], "model": "dear-model" }), "model_not_allowed"),
        (
            json!({ "prompt": "a cup", "source_paths": [source], "model": "old-model", "aspect_ratios": ["4:5"] }),
            "size_not_offered",
        ),
    ];
    for (job, code) in rows {
        assert_eq!(failed(&person, job).await["error_code"], code);
    }
    assert!(deployment.openai.calls().is_empty());
    let own = person.submit(&json!({ "prompt": "a cup", "source_paths": [source], "model": "gpt-image-2" })).await;
    assert_eq!(person.over(&own).await["status"], "completed", "the one that is made anyway may be named");
    let calls: i64 = deployment
        .project
        .owner
        .query_one("select count(*) from carousel_private.provider_calls", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(calls, 1);
}

/// As rows were taken before the database counted what is added to a prompt.
#[tokio::test]
async fn a_prompt_that_was_taken_and_is_too_long_fails_without_a_call() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [person.photo().await] })).await;
    let admin = deployment.project.admin().await;
    admin.batch_execute("update public.image_generation_jobs set prompt = repeat('x', 31990)").await.unwrap();
    let _worker = deployment.worker();
    assert_eq!(person.over(&job).await["error_code"], "prompt_too_long");
    assert!(deployment.openai.calls().is_empty());
}

#[tokio::test]
async fn a_forged_row_with_a_foreign_path_is_not_read_with_the_workers_key() {
    let deployment = Deployment::new().await;
    let person = deployment.person().await;
    let other = deployment.person().await;
    let secret = other.photo().await;
    let source = person.photo().await;
    let job = person.submit(&json!({ "prompt": "a cup", "source_paths": [source] })).await;
    // As if the database's own check had been broken.
    let forge = "alter table public.image_generation_jobs disable trigger user";
    let admin = deployment.project.admin().await;
    admin.batch_execute(forge).await.unwrap();
    admin.execute("update public.image_generation_jobs set source_paths = array[$1]", &[&secret]).await.unwrap();
    admin.batch_execute("alter table public.image_generation_jobs enable trigger user").await.unwrap();
    let _worker = deployment.worker();
    assert_eq!(person.over(&job).await["error_code"], "source_path_foreign");
    assert!(deployment.openai.calls().is_empty());
}
