//! The service as its users see it: its command line, and calls over real connections.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod architecture;
mod calls;
mod catalog;
#[cfg(target_os = "linux")]
mod hostile;
mod json;
#[cfg(target_os = "linux")]
mod lifecycle;
mod operation;
mod page;
mod security;
#[cfg(unix)]
mod stores;
mod support;
