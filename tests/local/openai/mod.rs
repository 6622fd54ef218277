//! The OpenAI stand-in of `local`, through a real HTTP client: its answers, its refusals, its streams, its faults.

mod answers;
mod client;
mod faults;
mod flow;
mod refusals;
mod streams;
