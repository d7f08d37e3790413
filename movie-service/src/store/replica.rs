//! The catalogue as a replica of a store: follows its commits, and notices when they are of another history.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::error;

use crate::catalogue::{Catalogue, HistoryPoint};
use crate::store::engine::Engine;
use crate::store::error::StoreError;
use crate::store::follower::LOOK_TIMEOUT;
use crate::store::status::StatusSender;
use crate::telemetry::store_metrics::{StoreMetrics, StoreReload};

/// The most changes that are read and applied at a time.
const FOLLOWED_CHANGES: u64 = 2_000;

/// What the tasks of a store share.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) catalogue: Arc<Catalogue>,
    /// How many changes the store and the catalogue keep.
    pub(super) keep: usize,
    pub(super) status: StatusSender,
    pub(super) metrics: StoreMetrics,
    /// Held while all movies are loaded again, so that one task does it at a time.
    pub(super) reloading: Mutex<()>,
}

impl Replica {
    /// Returns the point of the catalogue.
    pub(super) fn point(&self) -> HistoryPoint {
        self.catalogue.read(crate::catalogue::Snapshot::point)
    }

    /// Makes the catalogue equal to the store: applies the changes that it lacks or, where the store no longer has them
    /// or has another history, loads all movies again.
    pub(super) async fn catch_up(&self, engine: &mut impl Engine) -> Result<(), StoreError> {
        loop {
            let known = self.point();
            let head = in_time(engine.begin_read()).await?;
            if head == known {
                return in_time(engine.commit()).await;
            }
            if head.revision <= known.revision {
                in_time(engine.rollback()).await?;
                return self.reload(engine, StoreReload::HistoryChanged).await;
            }
            let up_to = head.revision.min(known.revision.plus(FOLLOWED_CHANGES));
            match engine.changes(known.revision, up_to).await {
                Ok(changes) => {
                    in_time(engine.commit()).await?;
                    if self.catalogue.apply_committed(&changes).is_err() {
                        return self.reload(engine, StoreReload::HistoryChanged).await;
                    }
                }
                Err(StoreError::Compacted(_)) => {
                    in_time(engine.rollback()).await?;
                    return self.reload(engine, StoreReload::Compacted).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Loads all movies again, and says so.
    async fn reload(&self, engine: &mut impl Engine, reason: StoreReload) -> Result<(), StoreError> {
        let _reloading = self.reloading.lock().await;
        let known = self.point();
        if in_time(engine.look()).await?.head == known {
            // Another task has reloaded meanwhile.
            return Ok(());
        }
        // Until the reload is done, the catalogue differs from the store.
        self.status.reloading();
        let loaded = engine.load(self.keep).await?;
        let now = loaded.snapshot.point();
        let before = self.catalogue.reset(loaded);
        let differing = before.count_differences(&self.catalogue.snapshot());
        self.metrics.reloaded(reason);
        let (from, to) = (known.revision, now.revision);
        match reason {
            StoreReload::HistoryChanged => error!(
                "the store has another history than this service, as after a restore or a failover that lost commits: \
                 loaded all movies again; {differing} movies differ, revision {from} became {to}, and watches have to \
                 begin anew"
            ),
            StoreReload::Compacted => error!(
                "the store no longer keeps the changes since revision {from}: loaded all movies again; {differing} \
                 movies differ, the revision is {to}, and watches have to begin anew; --keep-changes keeps more"
            ),
        }
        Ok(())
    }
}

/// Ends a short statement in the time of a look: a store that hangs in the middle of following is as unavailable as one that
/// hangs at a look.
async fn in_time<T>(statement: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(LOOK_TIMEOUT, statement).await.unwrap_or(Err(StoreError::Late))
}
