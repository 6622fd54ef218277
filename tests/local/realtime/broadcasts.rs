//! Broadcasts and presence: client to client, over HTTP, from the database; public and private.

use carousel::supabase::{Error, Kind};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::peer::Peer;
use super::project::{ANNA, BERT, PATIENCE, PUBLISHABLE, Project, next};

fn message(event: &str, payload: Value) -> Value {
    json!({ "type": "broadcast", "event": event, "payload": payload })
}

fn anna_s_room() -> String {
    format!("realtime:user:{ANNA}")
}

#[tokio::test]
async fn a_broadcast_reaches_the_others_and_its_sender_only_if_it_wants() {
    let project = Project::new("broadcasts").await;
    let (mut quiet, mut loud) = (Peer::connect(&project).await, Peer::connect(&project).await);
    quiet.join("realtime:room", json!({}), None).await;
    let config = json!({ "broadcast": { "self": true, "ack": true } });
    loud.join("realtime:room", config, Some(&project.token(ANNA))).await;
    quiet.send("realtime:room", "broadcast", message("one", json!({ "x": 1 }))).await;
    assert_eq!(loud.next("broadcast").await, message("one", json!({ "x": 1 })));
    loud.send("realtime:room", "broadcast", message("two", json!({}))).await;
    assert_eq!(loud.next("broadcast").await["event"], "two");
    assert_eq!(loud.next("phx_reply").await, json!({ "status": "ok", "response": {} }));
    assert_eq!(quiet.next("broadcast").await["event"], "two", "its own message did not come back before");
}

#[tokio::test]
async fn a_binary_broadcast_is_passed_on_byte_for_byte() {
    let project = Project::new("binary").await;
    let (mut sender, mut receiver) = (Peer::connect(&project).await, Peer::connect(&project).await);
    sender.join("realtime:room", json!({}), None).await;
    receiver.join("realtime:room", json!({}), None).await;
    let content = [0, 255, 128, 7];
    sender.send_bytes([&[3, 0, 1, 13, 3, 0, 0][..], b"9realtime:roombin", &content].concat()).await;
    assert_eq!(receiver.next_bytes().await, [&[4, 13, 3, 0, 0][..], b"realtime:roombin", &content].concat());
}

#[tokio::test]
async fn a_private_channel_lets_in_whom_a_policy_lets_in() {
    let project = Project::new("private_join").await;
    let mut peer = Peer::connect(&project).await;
    let private = json!({ "private": true });
    let refused = format!("Unauthorized: You do not have permissions to read from this Channel topic: user:{ANNA}");
    for token in [None, Some(project.token(BERT))] {
        let answer = peer.join(&anna_s_room(), private.clone(), token.as_deref()).await;
        assert_eq!(answer, json!({ "status": "error", "response": { "reason": refused } }));
    }
    assert_eq!(peer.join(&anna_s_room(), private, Some(&project.token(ANNA))).await["status"], "ok");
}

#[tokio::test]
async fn the_private_and_the_public_channel_of_one_name_are_two() {
    let project = Project::new("two_rooms").await;
    let (mut private, mut public) = (Peer::connect(&project).await, Peer::connect(&project).await);
    private.join(&anna_s_room(), json!({ "private": true }), Some(&project.token(ANNA))).await;
    public.join(&anna_s_room(), json!({ "broadcast": { "self": true } }), None).await;
    public.send(&anna_s_room(), "broadcast", message("public", json!({}))).await;
    assert_eq!(public.next("broadcast").await["event"], "public");
    let mut other = Peer::connect(&project).await;
    other.join(&anna_s_room(), json!({ "private": true }), Some(&project.token(ANNA))).await;
    other.send(&anna_s_room(), "broadcast", message("private", json!({}))).await;
    assert_eq!(private.next("broadcast").await["event"], "private");
}

#[tokio::test]
async fn who_may_only_listen_to_a_private_channel_is_not_heard() {
    let project = Project::new("private_send").await;
    project
        .sql(&format!("create policy more on realtime.messages for select using (realtime.topic() = 'user:{ANNA}')"))
        .await;
    let (mut anna, mut bert) = (Peer::connect(&project).await, Peer::connect(&project).await);
    let config = json!({ "private": true, "broadcast": { "self": true, "ack": true } });
    anna.join(&anna_s_room(), config.clone(), Some(&project.token(ANNA))).await;
    bert.join(&anna_s_room(), config, Some(&project.token(BERT))).await;
    bert.send(&anna_s_room(), "broadcast", message("refused", json!({}))).await;
    bert.send("phoenix", "heartbeat", json!({})).await;
    bert.next("phx_reply").await;
    anna.send(&anna_s_room(), "broadcast", message("allowed", json!({}))).await;
    assert_eq!(anna.next("broadcast").await["event"], "allowed");
    assert_eq!(bert.next("broadcast").await["event"], "allowed", "no acknowledgement of the refused one came before");
}

#[tokio::test]
async fn the_database_broadcasts_when_its_transaction_commits() {
    let project = Project::new("database").await;
    let (mut anna, mut anyone) = (Peer::connect(&project).await, Peer::connect(&project).await);
    let config = json!({ "private": true, "broadcast": { "replication_ready": true } });
    anna.join(&anna_s_room(), config, Some(&project.token(ANNA))).await;
    assert_eq!(anna.next("system").await["message"], "Replication connection established");
    anyone.join("realtime:news", json!({}), None).await;
    project.sql(&format!("begin; select realtime.send('{{}}', 'undone', 'user:{ANNA}'); rollback")).await;
    project.sql(&format!("select realtime.send('{{\"n\": 1}}', 'done', 'user:{ANNA}')")).await;
    project.sql("select realtime.send('{\"id\": \"mine\"}', 'public', 'news', false)").await;
    let told = anna.next("broadcast").await;
    assert_eq!((&told["event"], &told["payload"]["n"]), (&json!("done"), &json!(1)));
    assert_eq!((&told["type"], &told["meta"]["id"]), (&json!("broadcast"), &told["payload"]["id"]));
    assert_eq!(anyone.next("broadcast").await["payload"], json!({ "id": "mine" }));
}

#[tokio::test]
async fn a_subscription_to_a_persons_channel_hears_of_rows_and_ends_when_the_channel_does() {
    let project = Project::new("person").await;
    let caller = project.caller(&project.token(ANNA)).unwrap();
    let open = || caller.changes_of_person(ANNA.parse().unwrap());
    let refused = open().await.err().expect("there is no such channel yet");
    assert!(matches!(refused, Error::Forbidden { .. }), "{refused:?}");
    let policy = "create policy own on realtime.messages for select to authenticated
        using ((select realtime.topic()) = 'carousel:' || (select auth.uid()::text))";
    project.sql(policy).await;
    let mut anna = open().await.unwrap();
    let (job, image) = (ANNA, BERT);
    let send = async |kind: &str, rows: Value| {
        let rows = json!({ "rows": rows });
        project.sql(&format!("select realtime.send('{rows}', '{kind}', 'carousel:{ANNA}')")).await;
    };
    send("slide", json!([{ "id": image }])).await;
    send("job", json!([{ "id": job, "status": "processing" }])).await;
    send("image", json!([{ "id": image, "job_id": job, "deleted": true }, { "id": image, "job_id": BERT }])).await;
    let (first, gone, other) = (next(&mut anna).await, next(&mut anna).await, next(&mut anna).await);
    assert_eq!(
        (first.kind, first.table.as_str(), &first.record["status"]),
        (Kind::Update, "image_generation_jobs", &json!("processing"))
    );
    assert_eq!(
        (gone.kind, gone.table.as_str(), &gone.old_record["id"]),
        (Kind::Delete, "generated_carousel_images", &json!(image))
    );
    let job = job.parse().unwrap();
    assert_eq!([&first, &gone, &other].map(|event| event.is_of(job)), [true, true, false]);
    project.realtime.close_channels("Too many messages per second");
    assert!(timeout(PATIENCE, anna.next()).await.expect("it ends").is_none());
    open().await.expect("it can be joined anew");
}

#[tokio::test]
async fn a_broadcast_that_the_database_may_not_write_fails_no_transaction() {
    let project = Project::new("warned").await;
    project.sql("begin; set local role authenticated; select realtime.send('{}', 'a', 'user:nobody'); commit").await;
    let count = project.admin.query_one("select count(*) from realtime.messages", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn broadcasts_over_http_arrive_or_are_refused_by_status() {
    let project = Project::new("http").await;
    let (mut anna, mut anyone) = (Peer::connect(&project).await, Peer::connect(&project).await);
    anna.join(&anna_s_room(), json!({ "private": true }), Some(&project.token(ANNA))).await;
    anyone.join("realtime:room", json!({}), None).await;
    let client = reqwest::Client::new();
    let post = async |path: &str, user: Option<&str>, key: &str, body: Value| {
        let request = client.post(format!("{}/realtime/v1/api/broadcast{path}", project.url)).header("apikey", key);
        let request = if let Some(user) = user { request.bearer_auth(project.token(user)) } else { request };
        request.json(&body).send().await.unwrap().status()
    };
    let private = format!("/user:{ANNA}/events/one?private=true");
    assert_eq!(post(&private, Some(BERT), PUBLISHABLE, json!({ "n": 1 })).await, StatusCode::FORBIDDEN);
    assert_eq!(post(&private, Some(ANNA), PUBLISHABLE, json!({ "n": 2 })).await, StatusCode::ACCEPTED);
    let one = [&[4, 50, 3, 0, 1][..], anna_s_room().as_bytes(), b"one", br#"{"n":2}"#].concat();
    assert_eq!(anna.next_bytes().await, one);

    let many = |topic: &str| json!({ "messages": [{ "topic": topic, "event": "many", "payload": { "n": 3 } }] });
    assert_eq!(post("", None, PUBLISHABLE, many("room")).await, StatusCode::ACCEPTED);
    assert_eq!(anyone.next("broadcast").await, message("many", json!({ "n": 3 })));
    assert_eq!(post("", None, "sb_publishable_other", many("room")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("", None, PUBLISHABLE, many("")).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(post("", None, PUBLISHABLE, json!({})).await, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn presence_is_told_to_everyone_and_ends_with_the_connection() {
    let project = Project::new("presence").await;
    let (mut one, mut other) = (Peer::connect(&project).await, Peer::connect(&project).await);
    let config = |key: &str| json!({ "presence": { "key": key, "enabled": true } });
    one.join("realtime:room", config("one"), None).await;
    assert_eq!(one.next("presence_state").await, json!({}));
    one.send("realtime:room", "presence", json!({ "event": "track", "payload": { "n": 1 } })).await;
    assert_eq!(one.next("presence_diff").await["joins"]["one"]["metas"][0]["n"], 1);
    assert_eq!(one.next("phx_reply").await["status"], "ok");
    other.join("realtime:room", config("other"), None).await;
    assert_eq!(other.next("presence_state").await["one"]["metas"][0]["n"], 1);
    drop(one);
    let left = other.next("presence_diff").await;
    assert_eq!((&left["leaves"]["one"]["metas"][0]["n"], &left["joins"]), (&json!(1), &json!({})));
}
