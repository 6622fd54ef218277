//! Every option of the program: documented, read from flags or environment, and checked once, at the start. One file a group.
//!
//! Each group is split into the settings of one hand, so that no part of the program sees a value that isn't its own.

mod certificates;
mod connection_string;
mod database;
mod deployment;
mod http;
mod provider;
mod supabase;
mod worker;

use secrecy::{ExposeSecret, SecretString};

pub use database::Database;
pub use deployment::Deployment;
pub use http::Http;
pub use provider::Provider;
pub use supabase::Supabase;
pub use worker::Worker;

/// A list from a variable, without the one empty name that an empty variable gives.
fn named(list: &[String]) -> Vec<String> {
    list.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// An empty variable is one that is not set.
fn given(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(|secret| secret.expose_secret().trim()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
