//! What tests of several themes stand on: a project with the schema, a whole deployment, and scripts in Node that are given one.

pub mod deployment;
pub mod project;
pub mod script;
