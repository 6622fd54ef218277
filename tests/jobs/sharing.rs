//! One person's many and long jobs beside another's short one.

use std::time::Duration;

use serde_json::json;

use crate::deployment::{Deployment, Person};

/// A job of so many slides, all with the same words.
async fn submit(person: &Person<'_>, words: &str, slides: usize) -> String {
    let source = person.photo().await;
    let slides = vec![words; slides];
    person.submit(&json!({ "prompt": words, "slide_prompts": slides, "source_paths": [source] })).await
}

async fn is_processing(person: &Person<'_>, job: &str) {
    person.until(job, |job| job["status"] == "processing").await;
}

#[tokio::test]
async fn another_persons_job_waits_for_one_call_of_many_long_jobs_and_no_more() {
    let deployment = Deployment::new().await;
    let (mut pipeline, mut settings) = deployment.settings();
    (settings.jobs, pipeline.calls, pipeline.calls_per_job) = (3, 3, 2);
    // The look every few seconds must not be what finds it.
    settings.poll = Duration::from_secs(3600);
    let _worker = deployment.start(pipeline, settings);
    let (busy, other) = (deployment.person().await, deployment.person().await);
    deployment.openai.hold();
    let mut long = Vec::new();
    for _ in 0..4 {
        long.push(submit(&busy, "a long one", 4).await);
    }
    deployment.openai.reached(3).await;
    let short = submit(&other, "a short one", 1).await;
    // There is a slot for it, while nothing has ended.
    is_processing(&other, &short).await;
    assert_eq!(deployment.openai.calls().len(), 3);
    deployment.openai.release();
    assert_eq!(other.over(&short).await["status"], "completed");
    let place = deployment.openai.calls().iter().position(|call| call.prompt().contains("a short one"));
    assert_eq!(place, Some(3), "the first call that was free is for who has none");
    for job in &long {
        let job = busy.over(job).await;
        assert_eq!(
            (&job["status"], &job["attempt"], &job["completed_images"]),
            (&json!("completed"), &json!(1), &json!(4))
        );
    }
    assert_eq!(deployment.openai.calls().len(), 17, "what gave way lost nothing and paid nothing twice");
}

#[tokio::test]
async fn one_person_alone_has_all_slots_and_calls() {
    let deployment = Deployment::new().await;
    let (mut pipeline, mut settings) = deployment.settings();
    (settings.jobs, pipeline.calls, pipeline.calls_per_job) = (2, 4, 2);
    settings.poll = Duration::from_millis(50);
    let _worker = deployment.start(pipeline, settings);
    let busy = deployment.person().await;
    deployment.openai.hold();
    let mut long = Vec::new();
    for _ in 0..3 {
        long.push(submit(&busy, "a long one", 3).await);
    }
    deployment.openai.reached(4).await;
    deployment.openai.release();
    for job in &long {
        assert_eq!(busy.over(job).await["status"], "completed");
    }
    let waits = "select count(*) from public.image_generation_jobs where message like 'Waiting%' or attempt <> 1";
    let waits: i64 = deployment.project.owner.query_one(waits, &[]).await.unwrap().get(0);
    assert_eq!(waits, 0, "nothing gave way to its owner's others");
}

/// A rate stands in the way of all: whoever asks waits for a place in one row.
#[tokio::test]
async fn under_a_rate_another_persons_call_is_next_or_the_one_after() {
    let deployment = Deployment::new().await;
    let (mut pipeline, mut settings) = deployment.settings();
    (settings.jobs, pipeline.calls, pipeline.calls_per_job, pipeline.rated) = (4, 16, 8, true);
    settings.poll = Duration::from_secs(3600);
    let rate = "insert into carousel_private.provider_budget (provider, images_per_minute) values ('openai', 120)
        on conflict (provider) do update set images_per_minute = 120";
    deployment.project.admin().await.batch_execute(rate).await.unwrap();
    let _worker = deployment.start(pipeline, settings);
    let (busy, other) = (deployment.person().await, deployment.person().await);
    let long = submit(&busy, "a long one", 8).await;
    deployment.openai.reached(1).await;
    let before = deployment.openai.calls().len();
    let short = submit(&other, "a short one", 1).await;
    other.over(&short).await;
    busy.over(&long).await;
    let calls = deployment.openai.calls();
    let place = calls.iter().position(|call| call.prompt().contains("a short one")).expect("it was made");
    assert!(place <= before + 3, "it was the {place}th call, and {before} were made when it came");
}
