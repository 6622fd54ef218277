//! Phoenix messages as they travel on the websocket, in both spellings that realtime-js speaks: version 1 writes JSON objects, version 2
//! (its default) JSON arrays, and broadcasts in binary frames.

use axum::extract::ws::Message as Frame;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

/// Spelling of the messages of one connection, from the query parameter `vsn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `1.0.0`, also where the client names none.
    V1,
    /// `2.0.0`
    V2,
}

impl Version {
    /// The version that a client asks for; `None` when it is not spoken here.
    pub fn of(vsn: Option<&str>) -> Option<Self> {
        match vsn.unwrap_or("1.0.0").split('.').next() {
            Some("1") => Some(Self::V1),
            Some("2") => Some(Self::V2),
            _ => None,
        }
    }
}

/// What a message carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Any event's JSON.
    Json(Value),
    /// A client's broadcast whose content is passed on as bytes, without being read.
    Broadcast {
        /// The client's own event name.
        event: String,
        /// Whether `content` is JSON text, rather than any bytes.
        is_json: bool,
        /// The client's payload.
        content: Bytes,
    },
}

/// One message, either way.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `ref` of the join that the channel came from; clients drop messages of an earlier join by it.
    pub join_ref: Option<String>,
    /// Number of the push that this is, or is the answer to.
    pub reference: Option<String>,
    /// `realtime:` and the channel's name, or `phoenix` for the connection itself.
    pub topic: String,
    /// For example `phx_join`, `broadcast`, `postgres_changes`.
    pub event: String,
    /// The content.
    pub payload: Payload,
}

/// A frame that is no Phoenix message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a frame on the websocket is no Phoenix message")]
pub struct Malformed;

const USER_BROADCAST_PUSH: u8 = 3;
const USER_BROADCAST: u8 = 4;

impl Message {
    /// A message from the server to a channel that it was not asked for.
    pub fn push(topic: &str, event: &str, payload: Value) -> Self {
        Self {
            join_ref: None,
            reference: None,
            topic: topic.to_owned(),
            event: event.to_owned(),
            payload: Payload::Json(payload),
        }
    }

    /// The answer to this message; `status` is `ok` or `error`.
    pub fn reply(&self, status: &str, response: Value) -> Self {
        Self {
            join_ref: self.join_ref.clone(),
            reference: self.reference.clone(),
            ..Self::push(&self.topic, "phx_reply", json!({ "status": status, "response": response }))
        }
    }

    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is not JSON of this version's shape.
    pub fn from_text(text: &str, version: Version) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_str(text).map_err(|_| Malformed)?;
        let part = |index: usize, name: &str| match version {
            Version::V1 => value.get(name),
            Version::V2 => value.get(index),
        };
        let string = |index, name| part(index, name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            join_ref: string(0, "join_ref"),
            reference: string(1, "ref"),
            topic: string(2, "topic").ok_or(Malformed)?,
            event: string(3, "event").ok_or(Malformed)?,
            payload: Payload::Json(part(4, "payload").cloned().ok_or(Malformed)?),
        })
    }

    /// Reads a binary frame: a broadcast that a client of version 2 sends.
    ///
    /// # Errors
    /// When it is of another kind or cut short.
    pub fn from_binary(frame: &Bytes) -> Result<Self, Malformed> {
        let header = frame.get(..7).ok_or(Malformed)?;
        if header[0] != USER_BROADCAST_PUSH {
            return Err(Malformed);
        }
        let mut offset = header.len();
        let mut text = |length: u8| {
            let bytes = frame.get(offset..offset + usize::from(length)).ok_or(Malformed)?;
            offset += usize::from(length);
            str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed)
        };
        let (join_ref, reference, topic) = (text(header[1])?, text(header[2])?, text(header[3])?);
        let (event, _metadata) = (text(header[4])?, text(header[5])?);
        let payload = Payload::Broadcast { event, is_json: header[6] == 1, content: frame.slice(offset..) };
        let given = |text: String| (!text.is_empty()).then_some(text);
        let (join_ref, reference) = (given(join_ref), given(reference));
        Ok(Self { join_ref, reference, topic, event: "broadcast".to_owned(), payload })
    }

    /// The frame to send. `None` when this version has no way to say it: bytes of a broadcast in version 1, and names over 255 bytes in
    /// version 2.
    pub fn to_frame(&self, version: Version) -> Option<Frame> {
        let payload = match (&self.payload, version) {
            (Payload::Json(payload), _) => payload.clone(),
            (Payload::Broadcast { event, is_json, content }, Version::V2) => {
                return user_broadcast(&self.topic, event, *is_json, content).map(Frame::Binary);
            }
            (Payload::Broadcast { event, is_json, content }, Version::V1) => {
                let content = is_json.then(|| serde_json::from_slice::<Value>(content).ok()).flatten()?;
                json!({ "type": "broadcast", "event": event, "payload": content })
            }
        };
        let Self { join_ref, reference, topic, event, .. } = self;
        let text = match version {
            Version::V1 => json!({
                "join_ref": join_ref, "ref": reference, "topic": topic, "event": event, "payload": payload
            }),
            Version::V2 => json!([join_ref, reference, topic, event, payload]),
        };
        Some(Frame::text(text.to_string()))
    }
}

fn user_broadcast(topic: &str, event: &str, is_json: bool, content: &[u8]) -> Option<Bytes> {
    let length = |text: &str| u8::try_from(text.len()).ok();
    let mut frame = BytesMut::with_capacity(5 + topic.len() + event.len() + content.len());
    frame.put_slice(&[USER_BROADCAST, length(topic)?, length(event)?, 0, u8::from(is_json)]);
    frame.put_slice(topic.as_bytes());
    frame.put_slice(event.as_bytes());
    frame.put_slice(content);
    Some(frame.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(frame: Option<Frame>) -> Value {
        match frame {
            Some(Frame::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text frame: {other:?}"),
        }
    }

    #[test]
    fn both_versions_say_the_same_join() {
        let first = r#"{"topic":"realtime:a","event":"phx_join","payload":{"config":{}},"ref":"1","join_ref":"1"}"#;
        let second = r#"["1","1","realtime:a","phx_join",{"config":{}}]"#;
        let message = Message::from_text(first, Version::V1).unwrap();
        assert_eq!(message, Message::from_text(second, Version::V2).unwrap());
        let reply = message.reply("ok", json!({}));
        assert_eq!(
            text_of(reply.to_frame(Version::V2)),
            json!(["1", "1", "realtime:a", "phx_reply", { "status": "ok", "response": {} }])
        );
        assert_eq!(text_of(reply.to_frame(Version::V1))["payload"]["status"], "ok");
    }

    #[test]
    fn text_that_is_no_message_is_refused() {
        for text in ["", "{}", "[]", r#"["1","1","realtime:a"]"#, r#"{"topic":"realtime:a"}"#] {
            assert_eq!(Message::from_text(text, Version::V1), Err(Malformed), "{text}");
            assert_eq!(Message::from_text(text, Version::V2), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn a_binary_broadcast_arrives_as_it_was_sent() {
        let pushed = [&[3, 1, 1, 10, 3, 0, 1][..], b"12realtime:apos", br#"{"x":1}"#].concat();
        let message = Message::from_binary(&Bytes::from(pushed)).unwrap();
        assert_eq!((message.join_ref.as_deref(), message.reference.as_deref()), (Some("1"), Some("2")));
        assert_eq!((message.topic.as_str(), message.event.as_str()), ("realtime:a", "broadcast"));
        let expected = [&[4, 10, 3, 0, 1][..], b"realtime:apos", br#"{"x":1}"#].concat();
        assert_eq!(message.to_frame(Version::V2), Some(Frame::Binary(expected.into())));
        let in_json = text_of(message.to_frame(Version::V1));
        assert_eq!(in_json["payload"], json!({ "type": "broadcast", "event": "pos", "payload": { "x": 1 } }));
    }

    #[test]
    fn bytes_can_not_be_told_to_a_client_of_version_1() {
        let pushed = Bytes::from([&[3, 0, 0, 10, 3, 0, 0][..], b"realtime:apos", &[0, 255]].concat());
        let message = Message::from_binary(&pushed).unwrap();
        assert_eq!(message.to_frame(Version::V1), None);
        assert!(message.to_frame(Version::V2).is_some());
    }

    #[test]
    fn a_binary_frame_that_is_cut_short_or_of_another_kind_is_refused() {
        assert_eq!(Message::from_binary(&Bytes::from_static(&[3, 9, 0, 0, 0, 0, 1, b'x'])), Err(Malformed));
        assert_eq!(Message::from_binary(&Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0])), Err(Malformed));
        assert_eq!(Message::from_binary(&Bytes::from_static(&[3])), Err(Malformed));
    }
}
