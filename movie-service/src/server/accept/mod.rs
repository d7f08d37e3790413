//! From the listener to a stream of bytes whose protocol is known.
//!
//! * [`listener`] — TCP and Unix socket listeners; `retry` — accepts in spite of errors; `authority_log` — logs requests
//!   over a Unix socket that are reset for their `:authority`;
//! * `admission` — connection limits and eviction;
//! * [`tls`] — TLS configuration and certificates;
//! * `sniff` — protocol detection by the first bytes.

pub(crate) mod admission;
pub(crate) mod authority_log;
pub mod listener;
pub(crate) mod retry;
pub(crate) mod sniff;
pub mod tls;
