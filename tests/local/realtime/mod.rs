//! The Realtime stand-in: what reaches which client, and what each refusal looks like.

mod broadcasts;
mod changes;
mod channels;
mod peer;
mod project;
