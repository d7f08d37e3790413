//! The interface of a database engine.

use std::collections::HashMap;
use std::time::Duration;

use crate::catalogue::{CommittedChange, HistoryPoint, StoreContent};
use crate::movie::Revision;
use crate::store::error::StoreError;
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::status::AccessMode;

/// Timeout of a poll, and of other short statements. A database that does not answer in this time is unavailable.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_secs(3);

/// Result of polling a database.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollResult {
    /// The latest commit.
    pub(super) head: HistoryPoint,
    /// Whether the database accepts writes.
    pub(super) mode: AccessMode,
}

/// A connection to a database of movies. It connects on first use, and again after [`Engine::disconnect`].
///
/// A dropped future or an error can leave a transaction open; roll it back or disconnect afterwards.
pub(super) trait Engine {
    /// Time between two polls for commits of other nodes.
    const POLL_INTERVAL: Duration;

    /// Returns a second connection for polling, so that long transactions do not delay it; `None` if the database has
    /// one connection only.
    fn second_connection(&mut self) -> Option<Self>
    where
        Self: Sized;

    /// Reads the latest commit and the mode, with one short query and without a transaction.
    async fn poll(&mut self) -> Result<PollResult, StoreError>;

    /// Connects to a writable host, if there is one and this one is read-only.
    async fn find_writable(&mut self) -> Result<(), StoreError>;

    /// Reads all movies and up to `max_changes` changes that led to them.
    async fn load(&mut self, max_changes: usize) -> Result<StoreContent, StoreError>;

    /// Begins a read transaction with a consistent snapshot, and returns its latest commit.
    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError>;

    /// Begins an exclusive write transaction, and returns the latest commit.
    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError>;

    /// Reads, in the transaction, the changes after one revision up to another.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] if not all of them are kept.
    async fn changes(&mut self, after: Revision, up_to: Revision)
    -> Result<Vec<CommittedChange>, StoreError>;

    /// Reads, in the transaction, the stored requests with these ids.
    async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError>;

    /// Writes, in the transaction, changes that follow its latest commit, and the requests that made them.
    async fn put(&mut self, changes: &[CommittedChange], requests: &[NewRequest]) -> Result<(), StoreError>;

    /// Commits the transaction. Once this returns, it is durable.
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// Rolls the transaction back. Does nothing if there is none.
    async fn rollback(&mut self) -> Result<(), StoreError>;

    /// Removes up to `max_removed` changes that are older than the latest `max_kept` ones, and their requests. Returns
    /// whether more remain to be removed.
    async fn compact(&mut self, max_kept: u64, max_removed: u64) -> Result<bool, StoreError>;

    /// Drops the connection, and with it the transaction.
    fn disconnect(&mut self);

    /// Closes the database cleanly.
    fn close(&mut self) {
        self.disconnect();
    }
}
