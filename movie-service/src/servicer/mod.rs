//! The servicers: each takes a call, asks the catalogue or the store, answers.
//!
//! * [`course`] — the course's contract, `Movie`;
//! * [`catalog`] — `movie.catalog.v1.MovieCatalog`; [`convert`] — wire types to the domain and back; `list` — pages and
//!   their tokens; `watch` — watches, and `resume_token`, what they resume from;
//! * [`health`] — `grpc.health.v1`; [`reflection`] — `grpc.reflection`;
//! * [`CallError`] — why a call fails, in no terms of gRPC; [`status`] — errors to gRPC statuses.

pub mod catalog;
pub mod convert;
pub mod course;
mod error;
pub mod health;
mod list;
pub mod reflection;
mod resume_token;
pub mod status;
mod watch;

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;

pub use self::error::{CallError, named};
use crate::movie::Revision;

/// How long to wait for a revision that another node had.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the catalogue is at a revision, which another node may have had a moment earlier; returns whether it is.
async fn reached(newest: &mut Receiver<Revision>, revision: Revision) -> bool {
    timeout(CATCH_UP_TIMEOUT, newest.wait_for(|newest| *newest >= revision)).await.is_ok()
}
