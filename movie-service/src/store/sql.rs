//! Movies in an SQL database: SQLite, or whatever speaks PostgreSQL's protocol and has serialisable transactions.
//!
//! Both take the same statements; what differs is how they are opened and how a transaction begins.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Executor, Row, Transaction, query};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::plan::{Planned, Remembered};
use crate::catalogue::{Builder, ChangeError, Draft, Movie, Record, Snapshot};
use crate::movie;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take for a statement, and wait for a transaction that its client has forgotten.
const PATIENCE: &str = "SET statement_timeout = '20s'; SET idle_in_transaction_session_timeout = '10s'";

/// What is committed is on the disk, readers are not kept waiting by writers, and the index of ids, which writes come to in
/// no order, stays in memory up to some millions of movies.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
    PRAGMA cache_size = -131072";

/// Rows in a statement: the statements are few, so that they are prepared once.
const CHUNKS: [usize; 3] = [256, 16, 1];

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Where movies are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL server.
    Postgres(String),
}

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
}

impl From<ChangeError> for StoreError {
    fn from(error: ChangeError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A store, connected as long as it can be.
#[derive(Debug)]
pub struct Sql {
    place: Place,
    connection: Option<AnyConnection>,
    /// Held so that no other service has the same file.
    _lock: Option<File>,
}

/// Changes as they were committed: the id, and the movie since or `None`.
pub type Changes = Vec<(Box<str>, Option<Record>)>;

impl Place {
    /// Returns what the store is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Returns whether other services may have the same store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        match self {
            // What is in the path must not be taken for a part of the URL.
            Self::Sqlite(path) => {
                let path = path.to_string_lossy();
                let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
                AnyConnectOptions::from_str(&format!("sqlite:{path}?mode=rwc"))
            }
            Self::Postgres(url) => AnyConnectOptions::from_str(url),
        }
    }
}

impl Sql {
    /// Opens a store to write to, and makes it if it is missing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be used.
    pub async fn open(place: Place) -> Result<Self, StoreError> {
        let lock = match &place {
            Place::Sqlite(path) => Some(lock(path)?),
            Place::Postgres(_) => None,
        };
        let mut store = Self { place, connection: None, _lock: lock };
        let migrator = match &store.place {
            Place::Sqlite(_) => &SQLITE,
            Place::Postgres(_) => &POSTGRES,
        };
        migrator.run(store.connection().await?).await.map_err(not_migrated)?;
        Ok(store)
    }

    /// Opens a store that is there, to read from it; somebody else may write to it meanwhile.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be used.
    pub async fn open_to_read(place: Place) -> Result<Self, StoreError> {
        if let Place::Sqlite(path) = &place {
            File::open(path).map_err(|source| StoreError::Lock { path: path.clone(), source })?;
        }
        let mut store = Self { place, connection: None, _lock: None };
        store.connection().await?;
        Ok(store)
    }

    /// Returns where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reads all movies, at one revision, and the latest changes that led there: at most `most`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be read.
    pub async fn load(&mut self, most: usize) -> Result<(Snapshot, Changes), StoreError> {
        let begin = match self.place {
            Place::Sqlite(_) => "BEGIN",
            Place::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut reading = self.connection().await?.begin_with(begin).await?;
        let revision = revision(&mut reading).await?;
        let (mut draft, mut builder) = (Draft::default(), Builder::default());
        {
            let mut rows = query("SELECT id, movie FROM movies ORDER BY position").fetch(&mut *reading);
            while let Some(row) = rows.next().await {
                let row = row?;
                let record = record(&row)?.ok_or_else(|| StoreError::Damaged("a movie is empty".into()))?;
                if let Some(full) = draft.push(&Movie::of_record(record.bytes()))? {
                    builder.push(&full).map_err(|(_, error)| error)?;
                }
            }
        }
        builder.push(&draft).map_err(|(_, error)| error)?;
        let snapshot = builder.finish().map_err(|(_, error)| error)?.at_revision(revision);
        let after = revision.saturating_sub(most as u64);
        let oldest: Option<i64> = query("SELECT MIN(revision) FROM changes WHERE revision > $1")
            .bind(signed(after))
            .fetch_one(&mut *reading)
            .await?
            .try_get(0)?;
        let latest = match oldest {
            Some(oldest) => changes(&mut reading, unsigned(oldest)?.saturating_sub(1), revision).await?,
            None => Changes::new(),
        };
        reading.commit().await?;
        Ok((snapshot, latest))
    }

    /// Returns up to `most` changes after a revision.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] if they are no longer kept, or what else keeps them from being read.
    pub async fn changes(&mut self, after: u64, most: u64) -> Result<Changes, StoreError> {
        let begin = match self.place {
            Place::Sqlite(_) => "BEGIN",
            Place::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut reading = self.connection().await?.begin_with(begin).await?;
        let newest = revision(&mut reading).await?;
        if newest < after {
            return Err(StoreError::Damaged(format!(
                "it is at revision {newest}, and was at {after} before"
            )));
        }
        let found = changes(&mut reading, after, newest.min(after.saturating_add(most))).await?;
        reading.commit().await?;
        Ok(found)
    }

    /// Returns the revision of the last change.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read.
    pub async fn revision(&mut self) -> Result<u64, StoreError> {
        let connection = self.connection().await?;
        let row = query("SELECT revision FROM head").fetch_one(&mut *connection).await?;
        unsigned(row.try_get(0)?)
    }

    /// Begins a transaction in which nobody else writes, and returns it with the revision of the last change.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot begin.
    pub async fn begin(&mut self) -> Result<(Writing<'_>, u64), StoreError> {
        let begin = match self.place {
            Place::Sqlite(_) => "BEGIN IMMEDIATE",
            Place::Postgres(_) => "BEGIN",
        };
        let mut transaction = self.connection().await?.begin_with(begin).await?;
        // To change the row is to lock it, also where transactions do not wait for each other otherwise.
        let locked = query("UPDATE head SET revision = revision").execute(&mut *transaction).await?;
        if locked.rows_affected() != 1 {
            return Err(StoreError::Damaged("the table `head` has not one row".into()));
        }
        let revision = revision(&mut transaction).await?;
        Ok((Writing(transaction), revision))
    }

    /// Forgets up to `most` changes that are older than the last `keep`. Returns whether there may be more of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that cannot be done.
    pub async fn compact(&mut self, keep: u64, most: u64) -> Result<bool, StoreError> {
        let connection = self.connection().await?;
        let row = query("SELECT (SELECT revision FROM head), (SELECT MIN(revision) FROM changes)")
            .fetch_one(&mut *connection)
            .await?;
        let (newest, oldest): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let (newest, oldest) = (unsigned(newest)?, unsigned(oldest.unwrap_or(i64::MAX))?);
        let bound = newest.saturating_sub(keep).min(oldest.saturating_add(most));
        if bound < oldest {
            return Ok(false);
        }
        let mut transaction = connection.begin().await?;
        for table in ["requests", "changes"] {
            let delete = format!("DELETE FROM {table} WHERE revision <= $1");
            query(AssertSqlSafe(delete)).bind(signed(bound)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(bound < newest.saturating_sub(keep))
    }

    /// Gives the connection up: whatever it was doing, the next one starts anew.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    async fn connection(&mut self) -> Result<&mut AnyConnection, StoreError> {
        if self.connection.is_none() {
            static DRIVERS: Once = Once::new();
            DRIVERS.call_once(sqlx::any::install_default_drivers);
            let options = self.place.options()?;
            let connecting = AnyConnection::connect_with(&options);
            let mut connection = timeout(CONNECT, connecting).await.map_err(|_| StoreError::Late)??;
            let set_up = match self.place {
                Place::Sqlite(_) => SETTINGS,
                Place::Postgres(_) => PATIENCE,
            };
            timeout(CONNECT, connection.execute(set_up)).await.map_err(|_| StoreError::Late)??;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or(StoreError::Late)
    }
}

/// A transaction in which nobody else writes. It does nothing unless it is committed.
#[derive(Debug)]
pub struct Writing<'a>(Transaction<'a, Any>);

impl Writing<'_> {
    /// Returns the changes after a revision up to another.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be read.
    pub async fn changes(&mut self, after: u64, up_to: u64) -> Result<Changes, StoreError> {
        changes(&mut self.0, after, up_to).await
    }

    /// Returns those of these requests that were made before.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be read.
    pub async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, Remembered>, StoreError> {
        let mut found = HashMap::new();
        for id in ids {
            let select = "SELECT changes.id, changes.movie, requests.fingerprint FROM requests \
                JOIN changes ON changes.revision = requests.revision WHERE requests.request_id = $1";
            let row = query(select).bind((*id).to_owned()).fetch_optional(&mut *self.0).await?;
            if let Some(row) = row
                && let Some(record) = record(&row)?
            {
                let fingerprint = row.try_get::<i64, _>(2)?.cast_unsigned();
                found.insert((*id).to_owned(), Remembered { fingerprint, record });
            }
        }
        Ok(found)
    }

    /// Puts changes that follow a revision into the transaction, and the requests that made them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if that cannot be done.
    pub async fn put(
        &mut self,
        after: u64,
        planned: &[Planned],
        requests: &[(String, u64, usize)],
    ) -> Result<(), StoreError> {
        let transaction = &mut *self.0;
        // The last change of a movie is the one that counts; one that was removed before has another position now.
        let mut last: HashMap<&str, (u64, Option<&Record>, bool)> = HashMap::new();
        for (change, revision) in planned.iter().zip(after + 1..) {
            let entry = last.entry(&change.id).or_insert((revision, None, false));
            if entry.1.is_none() {
                entry.0 = revision;
            }
            entry.1 = change.record.as_ref();
            entry.2 |= change.record.is_none();
        }
        for (id, _) in last.iter().filter(|(_, (.., removed))| *removed) {
            query("DELETE FROM movies WHERE id = $1")
                .bind((*id).to_owned())
                .execute(&mut *transaction)
                .await?;
        }
        let movies: Vec<_> = last
            .into_iter()
            .filter_map(|(id, (position, record, _))| Some((position, id, Some(record?))))
            .collect();
        let changes: Vec<_> = planned
            .iter()
            .zip(after + 1..)
            .map(|(change, revision)| (revision, change.id.as_str(), change.record.as_ref()))
            .collect();
        let upsert = " ON CONFLICT (id) DO UPDATE SET movie = excluded.movie";
        insert(transaction, "movies (position, id, movie)", upsert, &movies).await?;
        insert(transaction, "changes (revision, id, movie)", "", &changes).await?;
        for (id, fingerprint, change) in requests {
            query("INSERT INTO requests (request_id, revision, fingerprint) VALUES ($1, $2, $3)")
                .bind(id.clone())
                .bind(signed(after + 1 + *change as u64))
                .bind(fingerprint.cast_signed())
                .execute(&mut *transaction)
                .await?;
        }
        query("UPDATE head SET revision = $1")
            .bind(signed(after + planned.len() as u64))
            .execute(&mut *transaction)
            .await?;
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; unless it is a conflict, nobody knows whether it is done.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}

/// Inserts rows of a number, an id and a movie, many in a statement.
async fn insert(
    connection: &mut AnyConnection,
    into: &str,
    on_conflict: &str,
    mut rows: &[(u64, &str, Option<&Record>)],
) -> Result<(), StoreError> {
    for size in CHUNKS {
        let values: Vec<_> =
            (0..size).map(|row| format!("(${}, ${}, ${})", 3 * row + 1, 3 * row + 2, 3 * row + 3)).collect();
        let statement = format!("INSERT INTO {into} VALUES {}{on_conflict}", values.join(", "));
        while let Some((chunk, rest)) = rows.split_at_checked(size) {
            let mut query = query(AssertSqlSafe(statement.as_str()));
            for (number, id, record) in chunk {
                query = query.bind(signed(*number)).bind((*id).to_owned());
                query = query.bind(record.map(|record| record.bytes().to_vec()));
            }
            query.execute(&mut *connection).await?;
            rows = rest;
        }
    }
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's, to which variants may be added")]
fn not_migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => StoreError::Newer,
        MigrateError::VersionMismatch(version) => {
            StoreError::Damaged(format!("its schema {version} is not the one of this service"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// Takes the file beside a database that says who uses it.
fn lock(database: &Path) -> Result<File, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| StoreError::Lock { path: path.clone(), source };
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

async fn revision(connection: &mut AnyConnection) -> Result<u64, StoreError> {
    let row = query("SELECT revision FROM head").fetch_one(connection).await?;
    unsigned(row.try_get(0)?)
}

/// Returns the changes after a revision up to another.
async fn changes(connection: &mut AnyConnection, after: u64, up_to: u64) -> Result<Changes, StoreError> {
    let select =
        "SELECT id, movie, revision FROM changes WHERE revision > $1 AND revision <= $2 ORDER BY revision";
    let rows = query(select).bind(signed(after)).bind(signed(up_to)).fetch_all(connection).await?;
    let mut changes = Changes::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(after + 1..) {
        if unsigned(row.try_get(2)?)? != expected {
            return Err(StoreError::Compacted(after));
        }
        changes.push((row.try_get::<&str, _>(0)?.into(), record(row)?));
    }
    if changes.len() as u64 == up_to - after { Ok(changes) } else { Err(StoreError::Compacted(after)) }
}

/// Returns the movie of a row of an id and a movie.
fn record(row: &AnyRow) -> Result<Option<Record>, StoreError> {
    let id: &str = row.try_get(0)?;
    let Some(bytes) = row.try_get::<Option<Vec<u8>>, _>(1)? else { return Ok(None) };
    if !movie::is_record(&bytes, id) {
        return Err(StoreError::Damaged(format!("what it has of movie `{id}` is no movie")));
    }
    Ok(Some(Record::from_bytes(bytes.into())))
}

fn signed(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn unsigned(revision: i64) -> Result<u64, StoreError> {
    u64::try_from(revision).map_err(|_| StoreError::Damaged(format!("it has the revision {revision}")))
}
