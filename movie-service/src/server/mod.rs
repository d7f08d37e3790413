//! The path of a connection, from the listener to the responses of its calls.
//!
//! * [`serve`] — the server: accepts connections, hands each to a worker, drains them when it stops;
//! * [`accept`] — listening, admission control, TLS, and protocol detection;
//! * [`connection`] — workers, the lifecycle of a connection, HTTP/1.1 and HTTP/2;
//! * [`call`] — permits, deadlines, dispatch, request and response bodies;
//! * [`limits`] — resource limits; `usage` — counters of the calls and lists in flight;
//! * [`in_process`] — calls without a connection, for the fuzz targets.

pub mod accept;
pub mod call;
pub mod connection;
pub mod in_process;
pub mod limits;
pub mod serve;
pub(crate) mod usage;
