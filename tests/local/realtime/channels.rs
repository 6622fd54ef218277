//! Joining, leaving, tokens and the connection itself.

use serde_json::json;

use super::peer::Peer;
use super::project::{ANNA, BERT, Project};

fn all_notes() -> serde_json::Value {
    json!({ "postgres_changes": [{ "event": "*", "schema": "public", "table": "notes" }] })
}

#[tokio::test]
async fn a_join_gives_each_binding_back_as_it_was_sent_with_a_number() {
    let project = Project::new("joins").await;
    let mut peer = Peer::connect(&project).await;
    let binding = json!({ "event": "UPDATE", "schema": "public", "table": "notes", "filter": "id=eq.1" });
    let config = json!({ "postgres_changes": [binding, { "event": "*", "schema": "public" }] });
    let answer = peer.join("realtime:any", config, Some(&project.token(ANNA))).await;
    assert_eq!(answer["status"], "ok");
    let mut first = answer["response"]["postgres_changes"][0].clone();
    let (id, other) = (first["id"].take(), &answer["response"]["postgres_changes"][1]["id"]);
    first.as_object_mut().unwrap().remove("id");
    assert_eq!(first, binding);
    assert!(id.as_u64().is_some_and(|id| id > 0) && id != *other, "{answer}");
    let system = json!({
        "extension": "postgres_changes", "status": "ok", "message": "Subscribed to PostgreSQL", "channel": "any"
    });
    assert_eq!(peer.next("system").await, system);
}

#[tokio::test]
async fn a_topic_that_is_none_is_refused() {
    let project = Project::new("topics").await;
    let mut peer = Peer::connect(&project).await;
    for (topic, reason) in
        [("other:any", "unmatched topic"), ("realtime:", "TopicNameRequired: You must provide a topic name")]
    {
        let answer = peer.join(topic, json!({}), None).await;
        assert_eq!(answer, json!({ "status": "error", "response": { "reason": reason } }));
    }
    peer.send("realtime:never-joined", "broadcast", json!({})).await;
    assert_eq!(peer.next("phx_reply").await["response"]["reason"], "unmatched topic");
}

#[tokio::test]
async fn heartbeats_are_answered_and_a_left_channel_is_closed() {
    let project = Project::new("heartbeats").await;
    let mut peer = Peer::connect(&project).await;
    peer.send("phoenix", "heartbeat", json!({})).await;
    assert_eq!(peer.next("phx_reply").await, json!({ "status": "ok", "response": {} }));
    peer.join("realtime:any", json!({}), None).await;
    peer.send("realtime:any", "phx_leave", json!({})).await;
    assert_eq!(peer.next("phx_reply").await["status"], "ok");
    peer.next("phx_close").await;
    peer.send("realtime:any", "broadcast", json!({})).await;
    assert_eq!(peer.next("phx_reply").await["response"]["reason"], "unmatched topic");
}

#[tokio::test]
async fn a_wrong_key_opens_no_websocket() {
    let project = Project::new("keys").await;
    for (query, status) in
        [("apikey=sb_publishable_other", 401), ("vsn=2.0.0", 401), ("apikey=sb_publishable_test&vsn=9.0.0", 400)]
    {
        let url = format!("{}/realtime/v1/websocket?{query}", project.url.replace("http", "ws"));
        match tokio_tungstenite::connect_async(url).await.unwrap_err() {
            tokio_tungstenite::tungstenite::Error::Http(response) => assert_eq!(response.status(), status, "{query}"),
            error => panic!("{query}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_frame_that_is_no_message_ends_the_connection() {
    let project = Project::new("frames").await;
    let mut peer = Peer::connect(&project).await;
    peer.send_bytes(vec![3, 255]).await;
    peer.closed().await;
}

#[tokio::test]
async fn tokens_that_are_expired_forged_or_none_are_refused_at_the_join() {
    let project = Project::new("tokens").await;
    let mut peer = Peer::connect(&project).await;
    let good = project.token(ANNA);
    let (content, _signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{content}.{}", "A".repeat(86));
    for (token, reason) in [
        (project.token_for(ANNA, -60), "InvalidJWTToken: Token has expired 6"),
        (forged, "JwtSignatureError: Failed to validate JWT signature"),
        ("nonsense".to_owned(), "MalformedJWT: The token provided is not a valid JWT"),
    ] {
        let answer = peer.join("realtime:any", json!({}), Some(&token)).await;
        let told = answer["response"]["reason"].as_str().unwrap();
        assert!(answer["status"] == "error" && told.starts_with(reason), "{answer}");
    }
    assert_eq!(peer.join("realtime:any", json!({}), Some(&good)).await["status"], "ok");
}

#[tokio::test]
async fn a_channel_ends_with_its_token_unless_it_gets_another() {
    let project = Project::new("expiry").await;
    let mut peer = Peer::connect(&project).await;
    peer.join("realtime:renewed", json!({}), Some(&project.token_for(ANNA, 2))).await;
    peer.send("realtime:renewed", "access_token", json!({ "access_token": project.token(ANNA) })).await;
    peer.join("realtime:ending", json!({}), Some(&project.token_for(ANNA, 2))).await;
    let told = peer.next("system").await;
    assert_eq!((&told["status"], &told["channel"]), (&json!("error"), &json!("ending")));
    assert!(told["message"].as_str().is_some_and(|words| words.starts_with("Token has expired ")), "{told}");
    peer.next("phx_close").await;
    // The renewed one, which would have ended earlier, is still there.
    peer.send("realtime:renewed", "presence", json!({ "event": "untrack" })).await;
    assert_eq!(peer.next("phx_reply").await["status"], "ok");
}

#[tokio::test]
async fn another_users_token_changes_what_is_seen() {
    let project = Project::new("renewal").await;
    let mut peer = Peer::connect(&project).await;
    peer.join("realtime:any", all_notes(), Some(&project.token(ANNA))).await;
    peer.next("system").await;
    peer.send("realtime:any", "access_token", json!({ "access_token": project.token(BERT) })).await;
    assert_eq!(peer.next("system").await["message"], "Subscribed to PostgreSQL");
    project.sql(&format!("insert into notes (id, owner) values (1, '{ANNA}'), (2, '{BERT}')")).await;
    assert_eq!(peer.next("postgres_changes").await["data"]["record"]["id"], 2);
}

#[tokio::test]
async fn a_renewal_that_is_refused_closes_the_channel() {
    let project = Project::new("refused_renewal").await;
    let mut peer = Peer::connect(&project).await;
    let topic = format!("realtime:user:{ANNA}");
    peer.join(&topic, json!({ "private": true }), Some(&project.token(ANNA))).await;
    peer.send(&topic, "access_token", json!({ "access_token": project.token(BERT) })).await;
    let words = format!("You do not have permissions to read from this Channel topic: user:{ANNA}");
    assert_eq!(peer.next("system").await["message"], words);
    peer.next("phx_close").await;
}

#[tokio::test]
async fn channels_that_the_server_closes_are_closed_for_good_and_can_be_joined_anew() {
    let project = Project::new("closed_channels").await;
    let mut peer = Peer::connect(&project).await;
    peer.join("realtime:any", all_notes(), Some(&project.token(ANNA))).await;
    peer.next("system").await;
    project.realtime.close_channels("Too many messages per second");
    let told = peer.next("system").await;
    assert_eq!((&told["status"], &told["message"]), (&json!("error"), &json!("Too many messages per second")));
    peer.next("phx_close").await;
    project.sql(&format!("insert into notes (id, owner) values (1, '{ANNA}')")).await;
    assert_eq!(peer.join("realtime:any", all_notes(), Some(&project.token(ANNA))).await["status"], "ok");
    assert_eq!(peer.next("system").await["status"], "ok", "the websocket has stayed open, and nothing came before");
}
