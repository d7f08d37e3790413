//! Connections that serve calls.
//!
//! * `worker` — a thread with a runtime of its own, one a core, that serves the connections it is handed;
//! * `lifecycle` — a connection from its first byte to its last: handshake, age, idleness, drain;
//! * `serving` — behaviour common to `http2` and `http1`;
//! * `executor` — runs the tasks of a connection; `write_buffer` — writes what they send, in few system calls.

pub(crate) mod executor;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod lifecycle;
pub(crate) mod serving;
pub(crate) mod worker;
pub(crate) mod write_buffer;
