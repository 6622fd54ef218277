//! Whole jobs: a row goes in, images come out, on a real PostgreSQL and PostgREST, with the worker as it is deployed.

mod bad_input;
mod failures;
mod images;
mod lifecycle;
mod outages;
mod sharing;
mod slides;
mod two_projects;

use carousel_support::deployment;
