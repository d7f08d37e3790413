//! A call, from its headers to the last byte of its response.
//!
//! * `task` — a call as a future; `server_state` — state that all connections share;
//! * `connection_state` — state of a connection that its calls share; `calls_in_flight` — its calls in flight and their
//!   deadlines;
//! * `context` — a call's deadline, permit and observation; [`timeout`] — the `grpc-timeout` header; `permit` — call
//!   accounting;
//! * `web` — requests that are not in gRPC; [`origin`] — which pages may send them; `grpc_web` and `transcoding` — their
//!   translation to gRPC; [`page`] — the page of the service;
//! * `fast_path` — responses that are sent as the catalogue stores them; [`dispatch`] — the generated code for all others;
//! * [`message`] and `compression` — messages, checked and decompressed before generated code sees them;
//! * `body` — request and response bodies; `response_data` — data frames of responses; `response` — sends them over
//!   HTTP/2;
//! * [`refusal`] — statuses of calls that the transport refuses.

pub(crate) mod body;
mod calls_in_flight;
pub(crate) mod compression;
pub(crate) mod connection_state;
mod context;
pub mod dispatch;
pub(crate) mod fast_path;
mod grpc_web;
pub mod message;
pub mod origin;
pub mod page;
mod permit;
pub mod refusal;
pub(crate) mod response;
pub(crate) mod response_data;
pub(crate) mod server_state;
pub(crate) mod task;
pub mod timeout;
pub(crate) mod transcoding;
pub(crate) mod web;
