//! The file of an SQLite store: one service at a time, and what to do when something else replaces it.
//!
//! SQLite keeps the latest commits in a write-ahead log beside the file (`-wal`), and moves them into the file at a
//! checkpoint. A copy that is put over the file leaves that log where it is, and SQLite would add its pages to a database
//! that they are not of. So each change to the file that was not made by a checkpoint of this service is looked into.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::sqlite::{failed, head};
use crate::catalogue::HistoryPoint;
use crate::store::StoreError;

/// A lock on a database file, for as long as this lives.
///
/// It is a lock on the file, not on its name, so symbolic links do not lead around it. It has to be taken before SQLite
/// opens the file, and dropped after SQLite has closed it: to close any descriptor of a file drops the POSIX locks that
/// the process holds on it, and with them SQLite's own.
#[derive(Debug)]
pub(super) struct FileLock {
    device: u64,
    inode: u64,
    _file: File,
}

impl FileLock {
    /// Locks a database file, and makes it if it is missing.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let file = File::options().read(true).append(true).create(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let metadata = file.metadata().map_err(failed)?;
        // SQLite names the write-ahead log after the name by which it opens the file.
        if metadata.nlink() > 1 {
            return Err(StoreError::HardLinks(path.to_owned()));
        }
        Ok(Self { device: metadata.dev(), inode: metadata.ino(), _file: file })
    }

    /// Returns whether this is a lock on a version of a file.
    pub(super) fn is_on(&self, version: FileVersion) -> bool {
        (self.device, self.inode) == (version.device, version.inode)
    }
}

/// What identifies a version of a file: which file it is, and when it was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the version of a file that is there now.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let metadata =
            fs::metadata(path).map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Returns the latest commit in a database file, without its write-ahead log. No connection may have the file open.
pub(super) fn head_without_log(path: &Path) -> Result<HistoryPoint, StoreError> {
    // `immutable` makes SQLite read the file alone (https://www.sqlite.org/uri.html, section 3).
    let encoded = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags);
    head(&connection.map_err(failed)?)
}

/// Removes the write-ahead log of a database file. No connection may have the file open.
pub(super) fn remove_log(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm"] {
        let path = beside(path, suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Open { path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    // SQLite puts the log beside the file that a symbolic link leads to.
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    name.into()
}
