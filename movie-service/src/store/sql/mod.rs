//! SQL stores: SQLite, or a server that speaks PostgreSQL's protocol and has serialisable transactions.
//!
//! * [`SqlSource`] — address of a store; [`PostgresUrl`] — URL of a PostgreSQL database;
//! * `sqlite` — the engine of a file; `sqlite_statements` — its statements; `sqlite_file` — its lock and its replacement;
//! * `postgres` — the engine of a PostgreSQL database; `postgres_connection` — a connection to one of its hosts;
//!   `postgres_copy` — many rows by COPY;
//! * `rows` — conversion between rows and domain types; `schema` — migrations.

mod postgres;
mod postgres_connection;
mod postgres_copy;
mod postgres_url;
mod rows;
mod schema;
mod source;
mod sqlite;
mod sqlite_file;
mod sqlite_statements;

pub(super) use self::postgres::Postgres;
pub use self::postgres_url::{PostgresUrl, UrlError};
#[cfg(test)]
pub(super) use self::rows::changes_between;
pub use self::source::{SqlSource, fill, read};
pub(super) use self::sqlite::Sqlite;
