//! A call, from its headers to the last byte of its response.
//!
//! * `task` — the call as a future; `state` — what all calls share;
//! * `connection_state` — a connection, as its calls see it; `in_flight` — a call that was taken in, with its
//!   [`deadline`]; `permit` — call accounting;
//! * [`grpc_web`] — translates calls of browsers;
//! * `fast_path` — responses that the catalogue holds ready; `dispatch` — the generated code for all others;
//! * [`message_limits`] and `gzip` — messages of a request, checked and unpacked before generated code sees them;
//! * `body` — bodies of requests and responses; `data` — data frames of responses; `response` — sends them over HTTP/2;
//! * [`refusal`] — statuses of calls that the transport refuses.

pub(crate) mod body;
pub(crate) mod connection_state;
pub(crate) mod data;
pub mod deadline;
pub mod dispatch;
pub(crate) mod fast_path;
pub mod grpc_web;
pub(crate) mod gzip;
pub(crate) mod in_flight;
pub mod message_limits;
pub(crate) mod permit;
pub mod refusal;
pub(crate) mod response;
pub(crate) mod state;
pub(crate) mod task;
