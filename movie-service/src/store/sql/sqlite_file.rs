//! The file of an SQLite store: one service at a time, and what to do when something else replaces it.
//!
//! SQLite keeps the latest commits in a write-ahead log beside the file (`-wal`), and moves them into the file at a
//! checkpoint. A copy that is put over the file leaves that log where it is, and SQLite would apply its pages to another
//! database. So each change to the file that this service did not make is examined.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use crate::catalogue::HistoryPoint;
use crate::store::StoreError;
use crate::store::sql::sqlite::{failed, head};

/// What follows the name of a database file in that of its write-ahead log, and in that of the index of the log.
const LOG: &str = "-wal";
const INDEX: &str = "-shm";

/// A lock on a database file, for as long as this lives.
///
/// It is a lock on the file, not on its name, so symbolic links cannot bypass it. It has to be taken before SQLite
/// opens the file, and dropped after SQLite has closed it: to close any descriptor of a file drops the POSIX locks that
/// the process holds on it, and with them SQLite's own.
#[derive(Debug)]
pub(super) struct FileLock(File);

impl FileLock {
    /// Locks a database file; one that is missing is made only if that is asked for.
    pub(super) fn take(path: &Path, make: bool) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let file = File::options().read(true).append(true).create(make).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // SQLite names the write-ahead log after the name by which it opens the file.
        if file.metadata().map_err(failed)?.nlink() > 1 {
            return Err(StoreError::HardLinks(path.to_owned()));
        }
        Ok(Self(file))
    }

    /// Returns the version of the locked file, which had this name.
    pub(super) fn version(&self, path: &Path) -> Result<FileVersion, StoreError> {
        let metadata =
            self.0.metadata().map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(FileVersion::from(&metadata))
    }

    /// Returns whether this is a lock on a version of a file.
    pub(super) fn is_on(&self, version: FileVersion) -> bool {
        self.0.metadata().is_ok_and(|metadata| FileId::from(&metadata) == version.id)
    }
}

/// What identifies a file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns that of the write-ahead log of a database file, if there is one.
    pub(super) fn of_log(path: &Path) -> Option<Self> {
        fs::metadata(beside(path, LOG)).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// What identifies a version of a file: which file it is, and when it was changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    id: FileId,
    size: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the version of the file that has a name now.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let metadata = fs::metadata(path);
        let metadata = metadata.map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self::from(&metadata))
    }

    /// Returns which file it is.
    pub(super) fn id(&self) -> FileId {
        self.id
    }
}

impl From<&Metadata> for FileVersion {
    fn from(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { id: FileId::from(metadata), size: metadata.size(), changed }
    }
}

/// Returns the latest commit in a database file, without its write-ahead log; `None` if commits have no chain values there,
/// as in stores of an earlier version. No connection may have the file open.
pub(super) fn head_without_log(path: &Path) -> Result<Option<HistoryPoint>, StoreError> {
    // `immutable` makes SQLite read the file alone (https://www.sqlite.org/uri.html, section 3).
    let encoded = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags).map_err(failed)?;
    let select = "SELECT count(*) > 0 FROM pragma_table_info('head') WHERE name = 'chain'";
    let has_chain = connection.query_row(select, [], |row| row.get(0)).map_err(failed)?;
    if has_chain { head(&connection).map(Some) } else { Ok(None) }
}

/// Removes the write-ahead log of a database file, or only the index of one that is to stay. No connection may have the
/// file open.
pub(super) fn remove_log(path: &Path, index_only: bool) -> Result<(), StoreError> {
    let suffixes = if index_only { &[INDEX][..] } else { &[LOG, INDEX] };
    for suffix in suffixes {
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
