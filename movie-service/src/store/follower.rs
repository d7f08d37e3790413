//! The follower: polls the store for commits of other nodes and for its availability.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::{self, MissedTickBehavior, timeout};

use crate::store::engine::{Engine, POLL_TIMEOUT};
use crate::store::error::StoreError;
use crate::store::replica::Replica;
use crate::store::status::AccessMode;
use crate::text::error_chain;

/// How often an unavailable store is polled.
const UNAVAILABLE_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often to search for a writable host while connected to a read-only one, and the timeout of a search.
const HOST_SEARCH_INTERVAL: Duration = Duration::from_secs(1);
const HOST_SEARCH_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a standby may lag behind the catalogue before the missing changes count as lost.
const MAX_STANDBY_LAG: Duration = Duration::from_secs(5);

/// The follower of a store.
pub(super) struct Follower<E> {
    pub(super) replica: Rc<Replica>,
    pub(super) engine: Rc<Mutex<E>>,
    /// When a standby was first found behind the catalogue; `None` if it is not behind.
    pub(super) behind_since: Option<Instant>,
}

impl<E: Engine> Follower<E> {
    /// Polls the store forever.
    pub(super) async fn run(mut self) {
        let mut polls = time::interval(E::POLL_INTERVAL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_search = Instant::now() + HOST_SEARCH_INTERVAL;
        loop {
            polls.tick().await;
            match self.poll().await {
                Ok(AccessMode::ReadWrite) => {}
                Ok(AccessMode::ReadOnly) => {
                    let now = Instant::now();
                    if now >= next_search {
                        // An error needs no report: the status is already read-only.
                        let _ = timeout(HOST_SEARCH_TIMEOUT, self.engine.lock().await.find_writable()).await;
                        // The follower does not poll during a search, so wait at least four times as long as the
                        // search took.
                        next_search = Instant::now() + HOST_SEARCH_INTERVAL.max(now.elapsed() * 4);
                    }
                }
                Err(_) => polls.reset_after(UNAVAILABLE_POLL_INTERVAL),
            }
        }
    }

    /// Polls once, applies new commits to the catalogue, and reports the outcome to the status.
    pub(super) async fn poll(&mut self) -> Result<AccessMode, StoreError> {
        let engine = self.engine.clone();
        let mut engine = engine.lock().await;
        let was_available = self.replica.status.last_poll().is_ok();
        let mut outcome = self.poll_once(&mut engine).await;
        if was_available && matches!(outcome, Err(StoreError::Failed(_))) {
            // A closed connection is not an outage: a pooler may have restarted, or an operator may have closed it.
            engine.disconnect();
            outcome = self.poll_once(&mut engine).await;
        }
        if !matches!(outcome, Ok(_) | Err(StoreError::StandbyBehind { .. })) {
            engine.disconnect();
        }
        self.replica.status.report_poll(outcome.as_ref().map_err(|error| error_chain(error)).copied());
        outcome
    }

    async fn poll_once(&mut self, engine: &mut E) -> Result<AccessMode, StoreError> {
        let polled = timeout(POLL_TIMEOUT, engine.poll()).await.map_err(|_| StoreError::TimedOut)??;
        let known = self.replica.point();
        self.replica.metrics.set_lag(polled.head.revision.since(known.revision).unwrap_or_default());
        if polled.mode == AccessMode::ReadOnly && polled.head.revision < known.revision {
            // It may still receive the missing changes, or become a primary without them.
            let behind = *self.behind_since.get_or_insert_with(Instant::now);
            if behind.elapsed() < MAX_STANDBY_LAG {
                return Err(StoreError::StandbyBehind { at: polled.head.revision, known: known.revision });
            }
        }
        self.behind_since = None;
        if polled.head != known {
            self.replica.catch_up(engine).await?;
        }
        Ok(polled.mode)
    }
}
