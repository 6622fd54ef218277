//! Whole jobs: a row goes in, images come out, on a real PostgreSQL and PostgREST, with the worker as it is deployed.

#[path = "../deployment/mod.rs"]
mod deployment;
#[path = "../project/mod.rs"]
mod project;

mod bad_input;
mod failures;
mod images;
mod lifecycle;
mod outages;
mod sharing;
mod slides;
mod two_projects;
