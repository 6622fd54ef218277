//! The HTTP API, asked as its clients ask it. Every answer is held to the description that the API serves of itself.
#![cfg(feature = "local")]

#[path = "../deployment/mod.rs"]
mod deployment;
#[path = "../project/mod.rs"]
mod project;

mod bounds;
mod door;
mod events;
mod hostile;
mod jobs;
mod operation;
mod picture;
mod schemathesis;
mod templates;
mod uploads;
