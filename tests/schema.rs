//! The schema as hosted projects get it: applied by `postgres`, who is no superuser, by either tool, on either version; and what it
//! lets clients do, refuses and keeps true.
#![cfg(feature = "local")]

mod schema {
    pub mod actors;
    pub mod adoption;
    pub mod beside;
    pub mod catalog;
    pub mod client;
    pub mod supabase_cli;

    mod advisors;
    mod bad_input;
    mod broadcasts;
    mod dashboard;
    mod described;
    mod frontend;
    mod guard;
    mod histories;
    mod limits;
    mod oddities;
    mod prompts;
    mod push;
    mod rights;
    mod search;
    mod shadows;
    mod sources;
    mod statements;
    mod states;
    mod templates;
    mod types;
    mod uploads;
    mod variables;
    mod words;
}

use carousel_support::project;
use schema::{actors, adoption, beside, catalog, client, supabase_cli};
