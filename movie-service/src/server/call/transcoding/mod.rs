//! HTTP requests in JSON for the RPCs of the contract (AIP-127).
//!
//! The annotations `google.api.http` of the contract say which request calls which RPC. A request becomes a call in gRPC,
//! which goes the way of every call, and its response becomes JSON again. There is no code for an RPC: names and types come
//! from the descriptors. Some names of fields have a meaning: `etag`, `request_id`, `resume_token`, `update_mask` and
//! `allow_missing` (AIP-154, 155, 134).
//!
//! * `template`, `routes` — paths, and the RPCs that they call;
//! * `transcoder` — a request, from its headers to its response; `request`, `request_body` and `body_fields` — the messages
//!   of its call; `response` and `stream` — what the call returns; `error` — errors;
//! * `parameter` — fields that text sets; `json_writer` — encoded messages as JSON; `conditional` — etags.

mod body_fields;
pub(crate) mod conditional;
pub(crate) mod error;
mod json_writer;
mod parameter;
pub(crate) mod request;
mod request_body;
pub(crate) mod response;
pub(crate) mod routes;
mod stream;
mod template;
pub(crate) mod transcoder;
