//! Tests of the command line against a service.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod certificates;
mod command_line;
mod commands;
mod contract_changes;
#[path = "../library/proxy.rs"]
#[allow(dead_code, reason = "the tests of the library need more of it")]
mod proxy;
#[path = "../library/scripted.rs"]
#[allow(dead_code, reason = "the tests of the library need more of it")]
mod scripted;
mod service;
mod signals;
mod terminal;
mod transfers;
mod verbose;
