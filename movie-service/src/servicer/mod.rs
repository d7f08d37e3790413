//! The servicers: implementations of the RPCs.
//!
//! * [`course`] — the course's contract, `Movie`; [`catalog`] — `movie.catalog.v1.MovieCatalog`; [`health`] —
//!   `grpc.health.v1`; [`reflection`] — `grpc.reflection`;
//! * `batch`, [`import`], `list`, `search` and `watch` — the logic of RPCs of `MovieCatalog`; `tokens` — the
//!   tokens that callers send back; `catch_up` — waits for a revision; `response_size` — limits the movies in a response;
//! * [`encoded`] — responses with many movies; [`convert`] — conversion between wire types and the domain; `query` — page sizes, filters and orders;
//! * [`CallError`] — errors of calls, in terms of the domain; [`status`] — converts errors to gRPC statuses.

mod batch;
pub mod catalog;
mod catch_up;
pub mod convert;
pub mod course;
pub mod encoded;
mod error;
pub mod health;
pub mod import;
mod list;
mod query;
pub mod reflection;
mod response_size;
mod search;
pub mod status;
mod tokens;
pub mod watch;

pub use self::error::CallError;
