//! The servicers: implementations of the RPCs.
//!
//! * [`course`] — the course's contract, `Movie`; [`catalog`] — `movie.catalog.v1.MovieCatalog`; [`health`] —
//!   `grpc.health.v1`; [`reflection`] — `grpc.reflection`;
//! * `batch`, [`import`], `list` and `watch` — the logic of RPCs of `MovieCatalog`; `page_token` and `resume_token` —
//!   their tokens; `catch_up` — waits for a revision; `response_size` — limits the movies in a response;
//! * [`convert`] — conversion between wire types and the domain;
//! * [`CallError`] — errors of calls, in terms of the domain; [`status`] — converts errors to gRPC statuses.

mod batch;
pub mod catalog;
mod catch_up;
pub mod convert;
pub mod course;
mod error;
pub mod health;
pub mod import;
mod list;
mod page_token;
pub mod reflection;
mod response_size;
mod resume_token;
pub mod status;
mod watch;

pub use self::error::CallError;
