//! The client as its users meet it: the command line against a service.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command_line;
mod contract_changes;
mod service;
