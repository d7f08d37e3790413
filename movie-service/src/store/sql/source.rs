//! Addresses of SQL stores.

use std::fmt;
use std::path::PathBuf;

use crate::catalogue::Snapshot;
use crate::store::StoreError;
use crate::store::sql::postgres::Postgres;
use crate::store::sql::postgres_url::PostgresUrl;
use crate::store::sql::sqlite;

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
