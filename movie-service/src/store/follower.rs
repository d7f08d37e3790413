//! The follower: looks at a store for commits of others, and for whether it can be used.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::{self, MissedTickBehavior, timeout};

use crate::store::engine::Engine;
use crate::store::error::StoreError;
use crate::store::replica::Replica;
use crate::store::status::Access;
use crate::text::in_one_line;

/// How long a look may take: a database that does not answer in this time is unavailable.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// How often an unavailable store is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How often to search for a writable host while connected to a read-only one, and the timeout of a search.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a standby may be behind what the service has seen before that counts as lost.
const STANDBY_LAG: Duration = Duration::from_secs(5);

/// The follower of a store.
pub(super) struct Follower<E> {
    pub(super) replica: Rc<Replica>,
    pub(super) engine: Rc<Mutex<E>>,
    /// Since when a standby is behind the catalogue.
    pub(super) behind_since: Option<Instant>,
}

impl<E: Engine> Follower<E> {
    /// Polls the store forever.
    pub(super) async fn run(mut self) {
        let mut looks = time::interval(E::LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_search = Instant::now() + SEARCH_INTERVAL;
        loop {
            looks.tick().await;
            let looked = self.look().await;
            match looked {
                Ok(Access::ReadWrite) => {}
                Ok(Access::ReadOnly) => {
                    let now = Instant::now();
                    if now >= next_search {
                        // An error says nothing new: the status is read-only already.
                        let _ = timeout(SEARCH_TIMEOUT, self.engine.lock().await.find_writable()).await;
                        // The follower stands still during a search, so wait at least four times as long as the
                        // search took.
                        next_search = Instant::now() + SEARCH_INTERVAL.max(now.elapsed() * 4);
                    }
                }
                Err(_) => looks.reset_after(RETRY_INTERVAL),
            }
        }
    }

    /// Polls once and reports the result to the status.
    pub(super) async fn look(&mut self) -> Result<Access, StoreError> {
        let engine = self.engine.clone();
        let mut engine = engine.lock().await;
        let was_available = self.replica.status.last_look().is_ok();
        let mut looked = self.look_with(&mut engine).await;
        if was_available && matches!(looked, Err(StoreError::Failed(_))) {
            // A connection that was closed, by a pooler that restarts or an operator, is not an outage.
            engine.disconnect();
            looked = self.look_with(&mut engine).await;
        }
        if !matches!(looked, Ok(_) | Err(StoreError::StandbyBehind { .. })) {
            engine.disconnect();
        }
        self.replica.status.looked(looked.as_ref().map_err(|error| in_one_line(error)).copied());
        looked
    }

    async fn look_with(&mut self, engine: &mut E) -> Result<Access, StoreError> {
        let look = timeout(LOOK_TIMEOUT, engine.look()).await.map_err(|_| StoreError::Late)??;
        let known = self.replica.point();
        self.replica.metrics.lag(look.head.revision.since(known.revision).unwrap_or_default());
        if look.access == Access::ReadOnly && look.head.revision < known.revision {
            // It may be about to receive what is missing, or to become a primary without it.
            let behind = *self.behind_since.get_or_insert_with(Instant::now);
            if behind.elapsed() < STANDBY_LAG {
                return Err(StoreError::StandbyBehind { at: look.head.revision, known: known.revision });
            }
        }
        self.behind_since = None;
        if look.head != known {
            self.replica.catch_up(engine).await?;
        }
        Ok(look.access)
    }
}
