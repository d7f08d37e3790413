//! Errors of calls, in terms of the domain. `status` maps them to gRPC statuses.

use crate::movie::{Revision, Violation};
use crate::servicer::response_size::fitting;
use crate::store::WriteError;
use crate::text::Escaped;

/// Error of a call. The display text is the message for callers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No movies have these ids.
    #[error("{}", missing(.0))]
    Missing(Vec<String>),
    /// The movies of a batch do not fit into a response.
    #[error("the movies take {bytes} bytes, expected at most {max_bytes}; request fewer at a time")]
    TooLarge {
        /// Total size of the movies, in bytes.
        bytes: usize,
        /// Maximum size of the movies in a response, in bytes.
        max_bytes: usize,
    },
    /// The page token is invalid, or belongs to another list or search.
    #[error(
        "the page_token does not belong to this list; send the same arguments as for the page before, or start without one"
    )]
    PageTokenInvalid,
    /// The page token is of a revision that can no longer be reconstructed.
    #[error(
        "the page_token has expired, because the catalogue has changed too much since; start without one"
    )]
    PageTokenExpired,
    /// The changes that a watcher requests are no longer kept.
    #[error(
        "the changes since revision {from} are no longer kept, only those since {oldest}; start with a full copy (full_copy)"
    )]
    Compacted {
        /// The revision from which the watcher wants to resume.
        from: Revision,
        /// The oldest revision that a watch can resume from.
        oldest: Revision,
    },
    /// The watcher's resume point is not part of the current history.
    #[error(
        "the history of the store has changed (replaced, restored or failed over): its changes up to revision {from} \
         differ from those sent before; start with a full copy (full_copy)"
    )]
    HistoryChanged {
        /// The revision from which the watcher wants to resume.
        from: Revision,
    },
    /// The revision does not exist yet.
    #[error("revision {requested} does not exist; the catalogue is at revision {revision}")]
    RevisionUnknown {
        /// The requested revision.
        requested: i64,
        /// The revision of the catalogue.
        revision: Revision,
    },
    /// The watcher lags too far behind.
    #[error("the caller reads the changes too slowly; resume from revision {resume}")]
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
    /// The service was started without search.
    #[error("search is off; the operator of this service can turn it on with --search on")]
    SearchOff,
    /// Too many searches run.
    #[error("too many searches at once; try again in a second")]
    Busy,
    /// The service is stopping.
    #[error("the service is stopping; retry on another instance or in one second")]
    Stopping,
    /// A write failed.
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

/// Returns the first ids that an error can list, at least one.
pub(super) fn listed_ids(ids: &[String]) -> &[String] {
    fitting(ids, MAX_LISTED_ID_BYTES, |id| id.len() + ID_OVERHEAD_BYTES)
}

fn unknown_service(known: &[&str]) -> String {
    let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("there is no such service; expected {}, or an empty name for the whole service", known.join(", "))
}

fn missing(ids: &[String]) -> String {
    let listed = listed_ids(ids);
    let mut names: Vec<_> = listed.iter().map(|id| format!("`{}`", Escaped(id))).collect();
    if ids.len() > listed.len() {
        names.push(format!("and {} more", ids.len() - listed.len()));
    }
    let what = if ids.len() == 1 { "no movie has the id" } else { "no movies have the ids" };
    format!("{what} {}", names.join(", "))
}
