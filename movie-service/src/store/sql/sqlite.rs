//! A store in an SQLite file.
//!
//! SQLite answers in the calling thread, so nothing here waits: the methods are async only because the trait is.

use std::collections::HashMap;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use tracing::warn;

use crate::catalogue::{Committed, HistoryPoint, Loaded, Snapshot};
use crate::movie::Revision;
use crate::store::StoreError;
use crate::store::engine::{Engine, Look};
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::sql::rows::{self, MovieRows, Movies, signed};
use crate::store::sql::schema;
use crate::store::sql::sqlite_file::{FileId, FileLock, FileVersion, head_without_log, remove_log};
use crate::store::status::Access;

/// Commits are on the disk when they return, readers are not kept waiting by a writer, the index of ids, which writes come
/// to in no order, stays in memory up to some millions of movies, and checkpoints are ours, see [`Sqlite::checkpoint`].
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -131072; \
    PRAGMA wal_autocheckpoint = 0";

/// How long to wait for a lock that another program holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// About how many pages the write-ahead log may have before they are moved into the file, and how many of these a commit
/// takes beside one for each change. SQLite's own limit is the same.
const LOG_PAGES: usize = 1_000;
const COMMIT_PAGES: usize = 4;

/// A connection to an SQLite file.
#[derive(Debug)]
pub(in crate::store) struct Sqlite {
    path: PathBuf,
    /// Dropped before the lock, see [`FileLock`].
    connection: Option<Connection>,
    lock: Option<FileLock>,
    /// The file as the latest checkpoint left it.
    version: Option<FileVersion>,
    /// The write-ahead log, as a file.
    log: Option<FileId>,
    /// The commits that the file can end with, without its write-ahead log: that of the latest checkpoint, and those since.
    checkpoints: Vec<HistoryPoint>,
    /// About how many pages the write-ahead log has.
    log_pages: usize,
}

impl Sqlite {
    /// A store in this file; it is opened, and made if it is missing, when it is used.
    pub(in crate::store) fn new(path: PathBuf) -> Self {
        let (connection, lock, version, log, checkpoints) = (None, None, None, None, Vec::new());
        Self { path, connection, lock, version, log, checkpoints, log_pages: 0 }
    }

    /// Returns a connection to the current file at the path, reconnecting if it was replaced.
    fn connection(&mut self) -> Result<&Connection, StoreError> {
        if self.connection.is_some() && self.version != Some(FileVersion::of(&self.path)?) {
            self.connection = None;
        }
        if self.connection.is_some() && self.log != FileId::of_log(&self.path) {
            // The log was removed. SQLite still has it, so its commits can be moved into the file.
            self.checkpoint()?;
            self.connection = None;
        }
        if self.connection.is_none() {
            self.connect()?;
        }
        self.connection.as_ref().ok_or(StoreError::Late)
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
        let in_file = head_without_log(&self.path);
        let is_changed = self.version.is_some_and(|known| known != version);
        if let Some(known) = self.version
            && is_changed
        {
            // Keep the log only if it belongs to this very file (same inode) and continues a commit that the file
            // has.
            let is_same = known.id() == version.id();
            let is_continued = match &in_file {
                Ok(head) => head.is_some_and(|head| self.checkpoints.contains(&head)),
                Err(error) if is_same => return Err(StoreError::Failed(error.to_string())),
                Err(_) => false,
            };
            if !is_same || !is_continued {
                self.drop_log()?;
            }
        }
        let mut connection = open_settled(&self.path)?;
        if is_changed && !is_sound(&connection)? {
            // A copy with the same latest commit, whose pages are in other places, as after VACUUM INTO.
            drop(connection);
            self.drop_log()?;
            connection = open_settled(&self.path)?;
        }
        migrate(&connection)?;
        let in_file = in_file.ok().flatten();
        self.checkpoints = in_file.into_iter().chain(iter::once(head(&connection)?)).collect();
        self.log = FileId::of_log(&self.path);
        self.connection = Some(connection);
        // An incomplete checkpoint, as on a full disk, does not prevent reads.
        let _ = self.checkpoint();
        self.version = Some(self.locked_version()?);
        Ok(())
    }

    /// Returns the version of the file that is locked, whatever has its name by now.
    fn locked_version(&self) -> Result<FileVersion, StoreError> {
        self.lock.as_ref().ok_or(StoreError::Late)?.version(&self.path)
    }

    /// Removes the write-ahead log of the file that was replaced, unless the log was replaced as well.
    fn drop_log(&self) -> Result<(), StoreError> {
        let is_other =
            FileId::of_log(&self.path).is_some_and(|found| self.log.is_some_and(|log| log != found));
        let log = if is_other {
            "keeping the write-ahead log that came with it"
        } else {
            "removing the write-ahead log of the previous one"
        };
        warn!("`{}` was replaced by another database; {log}", self.path.display());
        remove_log(&self.path, is_other)
    }

    /// Moves the write-ahead log into the file, as far as no reader needs it.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            // Whether another checkpoint was in the way, pages in the log, and those of them that are in the file now;
            // -1 if that is not known.
            let (is_busy, pages, moved): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(!is_busy && pages >= 0 && pages == moved)
        });
        // Also what was moved in part has changed the file.
        self.version = Some(self.locked_version()?);
        if moved.map_err(failed)? {
            let latest = self.checkpoints.len().saturating_sub(1);
            self.checkpoints.drain(..latest);
        }
        self.log_pages = 0;
        Ok(())
    }

    fn execute(&mut self, sql: &str) -> Result<(), StoreError> {
        let connection = self.connection.as_ref().ok_or(StoreError::Late)?;
        connection.execute_batch(sql).map_err(failed)
    }

    /// Returns the connection that has a transaction.
    fn transaction(&self) -> Result<&Connection, StoreError> {
        self.connection.as_ref().ok_or(StoreError::Late)
    }
}

impl Engine for Sqlite {
    const LOOK_INTERVAL: Duration = Duration::from_millis(250);

    fn second_connection(&mut self) -> Option<Self> {
        None
    }

    async fn look(&mut self) -> Result<Look, StoreError> {
        Ok(Look { head: head(self.connection()?)?, access: Access::ReadWrite })
    }

    async fn find_writable(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn load(&mut self, latest: usize) -> Result<Loaded, StoreError> {
        let head = self.begin_read().await?;
        let connection = self.transaction()?;
        let snapshot = movies(connection)?;
        let oldest = head.revision.minus(latest as u64);
        let rows = changes(connection, "revision >= ?1 AND revision <= ?2", oldest, head.revision)?;
        self.commit().await?;
        rows::loaded(snapshot, head, rows)
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

    async fn changes(&mut self, after: Revision, up_to: Revision) -> Result<Vec<Committed>, StoreError> {
        let found = changes(self.transaction()?, "revision > ?1 AND revision <= ?2", after, up_to)?;
        rows::changes_between(found, after, up_to)
    }

    async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError> {
        let select = "SELECT changes.id, changes.movie, requests.fingerprint FROM requests \
            JOIN changes ON changes.revision = requests.revision WHERE requests.request_id = ?1";
        let mut statement = self.transaction()?.prepare_cached(select).map_err(failed)?;
        let mut found = HashMap::new();
        for request_id in ids {
            let row = statement.query_row([request_id], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<Vec<u8>>>(1)?, row.get::<_, i64>(2)?))
            });
            if let Some((id, Some(movie), fingerprint)) = row.optional().map_err(failed)? {
                let record = rows::record(&id, movie)?;
                let stored = StoredRequest { fingerprint: fingerprint.cast_unsigned(), record };
                found.insert((*request_id).to_owned(), stored);
            }
        }
        Ok(found)
    }

    async fn put(&mut self, changes: &[Committed], requests: &[NewRequest]) -> Result<(), StoreError> {
        let connection = self.transaction()?;
        put(connection, changes, requests).map_err(failed)?;
        self.log_pages += changes.len() + COMMIT_PAGES;
        self.checkpoints.extend(changes.last().map(|change| change.point));
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.execute("COMMIT")?;
        if self.log_pages > LOG_PAGES && self.version == FileVersion::of(&self.path).ok() {
            // The commit is durable, whatever becomes of the checkpoint.
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

    async fn compact(&mut self, keep: u64, most: u64) -> Result<bool, StoreError> {
        let head = self.begin_write().await?;
        let (removed, is_more) = compact(self.transaction()?, head.revision, keep, most).map_err(failed)?;
        if removed == 0 {
            self.rollback().await?;
        } else {
            self.log_pages += removed;
            self.commit().await?;
        }
        if self.log_pages > 0 && self.version == FileVersion::of(&self.path).ok() {
            // While nothing else is to be done, so that the file alone is complete.
            self.checkpoint()?;
        }
        Ok(is_more)
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }

    fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.version == FileVersion::of(&self.path).ok()
        {
            // SQLite moves the log into the file, and removes it, when the last connection closes.
            let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

/// Reads the movies of a file that a service may write to meanwhile.
pub(super) fn read(path: &Path) -> Result<Snapshot, StoreError> {
    // What SQLite says of a missing file names neither it nor the reason.
    FileVersion::of(path)?;
    movies(&open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)
}

/// Opens a file for a service.
fn open_settled(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // To close the connection would move the log into a file that may have been replaced.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    connection.execute_batch(SETTINGS).map_err(failed)?;
    Ok(connection)
}

/// Returns whether the pages of a database fit together.
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

/// Returns the latest commit.
pub(super) fn head(connection: &Connection) -> Result<HistoryPoint, StoreError> {
    let mut statement = connection.prepare_cached("SELECT revision, chain FROM head").map_err(failed)?;
    let row = statement.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)));
    let (revision, chain) = row.map_err(failed)?;
    rows::point(revision, &chain)
}

fn movies(connection: &Connection) -> Result<Snapshot, StoreError> {
    let select = "SELECT id, movie FROM movies ORDER BY position";
    let mut statement = connection.prepare(select).map_err(failed)?;
    let mut found = statement.query([]).map_err(failed)?;
    let mut movies = Movies::default();
    while let Some(row) = found.next().map_err(failed)? {
        let id = row.get_ref(0).and_then(|id| Ok(id.as_str()?)).map_err(failed)?;
        movies.push(id, row.get(1).map_err(failed)?)?;
    }
    movies.finish()
}

/// Reads the changes whose revisions fit a condition on two numbers.
fn changes(
    connection: &Connection,
    condition: &str,
    first: Revision,
    last: Revision,
) -> Result<Vec<Committed>, StoreError> {
    let select =
        format!("SELECT revision, id, movie, chain FROM changes WHERE {condition} ORDER BY revision");
    let mut statement = connection.prepare_cached(&select).map_err(failed)?;
    let mut found = statement.query([first.to_i64(), last.to_i64()]).map_err(failed)?;
    let mut changes = Vec::new();
    while let Some(row) = found.next().map_err(failed)? {
        let id = row.get_ref(1).and_then(|id| Ok(id.as_str()?)).map_err(failed)?;
        let chain = row.get_ref(3).and_then(|chain| Ok(chain.as_blob()?)).map_err(failed)?;
        let (revision, movie) =
            row.get(0).and_then(|revision| Ok((revision, row.get(2)?))).map_err(failed)?;
        changes.push(rows::change(revision, id, movie, chain)?);
    }
    Ok(changes)
}

fn put(connection: &Connection, changes: &[Committed], requests: &[NewRequest]) -> rusqlite::Result<()> {
    let MovieRows { removed, upserted } = MovieRows::after(changes);
    let mut delete = connection.prepare_cached("DELETE FROM movies WHERE id = ?1")?;
    for id in removed {
        delete.execute([id])?;
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO movies (position, id, movie) VALUES (?1, ?2, ?3) \
         ON CONFLICT (id) DO UPDATE SET movie = excluded.movie",
    )?;
    for (position, id, record) in upserted {
        upsert.execute(params![position.to_i64(), id, &**record.bytes()])?;
    }
    let mut insert = connection
        .prepare_cached("INSERT INTO changes (revision, id, movie, chain) VALUES (?1, ?2, ?3, ?4)")?;
    for Committed { point, id, record } in changes {
        let movie = record.as_ref().map(|record| &**record.bytes());
        insert.execute(params![point.revision.to_i64(), &**id, movie, point.chain.as_bytes()])?;
    }
    let mut insert = connection
        .prepare_cached("INSERT INTO requests (request_id, revision, fingerprint) VALUES (?1, ?2, ?3)")?;
    for NewRequest { id, fingerprint, revision } in requests {
        insert.execute(params![id, revision.to_i64(), fingerprint.cast_signed()])?;
    }
    if let Some(last) = changes.last() {
        let mut update = connection.prepare_cached("UPDATE head SET revision = ?1, chain = ?2")?;
        update.execute(params![last.point.revision.to_i64(), last.point.chain.as_bytes()])?;
    }
    Ok(())
}

/// Removes up to `most` changes that are older than the latest `keep`; returns how many, and whether more are left. The row
/// before the oldest change that is kept stays, for its chain value.
fn compact(connection: &Connection, head: Revision, keep: u64, most: u64) -> rusqlite::Result<(usize, bool)> {
    let oldest: Option<i64> =
        connection.query_row("SELECT min(revision) FROM changes", [], |row| row.get(0))?;
    let wanted = head.minus(keep).to_i64();
    let bound = wanted.min(oldest.unwrap_or(wanted).saturating_add(signed(most)));
    connection.prepare_cached("DELETE FROM requests WHERE revision < ?1")?.execute([bound])?;
    let removed = connection.prepare_cached("DELETE FROM changes WHERE revision < ?1")?.execute([bound])?;
    Ok((removed, bound < wanted))
}

/// Brings the schema up to date.
fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let table = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let mut applied = Vec::new();
    if transaction.query_row(table, [], |row| row.get::<_, i64>(0)).map_err(failed)? > 0 {
        let select = "SELECT version, checksum FROM _sqlx_migrations ORDER BY version";
        let mut statement = transaction.prepare(select).map_err(failed)?;
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        applied = found.collect::<Result<_, _>>().map_err(failed)?;
    }
    for migration in schema::missing(&schema::SQLITE, &applied)? {
        transaction.execute_batch(TABLE_OF_MIGRATIONS).map_err(failed)?;
        transaction.execute_batch(migration.sql).map_err(failed)?;
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
            VALUES (?1, ?2, TRUE, ?3, 0)";
        let row = params![migration.version, migration.description, migration.checksum()];
        transaction.execute(insert, row).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

const TABLE_OF_MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (version BIGINT PRIMARY KEY, \
    description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
    checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

/// Returns what an error of SQLite means for a store.
#[expect(clippy::needless_pass_by_value, reason = "maps an error")]
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let why = error.to_string();
    // The names are those of https://www.sqlite.org/rescode.html.
    match code {
        // BUSY, LOCKED, BUSY_RECOVERY, BUSY_SNAPSHOT.
        Some(5 | 6 | 261 | 517) => StoreError::Locked,
        // FULL, IOERR_WRITE; the latter is what a quota or a limit on the size of files leads to.
        Some(13 | 778) => StoreError::Full(why),
        // CORRUPT, NOTADB, CORRUPT_VTAB, CORRUPT_SEQUENCE, CORRUPT_INDEX.
        Some(11 | 26 | 267 | 523 | 779) => StoreError::Damaged(why),
        Some(_) | None => StoreError::Failed(why),
    }
}
