//! The file of an SQLite store: its lock, and the detection of its replacement.
//!
//! SQLite keeps the latest commits in a write-ahead log beside the file (`-wal`), and moves them into the file at a
//! checkpoint. If a copy replaces the file, the log stays, and SQLite would apply its pages to another database. So the
//! service examines each change of the file that it did not make.

use std::fs::{self, File, Metadata, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

use crate::catalogue::HistoryPoint;
use crate::regular_file;
use crate::store::StoreError;
use crate::store::sql::sqlite_statements::{failed, head};
use crate::text::name_missing_folder;

/// File name suffixes of the write-ahead log and of its index.
const WAL_SUFFIX: &str = "-wal";
const SHM_SUFFIX: &str = "-shm";

/// A lock on a database file, held until it is dropped.
///
/// It locks the file, not its name, so symbolic links cannot bypass it. It must be taken before SQLite opens the file,
/// and dropped after SQLite has closed it: closing any descriptor of a file releases all POSIX locks that the process
/// holds on it, including SQLite's.
#[derive(Debug)]
pub(super) struct FileLock(File);

impl FileLock {
    /// Locks a database file. If it is missing, creates it if `create` is true.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be opened, is locked by another service, or has several hard links.
    pub(super) fn take(path: &Path, create: bool) -> Result<Self, StoreError> {
        let failed = |error| StoreError::File(name_missing_folder(error, path));
        let mut options = File::options();
        options.read(true).append(true).create(create);
        let file = regular_file::open(path, &mut options).map_err(|error| {
            let is_gone = !create && error.kind() == io::ErrorKind::NotFound;
            if is_gone { StoreError::FileGone } else { failed(error) }
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // SQLite derives the name of the write-ahead log from the name by which it opens the file.
        if file.metadata().map_err(failed)?.nlink() > 1 {
            return Err(StoreError::HardLinks(path.to_owned()));
        }
        Ok(Self(file))
    }

    /// Returns the version of the locked file.
    pub(super) fn version(&self) -> Result<FileVersion, StoreError> {
        self.0.metadata().map(|metadata| FileVersion::from(&metadata)).map_err(StoreError::File)
    }

    /// Returns whether this locks the file of `version`.
    pub(super) fn is_on(&self, version: FileVersion) -> bool {
        self.0.metadata().is_ok_and(|metadata| FileId::from(&metadata) == version.id)
    }
}

/// Identity of a file, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Returns the identity of a file, if there is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Version of a file: its identity, its size and the time of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    id: FileId,
    size: u64,
    /// Time of the last change of the inode, in seconds and nanoseconds.
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the version of the current file at the path.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Self::from(&metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::FileGone),
            Err(error) => Err(StoreError::File(error)),
        }
    }

    /// Returns whether the file has no bytes.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Returns the identity of the file.
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

/// Returns the latest commit in a database file without its write-ahead log; `None` if its commits have no chain values,
/// as in stores of an earlier version. No connection may have the file open.
pub(super) fn head_without_log(path: &Path) -> Result<Option<HistoryPoint>, StoreError> {
    // With `immutable`, SQLite ignores the log (https://www.sqlite.org/uri.html, section 3).
    let encoded = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags).map_err(failed)?;
    let select = "SELECT count(*) > 0 FROM pragma_table_info('head') WHERE name = 'chain'";
    let has_chain = connection.query_row(select, [], |row| row.get(0)).map_err(failed)?;
    if has_chain { head(&connection).map(Some) } else { Ok(None) }
}

/// Removes the write-ahead log of a database file and its index, or only the index. No connection may have the file open.
pub(super) fn remove_log(path: &Path, index_only: bool) -> Result<(), StoreError> {
    let suffixes = if index_only { &[SHM_SUFFIX][..] } else { &[WAL_SUFFIX, SHM_SUFFIX] };
    for suffix in suffixes {
        let path = beside(path, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Failed(format!("cannot remove `{}`: {error}", path.display())));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Returns the path of the write-ahead log of a database file.
pub(super) fn log_path(path: &Path) -> PathBuf {
    beside(path, WAL_SUFFIX)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    // SQLite resolves symbolic links before it names the log.
    let mut name = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    name.into()
}
