//! The HTTP API, asked as its clients ask it. Every answer is held to the description that the API serves of itself.
#![cfg(feature = "local")]

mod bounds;
mod client;
mod door;
mod events;
mod hostile;
mod jobs;
mod operation;
mod picture;
mod schemathesis;
mod templates;
mod uploads;

use carousel_support::deployment;
