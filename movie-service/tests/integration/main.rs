//! The service as its users meet it: its command line, and calls over real connections.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod calls;
mod command_line;
#[cfg(target_os = "linux")]
mod connections;
mod fast;
mod found;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(unix)]
mod life;
mod peer;
mod process;
mod raw;
mod reload;
