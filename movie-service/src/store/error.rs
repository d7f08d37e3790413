//! Why a store cannot be used.

use std::io;
use std::path::PathBuf;

use crate::movie::Revision;
use crate::store::command::WriteError;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is used by another service.
    #[error("`{}` is in use by another service; stop that first, or choose another file", .0.display())]
    InUse(PathBuf),
    /// The file has several names, and `SQLite` keeps its write-ahead log beside one of them.
    #[error(
        "`{}` has more than one hard link, by which two services could write to it; remove the others, or choose another \
         file", .0.display()
    )]
    HardLinks(PathBuf),
    /// The file cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// No host can be connected to.
    #[error("cannot connect to {0}")]
    Connect(String),
    /// The schema was made by a later version.
    #[error("the store was made by a later version of the service; use that version")]
    Newer,
    /// The schema is an earlier version's, and cannot be brought up to date here.
    #[error(
        "the store has the schema of an earlier version of the service, and is read-only here; start this version once on \
         a host that takes writes"
    )]
    Older,
    /// The database does not encode text as UTF-8.
    #[error("the database has the encoding {0}, expected UTF8; create it with ENCODING 'UTF8'")]
    Encoding(String),
    /// It is not a store of movies, or is damaged.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Damaged(String),
    /// Two transactions were in each other's way; it can be tried again.
    #[error("another writer was faster")]
    Conflict,
    /// Another writer holds a lock for too long.
    #[error("another writer keeps the store locked")]
    Locked,
    /// The changes that are asked for are no longer kept.
    #[error("the changes since revision {0} are no longer kept")]
    Compacted(Revision),
    /// It takes no writes.
    #[error("the store takes no writes, as a standby does")]
    ReadOnly,
    /// A standby lacks changes that the service has seen.
    #[error("the standby is at revision {at}, and the service has seen {known}; waiting for it to catch up")]
    StandbyBehind {
        /// Where the standby is.
        at: Revision,
        /// Where the service is.
        known: Revision,
    },
    /// A statement has values that the database cannot hold.
    #[error("the store cannot hold what was to be written: {0}")]
    Rejected(String),
    /// There is no room for more.
    #[error("the disk of the store is full: {0}")]
    Full(String),
    /// The last poll failed, so nothing was attempted.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It does not answer in time.
    #[error("the store does not answer in time")]
    Late,
    /// The thread of the store could not be started.
    #[error("cannot start a thread for the store")]
    Thread(#[source] io::Error),
    /// Something else failed, which may pass.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Returns whether a COMMIT that failed in this way changed nothing. After any other failure, the outcome is unknown.
    #[must_use]
    pub fn has_undone(&self) -> bool {
        // The commit record is written last, so these failures leave no effect.
        matches!(self, Self::Conflict | Self::Full(_) | Self::Rejected(_))
    }

    /// Returns whether a failed write shows that the store takes no writes at all. Read-only and timeout errors
    /// are excluded, because the follower detects them.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Conflict
            | Self::Locked
            | Self::ReadOnly
            | Self::Rejected(_)
            | Self::Unavailable(_)
            | Self::Late => false,
            Self::InUse(_)
            | Self::HardLinks(_)
            | Self::Open { .. }
            | Self::Connect(_)
            | Self::Newer
            | Self::Older
            | Self::Encoding(_)
            | Self::Damaged(_)
            | Self::Compacted(_)
            | Self::StandbyBehind { .. }
            | Self::Full(_)
            | Self::Thread(_)
            | Self::Failed(_) => true,
        }
    }

    /// Returns the error for callers whose write failed in this way. It names no internals.
    #[must_use]
    pub fn refusal(&self) -> WriteError {
        let why = match self {
            Self::ReadOnly | Self::Older => return WriteError::StoreReadOnly,
            Self::Rejected(_) => return WriteError::Rejected,
            Self::Conflict => "too many others write at the same time",
            Self::Locked => "it is locked",
            Self::Full(_) => "its disk is full",
            Self::Damaged(_) | Self::Newer | Self::Encoding(_) => "it is damaged",
            Self::Failed(_) => "it failed",
            Self::Connect(_)
            | Self::InUse(_)
            | Self::HardLinks(_)
            | Self::Open { .. }
            | Self::Compacted(_)
            | Self::StandbyBehind { .. }
            | Self::Unavailable(_)
            | Self::Late
            | Self::Thread(_) => "it does not answer",
        };
        WriteError::Unavailable(why.into())
    }
}
