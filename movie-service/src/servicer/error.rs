//! Errors of calls, in terms of the domain. `status` maps them to gRPC statuses.

use crate::catalogue::Quoted;
use crate::movie::{Revision, Violation};
use crate::servicer::response_size::fitting;
use crate::store::WriteError;

/// Why a call fails. The display text is shown to callers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There are no movies with these ids.
    #[error("{}", missing(.0))]
    Missing(Vec<String>),
    /// These movies do not fit a response.
    #[error("the movies take {bytes} bytes, expected at most {most}; ask for fewer at a time")]
    TooLarge {
        /// What they take.
        bytes: usize,
        /// What a response may take.
        most: usize,
    },
    /// The page token is invalid, or belongs to another list.
    #[error(
        "the page_token is not one that this list gave; send the same arguments with it, or begin without one"
    )]
    PageTokenInvalid,
    /// The page token is of a revision that can no longer be reconstructed.
    #[error("the page_token has expired: the catalogue has changed too much since; begin without one")]
    PageTokenExpired,
    /// The changes that a watcher asks for are no longer kept.
    #[error(
        "the changes since revision {from} are no longer kept, only those since {oldest}; begin with a full copy"
    )]
    Compacted {
        /// Where the watcher wanted to begin.
        from: Revision,
        /// Where it can.
        oldest: Revision,
    },
    /// The watcher's resume point is not part of the current history.
    #[error(
        "the store was replaced, restored or failed over: its changes up to revision {from} are not those that were \
         told before; begin with a full copy"
    )]
    HistoryChanged {
        /// The revision that the watcher goes on from.
        from: Revision,
    },
    /// The catalogue has not come that far.
    #[error("the catalogue is at revision {revision}, and not yet at {asked}; expected one that it was at")]
    RevisionUnknown {
        /// What was asked for.
        asked: i64,
        /// Where the catalogue is.
        revision: Revision,
    },
    /// The watcher does not keep up.
    #[error("the caller reads too slowly to keep up with the changes; go on from revision {resume}")]
    TooSlow {
        /// The last revision that was sent.
        resume: Revision,
    },
    /// A health check names a service that does not exist.
    #[error("{}", unknown_service(.known))]
    UnknownService {
        /// The names of the services.
        known: Vec<&'static str>,
    },
    /// The service stops.
    #[error("the service is stopping; try another one, or again in a second")]
    Stopping,
    /// A write was not done.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<Vec<Violation>> for CallError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Write(WriteError::Invalid(violations))
    }
}

/// Maximum total size of the ids listed in an error, and the overhead counted per id, in bytes, so that the error
/// fits into the 8 KiB of headers that clients accept.
const MAX_LISTED_ID_BYTES: usize = 1_500;
const ID_OVERHEAD_BYTES: usize = 40;

/// Returns the first of the ids, at least one, as many as an error can list.
pub(super) fn listed_ids(ids: &[String]) -> &[String] {
    fitting(ids, MAX_LISTED_ID_BYTES, |id| id.len() + ID_OVERHEAD_BYTES)
}

fn unknown_service(known: &[&str]) -> String {
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("there is no such service; expected {}, or an empty name for the whole service", known.join(", "))
}

fn missing(ids: &[String]) -> String {
    let listed = listed_ids(ids);
    let mut names: Vec<_> = listed.iter().map(|id| format!("`{}`", Quoted(id))).collect();
    if ids.len() > listed.len() {
        names.push(format!("and {} more", ids.len() - listed.len()));
    }
    let what = if ids.len() == 1 { "no movie has the id" } else { "no movies have the ids" };
    format!("{what} {}", names.join(", "))
}
