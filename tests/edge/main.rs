//! What stands at the edge: the programs and platforms in front of the API that `edge-config/` has files for, and the Edge Function that does
//! without any of them. Each runs in its real program where there is one to install.
#![cfg(feature = "local")]

mod caddy;
mod function;
mod program;
mod routes;
mod scene;

use carousel_support::deployment;
