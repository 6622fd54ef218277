//! A Supabase for one machine: real PostgreSQL, real PostgREST, and small stand-ins for auth, storage and realtime.

pub mod auth;
pub mod bootstrap;
pub mod caller;
mod canvas;
mod cluster;
pub mod database;
pub mod format;
pub mod gateway;
pub mod install;
pub mod openai;
pub mod postgres;
pub mod postgrest;
pub mod process;
pub mod realtime;
pub mod samples;
pub mod stack;
pub mod storage;
