//! The stand-ins and what they stand on, by themselves.
#![cfg(feature = "local")]

mod auth;
mod openai;
mod postgres;
mod realtime;
mod stack;
mod storage;
