//! The HTTP side: opening the websocket, and broadcasts without one.

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::hub::Room;
use super::policy::{self, Extension};
use super::wire::{Payload, Version};
use super::{Realtime, socket};
use crate::caller::{Caller, Refused};

/// 3 MB, what a hosted project takes in one message.
const MAX_BODY: usize = 3_000_000;

/// The routes, relative to `/realtime/v1`.
pub fn router(realtime: Realtime) -> Router {
    Router::new()
        .route("/websocket", get(websocket))
        .route("/api/broadcast", post(broadcast_many))
        .route("/api/broadcast/{topic}/events/{event}", post(broadcast_one))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(realtime)
}

#[derive(Deserialize)]
struct Opening {
    apikey: Option<String>,
    vsn: Option<String>,
}

async fn websocket(
    State(Realtime(inner)): State<Realtime>,
    Query(opening): Query<Opening>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let header = ["apikey", "x-api-key"].into_iter().find_map(|name| headers.get(name)?.to_str().ok());
    let caller = match inner.keys.resolve(opening.apikey.as_deref().or(header), None) {
        Ok(caller) => caller,
        Err(refused) => return refusal(&refused),
    };
    let Some(version) = Version::of(opening.vsn.as_deref()) else {
        return message(StatusCode::BAD_REQUEST, "the serializer version is not supported: use vsn=1.0.0 or vsn=2.0.0");
    };
    upgrade.on_upgrade(move |websocket| socket::serve(inner, websocket, version, caller))
}

async fn broadcast_many(State(realtime): State<Realtime>, headers: HeaderMap, body: Bytes) -> Response {
    let caller = match realtime.0.keys.caller(&headers) {
        Ok(caller) => caller,
        Err(refused) => return refusal(&refused),
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(messages) = body["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "errors": { "messages": ["can't be blank"] } })))
            .into_response();
    };
    let missing = |message: &Value| {
        let is_missing = |name: &&str| message[*name].is_null() || message[*name] == "";
        let names = ["topic", "payload", "event"].into_iter().filter(is_missing);
        Value::Object(Map::from_iter(names.map(|name| (name.to_owned(), json!(["can't be blank"])))))
    };
    let errors: Vec<Value> = messages.iter().map(missing).collect();
    if errors.iter().any(|error| *error != json!({})) {
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "errors": { "messages": errors } }))).into_response();
    }
    for message in messages {
        let room = Room {
            name: message["topic"].as_str().unwrap_or_default().to_owned(),
            is_private: message["private"] == true,
        };
        let payload = json!({ "type": "broadcast", "event": message["event"], "payload": message["payload"] });
        // What policies refuse is passed over in silence here, as by the real server.
        if let Err(error) = send(&realtime, &caller, room, Payload::Json(payload)).await {
            return unreachable(&error);
        }
    }
    StatusCode::ACCEPTED.into_response()
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    private: String,
}

async fn broadcast_one(
    State(realtime): State<Realtime>,
    Path((topic, event)): Path<(String, String)>,
    Query(One { private }): Query<One>,
    headers: HeaderMap,
    content: Bytes,
) -> Response {
    let caller = match realtime.0.keys.caller(&headers) {
        Ok(caller) => caller,
        Err(refused) => return refusal(&refused),
    };
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = match media_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => true,
        "application/octet-stream" => false,
        _ => return message(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json or application/octet-stream"),
    };
    if is_json && serde_json::from_slice::<Value>(&content).is_err() {
        return message(StatusCode::BAD_REQUEST, "the body is not JSON");
    }
    let room = Room { name: topic, is_private: private == "true" };
    match send(&realtime, &caller, room, Payload::Broadcast { event, is_json, content }).await {
        Ok(true) => StatusCode::ACCEPTED.into_response(),
        Ok(false) => message(StatusCode::FORBIDDEN, "Unauthorized"),
        Err(error) => unreachable(&error),
    }
}

/// Sends a broadcast; `false` when the policies of a private channel refuse it.
async fn send(Realtime(inner): &Realtime, caller: &Caller, room: Room, payload: Payload) -> anyhow::Result<bool> {
    if room.is_private && !policy::may_write(&inner.pool, caller, &room.name, Extension::Broadcast).await? {
        return Ok(false);
    }
    inner.hub.broadcast(&room, payload, None);
    Ok(true)
}

fn message(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "message": words }))).into_response()
}

fn refusal(refused: &Refused) -> Response {
    message(refused.status, &refused.message)
}

fn unreachable(error: &anyhow::Error) -> Response {
    tracing::warn!(error = %format!("{error:#}"), "the policies of a private channel can't be asked");
    message(StatusCode::UNPROCESSABLE_ENTITY, "Tenant database unavailable")
}
