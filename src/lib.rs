//! Turns rows of `public.image_generation_jobs` in a Supabase project into carousels of generated images.
//!
//! The flow, from a client's insert to its browser:
//!
//! 1. A trigger on the jobs table sends NOTIFY; [`listener`] hears it and wakes the worker.
//! 2. [`worker`] asks [`queue`] for as many jobs as it has room for, round the users.
//! 3. [`queue::Lease`] is the permission to write a job; it is renewed until the job ends.
//! 4. [`pipeline`] spools the job's sources from [`supabase::storage`] to disk, byte for byte.
//! 5. [`provider`] sends them with the slide's prompt to `POST /v1/images/edits`.
//! 6. [`image`] decodes the answer and checks that it is what was asked for.
//! 7. [`supabase::storage`] puts it into the bucket, under the owner's folder.
//! 8. The lease records the image and its call in one statement, and the job's progress beside it.
//! 9. Triggers tell of the changed rows on their owner's channel of Realtime, and Realtime tells the browser.
//!
//! Who has no supabase-js comes through [`http`], which acts with its callers' own tokens; [`client`] is what anybody does
//! on a project.
//!
//! What goes wrong on the way is judged in one place, [`failure`]; what a project means when it refuses is read in one, [`supabase`],
//! and what the database's refusals mean, in [`database`].

pub mod config;
pub mod telemetry;

pub mod database;
pub mod failure;
pub mod job;
pub mod supabase;
pub mod words;

pub mod address;
pub mod outgoing;

pub mod image;
pub mod listener;
pub mod provider;
pub mod queue;

pub mod client;
pub mod project;

pub mod pipeline;
pub mod worker;

pub mod http;

mod checks;

pub mod cli;
pub mod migrations;
#[cfg(feature = "local")]
pub mod pages;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
