//! The catalogue as a replica of the store: applies its commits, and reloads all movies if the histories differ.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::error;

use crate::catalogue::{Catalogue, HistoryPoint, Snapshot};
use crate::store::engine::{Engine, POLL_TIMEOUT};
use crate::store::error::StoreError;
use crate::store::status::StatusSender;
use crate::telemetry::store_metrics::{StoreMetrics, StoreReload};

/// Maximum number of changes that are read and applied in one transaction.
const MAX_CHANGES_PER_READ: u64 = 2_000;

/// State shared by the writer and the follower: the catalogue, the status and the metrics.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) catalogue: Arc<Catalogue>,
    /// Maximum number of changes that the store and the catalogue keep.
    pub(super) max_kept_changes: usize,
    pub(super) status: StatusSender,
    pub(super) metrics: StoreMetrics,
    /// Held while all movies are reloaded, so that only one task does it at a time.
    pub(super) reloading: Mutex<()>,
}

impl Replica {
    /// Returns the history point of the catalogue.
    pub(super) fn point(&self) -> HistoryPoint {
        self.catalogue.read(Snapshot::point)
    }

    /// Makes the catalogue equal to the store: applies the missing changes or, if the store no longer has them or has
    /// another history, reloads all movies.
    pub(super) async fn catch_up(&self, engine: &mut impl Engine) -> Result<(), StoreError> {
        loop {
            let known = self.point();
            let head = with_poll_timeout(engine.begin_read()).await?;
            if head == known {
                return with_poll_timeout(engine.commit()).await;
            }
            if head.revision <= known.revision {
                with_poll_timeout(engine.rollback()).await?;
                return self.reload(engine, StoreReload::HistoryChanged).await;
            }
            let up_to = head.revision.min(known.revision.plus(MAX_CHANGES_PER_READ));
            match engine.changes(known.revision, up_to).await {
                Ok(changes) => {
                    with_poll_timeout(engine.commit()).await?;
                    if self.catalogue.apply_committed(&changes).is_err() {
                        return self.reload(engine, StoreReload::HistoryChanged).await;
                    }
                }
                Err(StoreError::Compacted(_)) => {
                    with_poll_timeout(engine.rollback()).await?;
                    return self.reload(engine, StoreReload::Compacted).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reloads all movies, and logs the reason.
    async fn reload(&self, engine: &mut impl Engine, reason: StoreReload) -> Result<(), StoreError> {
        let _reloading = self.reloading.lock().await;
        let known = self.point();
        if with_poll_timeout(engine.poll()).await?.head == known {
            // Another task has reloaded meanwhile.
            return Ok(());
        }
        // The status is unavailable until the reload is done, because the catalogue differs from the store.
        self.status.report_reload();
        let loaded = engine.load(self.max_kept_changes).await?;
        let now = loaded.snapshot.point();
        let before = self.catalogue.reset(loaded);
        let differing = before.count_differences(&self.catalogue.snapshot());
        self.metrics.reloaded(reason);
        let (from, to) = (known.revision, now.revision);
        match reason {
            StoreReload::HistoryChanged => error!(
                "the store has another history than this service, as after a restore or a failover that lost commits: \
                 reloaded all movies; {differing} movies differ, revision {from} became {to}, and watches have to start \
                 again"
            ),
            StoreReload::Compacted => error!(
                "the store no longer keeps the changes since revision {from}: reloaded all movies; {differing} movies \
                 differ, the revision is {to}, and watches have to start again; --keep-changes keeps more"
            ),
        }
        Ok(())
    }
}

/// Runs a short statement with the timeout of a poll, so that a store that hangs while the catalogue catches up becomes
/// unavailable, too.
async fn with_poll_timeout<T>(
    statement: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(POLL_TIMEOUT, statement).await.unwrap_or(Err(StoreError::TimedOut))
}
