//! The interface of a database engine.

use std::collections::HashMap;
use std::time::Duration;

use crate::catalogue::{Committed, HistoryPoint, Loaded};
use crate::movie::Revision;
use crate::store::error::StoreError;
use crate::store::plan::{NewRequest, StoredRequest};
use crate::store::status::Access;

/// What a look at a database finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The latest commit.
    pub(super) head: HistoryPoint,
    /// Whether it takes writes.
    pub(super) access: Access,
}

/// A connection to a database that keeps movies; connects when it is used, and again after [`Engine::disconnect`].
///
/// A dropped future or an error can leave a transaction open; roll it back or disconnect afterwards.
pub(super) trait Engine {
    /// How often to poll for commits of other nodes.
    const LOOK_INTERVAL: Duration;

    /// Returns a second connection for polling, so that long transactions do not delay it; `None` if the database has
    /// one connection only.
    fn second_connection(&mut self) -> Option<Self>
    where
        Self: Sized;

    /// Returns the latest commit. Costs one short query, in no transaction.
    async fn look(&mut self) -> Result<Look, StoreError>;

    /// While connected to a host that takes no writes, connects to one that does, if there is one.
    async fn find_writable(&mut self) -> Result<(), StoreError>;

    /// Reads all movies and up to `latest` changes that led to them.
    async fn load(&mut self, latest: usize) -> Result<Loaded, StoreError>;

    /// Begins a read transaction with a consistent snapshot, and returns its latest commit.
    async fn begin_read(&mut self) -> Result<HistoryPoint, StoreError>;

    /// Begins an exclusive write transaction, and returns the latest commit.
    async fn begin_write(&mut self) -> Result<HistoryPoint, StoreError>;

    /// Reads, in the transaction, the changes after a revision up to another.
    ///
    /// # Errors
    ///
    /// [`StoreError::Compacted`] if not all of them are kept.
    async fn changes(&mut self, after: Revision, up_to: Revision) -> Result<Vec<Committed>, StoreError>;

    /// Reads, in the transaction, which of these requests were made before.
    async fn requests(&mut self, ids: &[&str]) -> Result<HashMap<String, StoredRequest>, StoreError>;

    /// Writes, in the transaction, changes that follow its latest commit, and the requests that made them.
    async fn put(&mut self, changes: &[Committed], requests: &[NewRequest]) -> Result<(), StoreError>;

    /// Commits the transaction: once this returns, it is durable.
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// Ends the transaction without effect.
    async fn rollback(&mut self) -> Result<(), StoreError>;

    /// Removes up to `most` changes from the change log that are older than the latest `keep`. Returns whether more are
    /// left to remove.
    async fn compact(&mut self, keep: u64, most: u64) -> Result<bool, StoreError>;

    /// Drops the connection, and with it the transaction.
    fn disconnect(&mut self);

    /// Closes the database cleanly.
    fn close(&mut self) {
        self.disconnect();
    }
}
