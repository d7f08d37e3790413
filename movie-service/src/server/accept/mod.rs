//! From the listener to a stream of bytes whose protocol is known.
//!
//! * [`listener`] — opens TCP and Unix sockets, and accepts; `authority` — the log line about Unix sockets that HTTP/2
//!   refuses;
//! * `admission` — connection limits and eviction;
//! * [`tls`] — certificates and handshakes;
//! * `sniff` — tells HTTP/2 from HTTP/1.1 by the first bytes.

pub(crate) mod admission;
pub(crate) mod authority;
pub mod listener;
pub(crate) mod sniff;
pub mod tls;
