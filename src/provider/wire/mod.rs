//! What a long answer is read with as it comes: server-sent events, JSON documents, and the base64 in them.
//!
//! Not responsible for what an answer means: whose answer it is says a [`Shape`](document::Shape).

pub(super) mod base64;
pub(super) mod document;
pub(super) mod events;
