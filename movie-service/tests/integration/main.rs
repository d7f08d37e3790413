//! The service as its users meet it: its command line, and calls over real connections.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod architecture;
mod calls;
mod catalog;
mod certificates;
mod command_line;
#[cfg(target_os = "linux")]
mod connections;
mod fast;
mod found;
mod gzip;
mod health;
#[cfg(target_os = "linux")]
mod hostile;
mod http1;
#[cfg(unix)]
mod life;
mod logs;
mod metrics;
mod peer;
mod process;
mod raw;
mod reflection;
mod reload;
mod rules;
#[cfg(unix)]
mod stores;
mod support;
mod tls;
mod traces;
mod web;
