//! Addresses of SQL stores.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::catalogue::{DEFAULT_KEPT_CHANGES, MovieView, Snapshot};
use crate::store::StoreError;
use crate::store::sql::postgres::Postgres;
use crate::store::sql::postgres_url::PostgresUrl;
use crate::store::sql::rows::FirstMovies;
use crate::store::sql::sqlite::{self, Sqlite};

/// Address of an SQL store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlSource {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresUrl>),
}

impl SqlSource {
    /// Returns the name of the kind of store.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// Shows the address without user, password and parameters.
impl fmt::Display for SqlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// Writes the first movies of a store that has never had any, in one transaction, and as much of its change log as the
/// service keeps by default. Returns whether the store is new; otherwise, nothing is written.
///
/// `movies` are valid, have no times, and each has another id.
///
/// # Errors
///
/// [`StoreError`] if nothing was written, or if the outcome is unknown because the connection was lost.
pub async fn fill<'a>(
    source: &SqlSource,
    count: usize,
    movies: impl Iterator<Item = MovieView<'a>>,
) -> Result<bool, StoreError> {
    let max_kept = DEFAULT_KEPT_CHANGES as u64;
    let first = FirstMovies { count, movies, now: SystemTime::now().into(), max_kept };
    match source.clone() {
        SqlSource::Sqlite(path) => Sqlite::new(path).fill(first).await,
        SqlSource::Postgres(url) => Postgres::new(*url).fill(first).await,
    }
}

/// Reads all movies of an existing store, which may be in use.
///
/// # Errors
///
/// [`StoreError`] if they cannot be read.
pub async fn read(source: &SqlSource) -> Result<Snapshot, StoreError> {
    match source.clone() {
        SqlSource::Sqlite(path) => sqlite::read(&path),
        SqlSource::Postgres(url) => Postgres::new(*url).read().await,
    }
}
