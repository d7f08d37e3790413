//! Tests of the library: calls over real connections, to the real service and to misbehaving servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod addresses;
mod certificates;
mod deadlines;
mod errors;
mod hostile;
mod http_status;
mod proxy;
mod retries;
mod scripted;
mod service;
mod support;
mod tls;
mod watch;
