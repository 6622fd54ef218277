use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::door::{Door, GENERATE, JOBS};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    name: String,
    id: String,
    pub data: Value,
}

/// A stream of events, as a browser reads it.
pub struct Events {
    pieces: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Events {
    pub async fn open(door: &Door, job: &str, token: &str, last: Option<&str>) -> Self {
        let mut request = door.get(&format!("{JOBS}/{job}/events"), token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "text/event-stream")
        );
        assert!(!answer.headers().contains_key("content-encoding"), "a compressed event waits for others");
        Self { pieces: answer.bytes_stream().boxed(), text: String::new() }
    }

    /// The next event; nothing when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let mut event = Event::default();
                for (field, value) in block.lines().filter_map(|line| line.split_once(": ")) {
                    match field {
                        "event" => event.name = value.to_owned(),
                        "id" => event.id = value.to_owned(),
                        "data" => event.data = serde_json::from_str(value).unwrap(),
                        _ => {}
                    }
                }
                if !event.name.is_empty() {
                    return Some(event);
                }
            }
            let piece = tokio::time::timeout(PATIENCE, self.pieces.next()).await.expect("something comes")?;
            self.text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    }

    async fn all(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

async fn submit(door: &Door, anna: &crate::deployment::Person<'_>) -> String {
    let wanted = json!({ "prompt": "a cup", "source_paths": [anna.photo().await], "slide_prompts": ["one", "two"] });
    let made = door.send(door.post(GENERATE, &anna.token).json(&wanted)).await;
    made.body["id"].as_str().unwrap().to_owned()
}

/// A row without these columns.
fn without(mut row: Value, columns: &[&str]) -> Value {
    for column in columns {
        row.as_object_mut().unwrap().remove(*column).unwrap();
    }
    row
}

#[tokio::test]
async fn a_job_is_told_as_it_goes_and_the_stream_ends_with_it() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let job = submit(&door, &anna).await;
    let mut events = Events::open(&door, &job, &anna.token, None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["status"]), ("job", &json!("pending")));
    let worker = door.deployment.worker();
    let told = events.all().await;
    worker.drain().await;
    let last = told.last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.data["status"], &last.data["progress"]),
        ("job", &json!("completed"), &json!(100))
    );
    // Every row as it is at the end was told, but for its texts, the images before the job that counts them.
    for image in anna.images(&job).await {
        let told = told.iter().rfind(|event| event.data["id"] == image["id"]).unwrap();
        assert_eq!((told.name.as_str(), &told.data), ("image", &without(image.clone(), &["prompt"])));
    }
    let texts = ["prompt", "slide_prompts", "source_paths", "style", "variables"];
    assert_eq!(last.data, without(anna.job(&job).await, &texts));
}

#[tokio::test]
async fn whoever_comes_back_hears_what_is_different_and_no_more() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let job = submit(&door, &anna).await;
    let first = Events::open(&door, &job, &anna.token, None).await.next().await.unwrap();
    let worker = door.deployment.worker();
    anna.over(&job).await;
    worker.drain().await;

    // The connection is gone; what happened meanwhile is told when it is opened again, each row once.
    let missed = Events::open(&door, &job, &anna.token, Some(&first.id)).await.all().await;
    let names: Vec<&str> = missed.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["image", "image", "job"]);
    let rest = Events::open(&door, &job, &anna.token, Some(&missed[0].id)).await.all().await;
    assert_eq!(rest, missed[1..]);
    let request = door.get(&format!("{JOBS}/{job}/events"), &anna.token).header("last-event-id", &missed[2].id);
    assert_eq!(door.send(request).await.status, 204);
    // An id that is none is one that saw nothing.
    for hostile in ["x", "AAAA", "../../etc"] {
        let told = Events::open(&door, &job, &anna.token, Some(hostile)).await.all().await;
        let rows = |events: &[Event]| events.iter().map(|event| event.data.clone()).collect::<Vec<_>>();
        assert_eq!(rows(&told), rows(&missed), "{hostile}");
    }
}

#[tokio::test]
async fn a_deleted_job_ends_its_stream() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let job = submit(&door, &anna).await;
    let mut events = Events::open(&door, &job, &anna.token, None).await;
    events.next().await.unwrap();
    door.send(door.request(reqwest::Method::DELETE, &format!("{JOBS}/{job}")).bearer_auth(&anna.token)).await;
    let rest = events.all().await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].name, "gone");
}

#[tokio::test]
async fn a_stream_goes_on_without_realtime() {
    let door = Door::new().await;
    let anna = door.deployment.person().await;
    let job = submit(&door, &anna).await;
    // Outside the publication, no change is told.
    let owner = &door.deployment.project.owner;
    owner
        .batch_execute(
            "alter publication supabase_realtime drop table public.image_generation_jobs, public.generated_carousel_images",
        )
        .await
        .unwrap();
    let mut events = Events::open(&door, &job, &anna.token, None).await;
    events.next().await.unwrap();
    let (status, _) = anna
        .rest("PATCH", &format!("image_generation_jobs?id=eq.{job}"), Some(&json!({ "cancel_requested_at": "now" })))
        .await;
    assert_eq!(status, 200);
    assert_eq!(events.all().await.last().unwrap().data["status"], "cancelled");
}

#[tokio::test]
async fn a_stream_ends_when_the_server_does_and_can_not_be_opened_for_others() {
    let door = Door::new().await;
    let (anna, bert) = (door.deployment.person().await, door.deployment.person().await);
    let job = submit(&door, &anna).await;
    door.refused(door.get(&format!("{JOBS}/{job}/events"), &bert.token), 404, "not_found").await;
    door.refused(door.get(&format!("{JOBS}/{}/events", Uuid::new_v4()), &anna.token), 404, "not_found").await;
    let mut events = Events::open(&door, &job, &anna.token, None).await;
    events.next().await.unwrap();
    door.end.cancel();
    assert_eq!(events.all().await, []);
    tokio::time::timeout(PATIENCE, door.serving).await.expect("the server ends").unwrap();
}
