//! The servicers: each takes a call, asks the catalogue or the store, answers.
//!
//! * [`course`] — the course's contract, `Movie`;
//! * [`catalog`] — `movie.catalog.v1.MovieCatalog`; `request` — reads its requests; `pages` — its lists; `watch` — its
//!   watches; `resume_token` — what these resume from;
//! * [`CallError`] — why a call fails, in no terms of gRPC.

pub mod catalog;
pub mod course;
mod error;
mod pages;
mod request;
mod resume_token;
mod watch;

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;

pub use self::error::{CallError, named};

/// How long to wait for a revision that another node had.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the catalogue is at a revision, which another node may have had a moment earlier; returns whether it is.
async fn reached(newest: &mut Receiver<u64>, revision: u64) -> bool {
    timeout(PATIENCE, newest.wait_for(|newest| *newest >= revision)).await.is_ok()
}
