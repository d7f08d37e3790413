//! Connections that serve calls.
//!
//! * `worker` — a thread with its own runtime, one per core, that serves the connections passed to it;
//! * `heartbeat` — a sign of life as long as all workers respond;
//! * `lifecycle` — a connection from its first byte to its last: handshake, serving, shutdown;
//! * `supervisor` — keep-alive, age, idle time, stalled readers;
//! * `serve_connection` — behaviour common to `http2` and `http1`;
//! * `executor` — runs calls as tasks; `write_buffer` — combines their writes into few system calls.

pub(crate) mod executor;
pub mod heartbeat;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod lifecycle;
pub(crate) mod serve_connection;
pub(crate) mod supervisor;
pub(crate) mod worker;
pub(crate) mod write_buffer;
