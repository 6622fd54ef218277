//! A Phoenix client that shows every message, in version 2 of the protocol.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::project::{PATIENCE, PUBLISHABLE, Project};

pub struct Peer {
    websocket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sent: usize,
}

impl Peer {
    pub async fn connect(project: &Project) -> Self {
        let url = project.url.replace("http", "ws");
        let (websocket, _) =
            connect_async(format!("{url}/realtime/v1/websocket?apikey={PUBLISHABLE}&vsn=2.0.0")).await.unwrap();
        Self { websocket, sent: 0 }
    }

    /// Sends a message and gives its number.
    pub async fn send(&mut self, topic: &str, event: &str, payload: Value) -> String {
        self.sent += 1;
        let reference = self.sent.to_string();
        let message = json!([null, reference, topic, event, payload]);
        self.websocket.send(Message::text(message.to_string())).await.unwrap();
        reference
    }

    /// Joins a channel and gives the answer: `{"status": ..., "response": ...}`.
    pub async fn join(&mut self, topic: &str, config: Value, token: Option<&str>) -> Value {
        let mut payload = json!({ "config": config });
        if let Some(token) = token {
            payload["access_token"] = token.into();
        }
        self.send(topic, "phx_join", payload).await;
        self.next("phx_reply").await
    }

    /// The payload of the next message, which must be this event.
    pub async fn next(&mut self, event: &str) -> Value {
        let frame = timeout(PATIENCE, self.websocket.next()).await.unwrap_or_else(|_| panic!("no {event} comes"));
        let Message::Text(text) = frame.expect("the connection stays").unwrap() else { panic!("{event} is no text") };
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message[3], event, "{message}");
        message[4].clone()
    }

    /// The next binary frame.
    pub async fn next_bytes(&mut self) -> Vec<u8> {
        let frame = timeout(PATIENCE, self.websocket.next()).await.expect("a frame comes");
        frame.expect("the connection stays").unwrap().into_data().to_vec()
    }

    pub async fn send_bytes(&mut self, frame: Vec<u8>) {
        self.websocket.send(Message::binary(frame)).await.unwrap();
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        while let Some(Ok(_)) = timeout(PATIENCE, self.websocket.next()).await.expect("the connection is closed") {}
    }
}
