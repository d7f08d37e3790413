//! Durable storage of movies.
//!
//! * [`Store`] — handle of a store: queues commands for the writer;
//! * `command` — commands and their outcomes; `plan` — decides what a batch of commands changes (pure);
//! * `writer` — the task that commits batches; `follower` — the task that polls the store for commits of other nodes;
//! * `reply` — the result of a command on its way to the caller;
//! * `replica` — state shared by both: the catalogue, which they keep equal to the store;
//! * [`StoreStatus`] — whether the store can be used; [`StoreError`] — why it cannot;
//! * `engine` — the interface of a database engine; [`sql`] — SQLite and PostgreSQL;
//! * [`json`] — JSON files, which are read-only.

mod command;
mod engine;
mod error;
mod follower;
mod handle;
pub mod json;
pub mod plan;
mod replica;
mod reply;
pub mod sql;
mod status;
mod writer;

pub use self::command::{Command, Imported, Outcome, Rejection, Request, ValidCommand, WriteError};
pub use self::error::StoreError;
pub use self::handle::Store;
pub use self::status::StoreStatus;

#[cfg(test)]
mod tests;
