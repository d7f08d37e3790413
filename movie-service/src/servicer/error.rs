//! Errors of `movie.catalog.v1` calls.

use crate::catalogue::Quoted;
use crate::movie::{Revision, Violation};
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
const MAX_NAMED_BYTES: usize = 1_500;
const NAMED_ID_OVERHEAD_BYTES: usize = 40;

/// Returns the first of the ids, at least one, as many as a response can name.
#[must_use]
pub fn named(ids: &[String]) -> &[String] {
    let mut bytes = 0;
    let fit = ids.iter().take_while(|id| {
        bytes += id.len() + NAMED_ID_OVERHEAD_BYTES;
        bytes <= MAX_NAMED_BYTES
    });
    &ids[..fit.count().max(1).min(ids.len())]
}

fn missing(ids: &[String]) -> String {
    let told = named(ids);
    let mut names: Vec<_> = told.iter().map(|id| format!("`{}`", Quoted(id))).collect();
    if ids.len() > told.len() {
        names.push(format!("and {} more", ids.len() - told.len()));
    }
    let what = if ids.len() == 1 { "no movie has the id" } else { "no movies have the ids" };
    format!("{what} {}", names.join(", "))
}
