//! Shared by the tests: the service as a process, its clients and peers, and the messages that they send.

pub(crate) mod catalog;
pub(crate) mod certificates;
pub(crate) mod databases;
pub(crate) mod h2_client;
pub(crate) mod http1;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod peer;
pub(crate) mod process;
pub(crate) mod skipped;
#[cfg(target_os = "linux")]
pub(crate) mod target;
pub(crate) mod tokens;
