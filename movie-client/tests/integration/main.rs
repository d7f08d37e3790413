//! Tests of the library and of the command line, over real connections to the real service and to misbehaving servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod cli;
mod library;
#[path = "../support/mod.rs"]
mod support;
