//! A store in an SQLite file.
//!
//! SQLite runs in the calling thread. The methods are `async` only because the trait requires it: they block, for up
//! to [`BUSY_TIMEOUT`] if another program holds a lock.

use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tracing::warn;

use crate::catalogue::{CommittedChange, HistoryPoint, MovieView, Snapshot, StoreContent};
use crate::movie::Revision;
use crate::store::StoreError;
use crate::store::engine::{Engine, PollResult};
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::sql::rows::{self, FirstMovies};
use crate::store::sql::sqlite_file::{FileId, FileLock, FileVersion, head_without_log, log_path, remove_log};
use crate::store::sql::sqlite_statements::{self as statements, failed, head};
use crate::store::status::AccessMode;

/// Settings of a connection (<https://www.sqlite.org/pragma.html>):
///
/// * WAL: readers and the writer do not block each other;
/// * `synchronous = FULL`: a commit is durable when it returns;
/// * `wal_autocheckpoint = 0`: checkpoints are explicit, see [`Sqlite::checkpoint`].
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0";

/// Cache of a connection: 128 MiB, so that the index of ids, which writes access randomly, stays in memory up to some
/// millions of movies.
const CACHE: &str = "PRAGMA cache_size = -131072";

/// Cache for reading all movies, each page of which is read once: 2 MiB, so that pages take the memory of earlier ones.
const LOAD_CACHE: &str = "PRAGMA cache_size = -2048";

/// Cache for the first movies, whose pages are written once: 16 MiB. Also the memory in which SQLite sorts the ids.
const FILL_CACHE: &str = "PRAGMA cache_size = -16384";

/// How long to wait for a lock that another program holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Approximate size of the write-ahead log that triggers a checkpoint, in pages. It is SQLite's default.
const CHECKPOINT_LOG_PAGES: usize = 1_000;

/// Estimated pages that a commit adds to the log, in addition to one per change.
const COMMIT_PAGES: usize = 4;

/// A connection to an SQLite file.
#[derive(Debug)]
pub(in crate::store) struct Sqlite {
    path: PathBuf,
    /// Dropped before the lock, see [`FileLock`].
    connection: Option<Connection>,
    lock: Option<FileLock>,
    /// Version of the file after the latest checkpoint; `None` before the file was first opened.
    version: Option<FileVersion>,
    /// Path of the write-ahead log of the connection. It is not looked up for each transaction, which takes system calls.
    log_path: PathBuf,
    /// Identity of the file of the write-ahead log.
    log: Option<FileId>,
    /// Commits that the file may end with if it is read without its log: that of the latest checkpoint, and all since.
    possible_file_heads: Vec<HistoryPoint>,
    /// Estimated size of the write-ahead log, in pages.
    log_pages: usize,
}

impl Sqlite {
    /// Returns a store in this file, which is opened on first use, and created if it is missing.
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        Self {
            path,
            connection: None,
            lock: None,
            version: None,
            log_path: PathBuf::new(),
            log: None,
            possible_file_heads: Vec::new(),
            log_pages: 0,
        }
    }

    /// Returns a connection to the current file at the path. Reconnects if the file was replaced, or if its
    /// write-ahead log was removed.
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        if self.connection.is_some() && self.version != Some(FileVersion::of(&self.path)?) {
            self.connection = None;
        }
        if self.connection.is_some() && self.log != FileId::of(&self.log_path) {
            // The log was removed. SQLite still has it open, so its commits can be moved into the file.
            self.checkpoint()?;
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connect()?;
        }
        self.connection.as_ref().ok_or(StoreError::NotConnected)
    }

    fn connect(&mut self) -> Result<(), StoreError> {
        let found = FileVersion::of(&self.path);
        let is_locked =
            found.as_ref().is_ok_and(|found| self.lock.as_ref().is_some_and(|lock| lock.is_on(*found)));
        if !is_locked {
            self.lock = None;
            // A missing file is not recreated: it is probably being replaced.
            self.lock = Some(FileLock::take(&self.path, self.version.is_none())?);
        }
        let version = self.locked_version()?;
        // Neither is an emptied one filled: a copy is probably being written over it. SQLite would write to it when it opens it.
        if self.version.is_some() && version.is_empty() {
            return Err(StoreError::FileGone);
        }
        let in_file = head_without_log(&self.path);
        let is_changed = self.version.is_some_and(|known| known != version);
        if let Some(known) = self.version
            && is_changed
        {
            // Keep the log only if it belongs to this very file (same inode) and the latest commit in the file is one
            // that the log continues.
            let is_same = known.id() == version.id();
            let is_continued = match &in_file {
                Ok(head) => head.is_some_and(|head| self.possible_file_heads.contains(&head)),
                Err(error) if is_same => return Err(StoreError::Failed(error.to_string())),
                Err(_) => false,
            };
            if !is_same || !is_continued {
                self.drop_log()?;
            }
        }
        let mut connection = open_for_service(&self.path)?;
        if is_changed && !is_sound(&connection)? {
            // The file is a copy with the same latest commit and other page positions, as after VACUUM INTO.
            drop(connection);
            self.drop_log()?;
            connection = open_for_service(&self.path)?;
        }
        statements::migrate(&connection, &self.path, self.version.is_none())?;
        let in_file = in_file.ok().flatten();
        self.possible_file_heads = in_file.into_iter().chain(iter::once(head(&connection)?)).collect();
        self.log_path = log_path(&self.path);
        self.log = FileId::of(&self.log_path);
        self.connection = Some(connection);
        // Reads work without a complete checkpoint, as on a full disk.
        let _ = self.checkpoint();
        self.version = Some(self.locked_version()?);
        Ok(())
    }

    /// Returns the version of the locked file, even if another file has its name by now.
    fn locked_version(&self) -> Result<FileVersion, StoreError> {
        self.lock.as_ref().ok_or(StoreError::NotConnected)?.version()
    }

    /// Removes the write-ahead log of a replaced file, unless the log was replaced as well.
    fn drop_log(&self) -> Result<(), StoreError> {
        let is_other =
            FileId::of(&log_path(&self.path)).is_some_and(|found| self.log.is_some_and(|log| log != found));
        let log = if is_other {
            "keeping the write-ahead log that came with the new one"
        } else {
            "removing the write-ahead log of the previous one"
        };
        warn!("`{}` was replaced by another database; {log}", self.path.display());
        remove_log(&self.path, is_other)
    }

    /// Moves the pages of the write-ahead log into the file, except those that a reader still needs.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            // Whether another checkpoint was running, the pages of the log, and how many of them are now in the file;
            // the last two are -1 if unknown.
            let (is_busy, pages, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(!is_busy && pages >= 0 && pages == moved)
        });
        // An incomplete checkpoint changes the file, too.
        self.version = Some(self.locked_version()?);
        if moved.map_err(failed)? {
            let latest = self.possible_file_heads.len().saturating_sub(1);
            self.possible_file_heads.drain(..latest);
        }
        self.log_pages = 0;
        Ok(())
    }

    fn execute(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::NotConnected)?;
        connection.execute_batch(sql).map_err(failed)
    }

    /// Writes the first movies of a new store in one transaction. Returns whether the store is new; otherwise, nothing is
    /// written.
    pub(super) async fn fill<'a>(
        mut self,
        first: FirstMovies<impl Iterator<Item = MovieView<'a>>>,
    ) -> Result<bool, StoreError> {
        let head = self.begin_write().await?;
        if head.revision != Revision::default() {
            self.rollback().await?;
            self.close();
            return Ok(false);
        }
        self.execute(FILL_CACHE)?;
        let oldest_kept = first.oldest_kept();
        let last = statements::fill(self.transaction()?, first.changes(head), oldest_kept).map_err(failed)?;
        self.log_pages = CHECKPOINT_LOG_PAGES + 1;
        self.possible_file_heads.extend(last);
        self.commit().await?;
        self.close();
        Ok(true)
    }

    /// Reads all movies and the latest changes, in the transaction.
    fn read(&self, head: HistoryPoint, max_changes: usize) -> Result<StoreContent, StoreError> {
        let connection = self.transaction()?;
        // The row before the first change is read for its chain value.
        let before = head.revision.minus(max_changes as u64).to_i64() - 1;
        // Before the movies, which then take the memory that the rows took.
        let latest = rows::latest(head, &statements::changes(connection, before, head.revision)?)?;
        let snapshot = statements::movies(connection)?.at(head);
        Ok(StoreContent { snapshot, latest })
    }

    /// Returns the connection of the transaction.
    fn transaction(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or(StoreError::NotConnected)
    }
}

impl Engine for Sqlite {
    const POLL_INTERVAL: Duration = Duration::from_millis(250);

    fn second_connection(&mut self) -> Option<Self> {
        None
    }

    async fn poll(&mut self) -> Result<PollResult, StoreError> {
        Ok(PollResult { head: head(self.connection()?)?, mode: AccessMode::ReadWrite })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&mut self, max_changes: usize) -> Result<StoreContent, StoreError> {
        let head = self.begin_read().await?;
        self.execute(LOAD_CACHE)?;
        let content = self.read(head, max_changes);
        self.execute(CACHE)?;
        let content = content?;
        self.commit().await?;
        Ok(content)
    }

    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError> {
        self.connection()?;
        self.execute("BEGIN")?;
        head(self.transaction()?)
    }

    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError> {
        self.connection()?;
        self.execute("BEGIN IMMEDIATE; UPDATE head SET revision = revision")?;
        head(self.transaction()?)
    }

    async fn changes(
        &mut self,
        after: Revision,
        up_to: Revision,
    ) -> Result<Vec<CommittedChange>, StoreError> {
        let found = statements::changes(self.transaction()?, after.to_i64(), up_to)?;
        rows::changes_between(found, after, up_to)
    }

    async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError> {
        statements::requests(self.transaction()?, ids)
    }

    async fn put(&mut self, changes: &[CommittedChange], requests: &[NewRequest]) -> Result<(), StoreError> {
        let connection = self.transaction()?;
        statements::put(connection, changes, requests).map_err(failed)?;
        self.log_pages += changes.len() + COMMIT_PAGES;
        self.possible_file_heads.extend(changes.last().map(|change| change.point));
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.execute("COMMIT")?;
        if self.log_pages > CHECKPOINT_LOG_PAGES && self.version == FileVersion::of(&self.path).ok() {
            // The commit is durable even if the checkpoint fails.
            let _ = self.checkpoint();
        }
        Ok(())
    }

    async fn rollback(&mut self) -> Result<(), StoreError> {
        match &self.connection {
            Some(connection) if !connection.is_autocommit() => self.execute("ROLLBACK"),
            Some(_) | None => Ok(()),
        }
    }

    async fn compact(&mut self, max_kept: u64, max_removed: u64) -> Result<bool, StoreError> {
        let head = self.begin_write().await?;
        let (removed, has_more) =
            statements::compact(self.transaction()?, head.revision, max_kept, max_removed)?;
        if removed == 0 {
            self.rollback().await?;
        } else {
            self.log_pages += removed;
            self.commit().await?;
        }
        if self.log_pages > 0 && self.version == FileVersion::of(&self.path).ok() {
            // The writer is idle, so move all commits into the file.
            self.checkpoint()?;
        }
        Ok(has_more)
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.version == FileVersion::of(&self.path).ok()
        {
            // Closing the last connection then moves the log into the file and removes it.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

/// Reads all movies of a file, which a service may be writing to.
pub(super) fn read(path: &Path) -> Result<Snapshot, StoreError> {
    // SQLite's error for a missing file names neither the file nor the reason.
    FileVersion::of(path)?;
    statements::movies(&open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)
}

/// Opens a file for the service, with its settings.
fn open_for_service(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Otherwise, closing the connection would move the log into a file that may have been replaced.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    connection.execute_batch(PRAGMAS).and_then(|()| connection.execute_batch(CACHE)).map_err(failed)?;
    Ok(connection)
}

/// Returns whether the pages of a database are consistent.
fn is_sound(connection: &Connection) -> Result<bool, StoreError> {
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found {
        Ok(found) => Ok(found == "ok"),
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::DatabaseCorrupt => {
            Ok(false)
        }
        Err(error) => Err(failed(error)),
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let connection = connection.map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::catalogue::{Catalogue, LogEntry};
    use crate::regular_file::tests::replace_by_fifo;
    use crate::text::error_chain;

    #[tokio::test]
    async fn a_pipe_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("films.db");
        std::fs::write(&path, "").unwrap();
        replace_by_fifo(&path);
        let error = error_chain(&Sqlite::new(path).poll().await.unwrap_err());
        assert!(error.contains("special file"), "{error}");
    }

    #[tokio::test]
    async fn the_first_movies_are_written_once_with_the_latest_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("films.db");
        let ids = ["5", "4", "3", "2", "1"];
        let first = || {
            let movies = ids.iter().map(|id| MovieView { id, title: "Creed", ..MovieView::default() });
            FirstMovies { count: ids.len(), movies, now: SystemTime::now().into(), max_kept: 2 }
        };
        assert!(Sqlite::new(path.clone()).fill(first()).await.unwrap());
        assert!(!Sqlite::new(path.clone()).fill(first()).await.unwrap());
        let mut store = Sqlite::new(path);
        let content = store.load(10).await.unwrap();
        assert!(content.snapshot.movies().map(|movie| movie.id).eq(ids));
        let catalogue = Catalogue::of_store(10, content);
        let oldest = catalogue.point_at(Revision::new(3)).unwrap();
        assert!(catalogue.point_at(Revision::new(2)).is_err());
        // A log that ends elsewhere is refused by `load`, and a broken chain by the catalogue.
        let mut point = oldest;
        let changes = catalogue.changes(oldest, 10).unwrap();
        assert_eq!(changes.len(), 2);
        for LogEntry { point: next, id, after, .. } in changes {
            point = CommittedChange::after(point, &id, after).point;
            assert_eq!(point, next);
        }
        // The index of ids is there.
        let next = CommittedChange::after(point, "1", None);
        store.begin_write().await.unwrap();
        store.put(&[next], &[]).await.unwrap();
        store.commit().await.unwrap();
        assert_eq!(store.load(10).await.unwrap().snapshot.len(), 4);
    }

    #[tokio::test]
    async fn a_statement_without_a_connection_says_so_and_is_not_a_timeout() {
        let mut store = Sqlite::new("never-opened.db".into());
        assert!(matches!(store.commit().await, Err(StoreError::NotConnected)));
        assert!(matches!(store.put(&[], &[]).await, Err(StoreError::NotConnected)));
    }
}
