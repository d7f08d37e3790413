//! The servicers: each takes a call, asks the catalogue or the store, answers.
//!
//! * [`course`] — the course's contract, `Movie`;
//! * [`catalog`] — `movie.catalog.v1.MovieCatalog`; `request` — reads its requests; `pages` — its lists; `watch` — its watches;
//! * [`CallError`] — why a call fails, in no terms of gRPC.

pub mod catalog;
pub mod course;
mod error;
mod pages;
mod request;
mod watch;

pub use self::error::{CallError, named};
