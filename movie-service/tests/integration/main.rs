//! The service as its users meet it: its command line, and calls over real connections.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod calls;
mod command_line;
mod found;
mod process;
