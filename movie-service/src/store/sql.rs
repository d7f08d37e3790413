//! Movies in an SQL database: SQLite, or whatever speaks PostgreSQL's protocol and has serialisable transactions.
//!
//! Both take the same statements; what differs is how they are opened and how a transaction begins.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection, Executor, Row, Transaction, query};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::error::StoreError;
use super::rows::{self, Changes, record, signed, unsigned};
use super::writing::Writing;
use crate::catalogue::{Builder, Draft, Movie, Snapshot};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take for a statement, and wait for a transaction that its client has forgotten.
const PATIENCE: &str = "SET statement_timeout = '20s'; SET idle_in_transaction_session_timeout = '10s'";

/// What is committed is on the disk, readers are not kept waiting by writers, and the index of ids, which writes come to in
/// no order, stays in memory up to some millions of movies.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
    PRAGMA cache_size = -131072";

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

/// A store, connected as long as it can be.
#[derive(Debug)]
pub struct Sql {
    place: Place,
    connection: Option<AnyConnection>,
    /// Held so that no other service has the same file.
    _lock: Option<File>,
}

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
        migrator.run(store.connection().await?).await?;
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
        let mut reading = self.begin_to_read().await?;
        let revision = rows::revision(&mut reading).await?;
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
            Some(oldest) => {
                rows::changes(&mut reading, unsigned(oldest)?.saturating_sub(1), revision).await?
            }
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
        let mut reading = self.begin_to_read().await?;
        let newest = rows::revision(&mut reading).await?;
        let found = rows::changes(&mut reading, after, newest.min(after.saturating_add(most))).await?;
        reading.commit().await?;
        Ok(found)
    }

    /// Returns the revision of the last change.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read.
    pub async fn revision(&mut self) -> Result<u64, StoreError> {
        rows::revision(self.connection().await?).await
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
        let revision = rows::revision(&mut transaction).await?;
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

    /// Begins a transaction that sees the store as it is now.
    async fn begin_to_read(&mut self) -> Result<Transaction<'_, Any>, StoreError> {
        let begin = match self.place {
            Place::Sqlite(_) => "BEGIN",
            Place::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.connection().await?.begin_with(begin).await?)
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
