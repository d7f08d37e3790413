//! Why a store cannot be used.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;

use crate::catalogue::ChangeError;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is used by another service.
    #[error("{} is used by another service; stop that first, or take another file", .0.display())]
    InUse(PathBuf),
    /// The lock file cannot be had.
    #[error("open {}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It was made by a later version.
    #[error("the store was made by a later version of the service; use that version")]
    Newer,
    /// It is not a store of movies, or is damaged.
    #[error("the store is damaged: {0}; restore it from a backup")]
    Damaged(String),
    /// Two transactions were in each other's way; it can be tried again.
    #[error("another writer was faster")]
    Conflict,
    /// The changes that are asked for are no longer there.
    #[error("the changes since revision {0} are no longer kept")]
    Compacted(u64),
    /// There is no room for more.
    #[error("the disk of the store is full")]
    Full(#[source] sqlx::Error),
    /// It does not answer.
    #[error("the store does not answer")]
    Late,
    /// There is no thread for it.
    #[error("start a thread for the store")]
    Thread(#[source] io::Error),
    /// Something else is wrong, which may pass.
    #[error("the store failed")]
    Failed(#[source] sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // serialization_failure and deadlock_detected of PostgreSQL.
            Some("40001" | "40P01") => Self::Conflict,
            // SQLITE_FULL, SQLITE_IOERR_WRITE; disk_full of PostgreSQL.
            Some("13" | "778" | "53100") => Self::Full(error),
            // SQLITE_CORRUPT and SQLITE_NOTADB.
            Some("11" | "26" | "267" | "523" | "779") => Self::Damaged(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl StoreError {
    /// Returns whether a transaction that failed at its end in this way changed nothing. Of others, nobody knows.
    #[must_use]
    pub fn has_undone(&self) -> bool {
        // What marks a transaction as committed is written last.
        matches!(self, Self::Conflict | Self::Full(_))
    }

    /// An error for callers, who need not know more.
    #[must_use]
    pub fn for_callers(&self) -> &'static str {
        match self {
            Self::Full(_) => "its disk is full",
            Self::Failed(sqlx::Error::Database(error)) => match error.code().as_deref() {
                // SQLITE_BUSY, SQLITE_LOCKED; lock_not_available.
                Some("5" | "6" | "261" | "517" | "55P03") => "it is locked",
                // SQLITE_READONLY and its kin; read_only_sql_transaction.
                Some("8" | "264" | "776" | "1032" | "25006") => "it cannot be written",
                _ => "it failed",
            },
            Self::Damaged(_) | Self::Newer => "it is damaged",
            Self::Failed(_)
            | Self::InUse(_)
            | Self::Lock { .. }
            | Self::Conflict
            | Self::Compacted(_)
            | Self::Late
            | Self::Thread(_) => "it does not answer",
        }
    }
}

impl From<ChangeError> for StoreError {
    fn from(error: ChangeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<MigrateError> for StoreError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, to which variants may be added")]
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Self::Newer,
            MigrateError::VersionMismatch(version) => {
                Self::Damaged(format!("its schema {version} is not the one of this service"))
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}
