//! Errors of a store.

use std::io;
use std::path::PathBuf;

use crate::movie::Revision;
use crate::store::command::WriteError;

/// Message for a database file that is gone, by which the status of the store is recognised, too.
const FILE_GONE: &str =
    "its database file is gone or empty; put it back, or restart the service to begin with a new one";

/// An error of a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another service has locked the file.
    #[error("`{}` is in use by another service; stop that first, or choose another file", .0.display())]
    InUse(PathBuf),
    /// The file has several hard links. `SQLite` keeps the write-ahead log beside one of the names.
    #[error(
        "`{}` has more than one hard link, so two services could write to it; remove the other links, or choose \
         another file", .0.display()
    )]
    HardLinks(PathBuf),
    /// The database file cannot be opened. Its name is known from the address of the store.
    #[error("the file cannot be used")]
    File(#[source] io::Error),
    /// The database file was deleted, moved away or emptied while it was in use.
    #[error("{}", FILE_GONE)]
    FileGone,
    /// No host can be reached, with the reason for each.
    #[error("cannot connect to {0}")]
    Connect(String),
    /// The schema is of a later version of the service.
    #[error("the store was created or upgraded by a later version of the service; use that version")]
    Newer,
    /// The schema is of an earlier version of the service, and cannot be upgraded on a read-only host.
    #[error(
        "the store has the schema of an earlier version of the service, and this host is read-only; start this version \
         once on a writable host"
    )]
    Older,
    /// The database does not encode text as UTF-8.
    #[error("the database has the encoding {0}, expected UTF8; create it with ENCODING 'UTF8'")]
    Encoding(String),
    /// The file is not an SQLite database, or its first page is damaged.
    #[error(
        "the file is not an SQLite database; to serve a JSON file, omit `sqlite:`; otherwise restore the file from a \
         backup, or choose another one"
    )]
    NotSqlite,
    /// The database is not a store of movies, or is damaged.
    #[error("the store is damaged: {0}; restore it from a backup, or choose another file")]
    Damaged(String),
    /// The SQLite database has tables, but none of a store of movies.
    #[error("`{}` is the database of another program; choose another file", .0.display())]
    OtherProgram(PathBuf),
    /// The transaction conflicts with another one. It can be retried.
    #[error("the transaction conflicts with another writer")]
    Conflict,
    /// Another writer has held a lock for too long.
    #[error("another writer keeps the store locked")]
    Locked,
    /// The requested changes are no longer kept.
    #[error("the changes since revision {0} are no longer kept")]
    Compacted(Revision),
    /// The host is read-only.
    #[error("the store is read-only, such as a standby")]
    ReadOnly,
    /// A standby lacks changes that the service has applied.
    #[error("the standby is at revision {at}, behind the service at {known}; waiting for it to catch up")]
    StandbyBehind {
        /// The revision of the standby.
        at: Revision,
        /// The revision of the catalogue.
        known: Revision,
    },
    /// The database rejects a value of a statement.
    #[error("the store rejected the write: {0}")]
    Rejected(String),
    /// The disk is full.
    #[error("the disk of the store is full: {0}")]
    Full(String),
    /// The last poll failed, so nothing was attempted.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    TimedOut,
    /// No connection is open, or no lock is held.
    #[error("there is no connection to the store")]
    NotConnected,
    /// The thread of the store could not be started.
    #[error("cannot start a thread for the store")]
    Thread(#[source] io::Error),
    /// Another failure, which may be temporary.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Returns whether a COMMIT that failed with this error changed nothing. After any other error, the outcome is unknown.
    #[must_use]
    pub fn is_rolled_back(&self) -> bool {
        // The commit record is written last, so these failures leave no effect.
        matches!(self, Self::Conflict | Self::Full(_) | Self::Rejected(_))
    }

    /// Returns whether a failed write shows that the store accepts no writes at all. Read-only and timeout errors are
    /// excluded, because the follower detects them.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Conflict
            | Self::Locked
            | Self::ReadOnly
            | Self::Rejected(_)
            | Self::Unavailable(_)
            | Self::TimedOut
            | Self::NotConnected => false,
            Self::InUse(_)
            | Self::HardLinks(_)
            | Self::File(_)
            | Self::FileGone
            | Self::NotSqlite
            | Self::Connect(_)
            | Self::Newer
            | Self::Older
            | Self::Encoding(_)
            | Self::Damaged(_)
            | Self::OtherProgram(_)
            | Self::Compacted(_)
            | Self::StandbyBehind { .. }
            | Self::Full(_)
            | Self::Thread(_)
            | Self::Failed(_) => true,
        }
    }

    /// Returns the error for callers whose write failed with this error. It exposes no internals.
    #[must_use]
    pub fn to_write_error(&self) -> WriteError {
        let why = match self {
            Self::ReadOnly | Self::Older => return WriteError::StoreReadOnly,
            Self::Rejected(_) => return WriteError::Rejected,
            Self::Conflict => "too many transactions conflict",
            Self::Locked => "it is locked",
            Self::Full(_) => "its disk is full",
            Self::NotSqlite | Self::Damaged(_) => "it is damaged",
            Self::Newer | Self::Encoding(_) | Self::OtherProgram(_) => {
                "this version of the service cannot use it"
            }
            Self::Failed(_) => "it failed",
            Self::FileGone => return WriteError::StoreFileGone,
            Self::Unavailable(why) if why == FILE_GONE => return WriteError::StoreFileGone,
            Self::Connect(_)
            | Self::InUse(_)
            | Self::HardLinks(_)
            | Self::File(_)
            | Self::Compacted(_)
            | Self::StandbyBehind { .. }
            | Self::Unavailable(_)
            | Self::TimedOut
            | Self::NotConnected
            | Self::Thread(_) => "it does not answer",
        };
        WriteError::Unavailable(why.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_that_a_store_is_damaged_only_if_it_is() {
        let reason = |error: StoreError| {
            let WriteError::Unavailable(reason) = error.to_write_error() else { panic!("{error:?}") };
            reason
        };
        assert_eq!(reason(StoreError::Damaged("page 7".into())), "it is damaged");
        for unusable in [StoreError::Newer, StoreError::Encoding("LATIN1".into())] {
            assert_eq!(reason(unusable), "this version of the service cannot use it");
        }
    }

    #[test]
    fn callers_are_told_that_the_file_is_gone_by_the_write_and_by_the_poll_before() {
        for gone in [StoreError::FileGone, StoreError::Unavailable(StoreError::FileGone.to_string())] {
            let told = gone.to_write_error();
            assert_eq!(told, WriteError::StoreFileGone);
            assert!(!told.to_string().contains("try again"), "{told}");
        }
    }

    #[test]
    fn a_missing_connection_is_not_a_timeout() {
        assert_eq!(StoreError::TimedOut.to_string(), "the store did not answer in time");
        assert_eq!(StoreError::NotConnected.to_string(), "there is no connection to the store");
        assert_eq!(StoreError::TimedOut.to_write_error(), StoreError::NotConnected.to_write_error());
    }
}
