//! The two forms of a good answer: one JSON object, or a stream of events.
//!
//! What the service leaves open varies by the number of the call: the order of keys, null fields, `[DONE]`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::body::Piece;
use super::edit::Edit;
use super::error::ApiError;

/// A picture as it stands in an answer.
#[derive(Clone)]
pub(super) enum Payload {
    /// In `b64_json`.
    File(Bytes),
    /// In `b64_json`, though it is no base64.
    Junk(&'static str),
    /// In `url`.
    Url(String),
    /// In the member of this name, as a data address.
    Data(&'static str, Bytes),
}

/// What is known of the pictures besides themselves.
pub(super) struct About<'a> {
    /// What was asked for.
    pub(super) edit: &'a Edit,
    /// The call's number, from 1.
    pub(super) number: usize,
    /// Whether usage is told.
    pub(super) usage: bool,
}

impl About<'_> {
    /// The fields that both forms share, without braces.
    fn fields(&self) -> String {
        let Edit { background, format, quality, size, .. } = self.edit;
        inner(&json!({
            "background": background,
            "output_format": format.as_str(),
            "quality": quality,
            "size": size.to_string(),
        }))
    }

    /// `usage` without braces, or nothing.
    fn usage(&self) -> Option<String> {
        self.usage.then(|| inner(&json!({ "usage": self.edit.usage.to_json(!self.number.is_multiple_of(3)) })))
    }

    /// The JSON answer.
    pub(super) fn object(&self, payloads: Vec<Payload>) -> Vec<Piece> {
        let rest = joined([Some(self.fields()), self.usage()]);
        let mut pieces = vec![Piece::text(format!("{{\"created\":{},", now()))];
        let rest_first = self.number.is_multiple_of(2);
        if rest_first {
            pieces.push(Piece::text(format!("{rest},")));
        }
        pieces.push(Piece::text("\"data\":["));
        for (index, payload) in payloads.into_iter().enumerate() {
            pieces.push(Piece::text(if index == 0 { "{" } else { ",{" }));
            pieces.extend(self.payload(payload));
            pieces.push(Piece::text("}"));
        }
        pieces.push(Piece::text(if rest_first { "]}".to_owned() } else { format!("],{rest}}}") }));
        pieces
    }

    /// `b64_json` or `url` with its value; every third call with the other one, null.
    fn payload(&self, payload: Payload) -> Vec<Piece> {
        let nulls = self.number.is_multiple_of(3);
        let other =
            |name: &str| if nulls { format!("\",\"{name}\":null,\"revised_prompt\":null") } else { "\"".to_owned() };
        match payload {
            Payload::File(file) => {
                vec![Piece::text("\"b64_json\":\""), Piece::Base64(file), Piece::text(other("url"))]
            }
            Payload::Junk(junk) => vec![Piece::text(format!("\"b64_json\":\"{junk}{}", other("url")))],
            Payload::Data(name, file) => {
                let begin = Piece::text(format!("\"{name}\":\"data:image/png;base64,"));
                vec![begin, Piece::Base64(file), Piece::text("\"")]
            }
            Payload::Url(url) => vec![Piece::text(format!("\"url\":\"{url}{}", other("b64_json")))],
        }
    }

    /// The events of a stream: `partials`, then `payloads`, spread over `latency`. The gate is before the completion.
    pub(super) fn events(&self, partials: Vec<Payload>, payloads: Vec<Payload>, latency: Duration) -> Vec<Piece> {
        let pause = latency / (partials.len() as u32 + 1);
        let mut pieces = vec![Piece::text(": keep-alive\n\n")];
        for (index, partial) in partials.into_iter().enumerate() {
            pieces.extend([Piece::Flush, Piece::Wait(pause), Piece::text(": keep-alive\n\n")]);
            let fields = format!("\"partial_image_index\":{index},\"created_at\":{},{}", now(), self.fields());
            pieces.extend(self.event("image_edit.partial_image", fields, partial));
        }
        pieces.extend([Piece::Flush, Piece::Wait(pause), Piece::text(": keep-alive\n\n"), Piece::Flush, Piece::Gate]);
        for payload in payloads {
            let fields = joined([Some(format!("\"created_at\":{},{}", now(), self.fields())), self.usage()]);
            pieces.extend(self.event("image_edit.completed", fields, payload));
        }
        if self.number.is_multiple_of(2) {
            pieces.push(Piece::text("data: [DONE]\n\n"));
        }
        pieces
    }

    /// One event on one line of data.
    fn event(&self, name: &str, fields: String, payload: Payload) -> Vec<Piece> {
        let mut pieces = vec![Piece::text(format!("event: {name}\ndata: {{\"type\":\"{name}\","))];
        if self.number.is_multiple_of(2) {
            pieces.push(Piece::text(format!("{fields},")));
            pieces.extend(self.payload(payload));
            pieces.push(Piece::text("}\n\n"));
        } else {
            pieces.extend(self.payload(payload));
            pieces.push(Piece::text(format!(",{fields}}}\n\n")));
        }
        pieces
    }
}

/// `event: error`.
pub(super) fn error_event(error: &ApiError) -> Piece {
    let mut body = error.body();
    body["type"] = json!("error");
    Piece::text(format!("event: error\ndata: {body}\n\n"))
}

/// Seconds since 1970.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// An object without its braces.
fn inner(object: &Value) -> String {
    let text = object.to_string();
    text[1..text.len() - 1].to_owned()
}

/// Those that are there, with commas between.
fn joined(parts: [Option<String>; 2]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(",")
}
