//! The client as its users meet it: the command line against a service.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command_line;
mod commands;
mod contract_changes;
mod service;
mod signals;
mod terminal;
mod transfers;
mod verbose;
