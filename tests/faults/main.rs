//! Faults: real worker processes are killed, paused, cut off and lied to at every step of the pipeline. What must hold afterwards is
//! in `invariants`; the steps are in `steps`.
//!
//! The long form makes faults at random for as long as it is told:
//! `CAROUSEL_FAULTS_SECONDS=600 CAROUSEL_FAULTS_SEED=1 cargo test --test faults long_form -- --ignored --nocapture`

mod invariants;
mod pgwire;
mod process;
mod proxy;
mod scene;
mod steps;

mod server;

mod connections;
mod database;
#[cfg(target_os = "linux")]
mod files;
mod killed;
mod locks;
mod long_form;
mod provider;
mod refusals;
mod requests;
mod stopped;
mod storage;
mod workers;

use carousel_support::{deployment, project};
