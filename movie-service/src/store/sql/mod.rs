//! Movies in an SQL database: SQLite, or a server that speaks PostgreSQL's protocol and has serialisable transactions.
//!
//! * [`Source`] — which one; `postgres_url` — how a server is named;
//! * `sqlite` and `sqlite_file` — a file, and what must not happen to it; `postgres` — a server, or one of several;
//! * `rows` — what is in the tables; `schema` — how they are made, and brought up to date.

mod postgres;
mod postgres_url;
mod rows;
mod schema;
mod sqlite;
mod sqlite_file;

use std::fmt;
use std::path::PathBuf;

pub(super) use self::postgres::Postgres;
pub use self::postgres_url::{PostgresUrl, UrlError};
#[cfg(test)]
pub(super) use self::rows::changes_between;
pub(super) use self::sqlite::Sqlite;
use crate::catalogue::Snapshot;
use crate::store::StoreError;

/// Where movies are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Box<PostgresUrl>),
}

impl Source {
    /// Returns what the store is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// Shows the address without user, password and parameters.
impl fmt::Display for Source {
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
pub async fn read(source: &Source) -> Result<Snapshot, StoreError> {
    match source.clone() {
        Source::Sqlite(path) => sqlite::read(&path),
        Source::Postgres(url) => Postgres::new(*url).read().await,
    }
}
