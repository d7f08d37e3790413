//! The writer: commits queued commands, then applies their changes to the catalogue.
//!
//! It commits one transaction at a time, so the catalogue changes in the order of the revisions. Commands that arrive
//! during a transaction are committed together by the next one.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Mutex, mpsc};
use tokio::time::{self, MissedTickBehavior, timeout};
use tracing::error;

use crate::movie::Revision;
use crate::store::command::{Outcome, ValidCommand, WriteError};
use crate::store::engine::Engine;
use crate::store::error::StoreError;
use crate::store::plan::Plan;
use crate::store::replica::Replica;
use crate::store::reply::ReplySender;
use crate::store::status::AccessMode;
use crate::text::error_chain;

/// Timeout of a whole transaction.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How often to probe a store that failed to write.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// How often the change log is compacted, how many changes a pass removes, and the pause between passes while more
/// changes remain to be removed.
const COMPACT_INTERVAL: Duration = Duration::from_secs(5);
const MAX_COMPACTED_CHANGES: u64 = 5_000;
const COMPACT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of one batch: commands, import messages among them, and movies. A batch at a limit takes no further
/// command, so its last import can exceed the limit on movies. An import message has up to 4 MiB.
const MAX_BATCH_COMMANDS: usize = 1_024;
const MAX_BATCH_IMPORTS: usize = 16;
const MAX_BATCH_MOVIES: usize = 20_000;

/// Maximum number of attempts to commit a batch that conflicts with other writers.
const MAX_CONFLICT_ATTEMPTS: usize = 10;

/// A validated command, and where to send its result.
#[derive(Debug)]
pub(super) struct QueuedWrite {
    pub(super) command: ValidCommand,
    pub(super) reply: ReplySender,
}

/// The writer of a store.
pub(super) struct Writer<E> {
    pub(super) replica: Rc<Replica>,
    pub(super) engine: Rc<Mutex<E>>,
}

/// Error of committing a batch.
enum CommitError {
    /// The transaction was rolled back. Nothing was changed.
    RolledBack(StoreError),
    /// The outcome is unknown: COMMIT failed or timed out, or the committed changes could not be applied to the
    /// catalogue.
    OutcomeUnknown(StoreError),
}

/// Errors before COMMIT change nothing.
impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::RolledBack(error)
    }
}

impl<E: Engine> Writer<E> {
    /// Runs until every [`Store`](crate::store::Store) is dropped.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<QueuedWrite>) {
        let [mut probes, mut compactions] = [PROBE_INTERVAL, COMPACT_INTERVAL].map(|period| {
            let mut ticks = time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            tokio::select! {
                write = queue.recv() => {
                    let Some(write) = write else { break };
                    self.write_batch(write, &mut queue).await;
                }
                _ = probes.tick(), if self.replica.status.has_failed_write() && self.is_writable() => self.probe().await,
                _ = compactions.tick(), if self.is_writable() => {
                    if self.compact().await {
                        compactions.reset_after(COMPACT_PAUSE);
                    }
                }
            }
        }
        self.engine.lock().await.close();
    }

    /// Commits a command together with those in the queue.
    pub(super) async fn write_batch(&self, first: QueuedWrite, queue: &mut mpsc::Receiver<QueuedWrite>) {
        self.write(take_batch(first, queue)).await;
    }

    fn is_writable(&self) -> bool {
        self.replica.status.last_poll() == Ok(AccessMode::ReadWrite)
    }

    /// Commits the batch and sends each command its result.
    async fn write(&self, mut batch: Vec<QueuedWrite>) {
        let results = match self.commit_with_retries(&batch).await {
            Ok(results) => results,
            // The database rejected one of the commands: commit each alone, so that only that one fails.
            Err(CommitError::RolledBack(StoreError::Rejected(_))) if batch.len() > 1 => {
                for write in batch {
                    Box::pin(self.write(vec![write])).await;
                }
                return;
            }
            Err(error) => {
                let (outage, error) = match error {
                    CommitError::RolledBack(error) => {
                        (error.is_outage().then(|| error_chain(&error)), error.to_write_error())
                    }
                    CommitError::OutcomeUnknown(error) => {
                        (Some(error_chain(&error)), WriteError::OutcomeUnknown)
                    }
                };
                if let Some(reason) = outage {
                    self.replica.status.report_write(Err(reason));
                }
                batch.iter().map(|_| Err(error.clone())).collect()
            }
        };
        for (write, result) in batch.iter_mut().zip(results) {
            write.reply.send(result);
        }
    }

    async fn commit_with_retries(
        &self,
        batch: &[QueuedWrite],
    ) -> Result<Vec<Result<Outcome, WriteError>>, CommitError> {
        let (mut attempts, mut has_reconnected) = (0, false);
        loop {
            attempts += 1;
            match self.replica.status.last_poll() {
                Ok(AccessMode::ReadWrite) => {}
                Ok(AccessMode::ReadOnly) => return Err(StoreError::ReadOnly.into()),
                Err(why) => return Err(StoreError::Unavailable(why).into()),
            }
            let is_committing = Cell::new(false);
            let error = tokio::select! {
                biased;
                ended = timeout(TRANSACTION_TIMEOUT, self.commit(batch, &is_committing)) => match ended {
                    Ok(Ok(results)) => return Ok(results),
                    Ok(Err(error)) => error,
                    Err(_) => abandoned(&is_committing, StoreError::TimedOut),
                },
                // Polling fails as well, so do not let the batch wait for the timeout.
                reason = self.replica.status.wait_until_unavailable() => {
                    abandoned(&is_committing, StoreError::Unavailable(reason))
                }
            };
            let has_next_attempt = match &error {
                CommitError::RolledBack(StoreError::Conflict) => attempts < MAX_CONFLICT_ATTEMPTS,
                // The connection may have been closed while it was idle.
                CommitError::RolledBack(StoreError::Failed(_)) => {
                    !std::mem::replace(&mut has_reconnected, true)
                }
                CommitError::RolledBack(_) | CommitError::OutcomeUnknown(_) => false,
            };
            let mut engine = self.engine.lock().await;
            if matches!(error, CommitError::RolledBack(StoreError::Conflict | StoreError::Rejected(_))) {
                if engine.rollback().await.is_err() {
                    engine.disconnect();
                }
            } else {
                engine.disconnect();
            }
            if !has_next_attempt {
                return Err(error);
            }
            self.replica.metrics.retried();
        }
    }

    /// Plans the batch on the movies of the latest commit, commits the changes, and applies them to the catalogue. Sets
    /// `is_committing` before COMMIT.
    async fn commit(
        &self,
        batch: &[QueuedWrite],
        is_committing: &Cell<bool>,
    ) -> Result<Vec<Result<Outcome, WriteError>>, CommitError> {
        let catalogue = &self.replica.catalogue;
        let mut engine = self.engine.lock().await;
        let head = engine.begin_write().await?;
        if head != self.replica.point() {
            self.apply_missing(&mut *engine, head.revision).await?;
        }
        let snapshot = catalogue.snapshot();
        if snapshot.point() != head {
            // The store has another history, or no longer keeps the missing changes.
            engine.rollback().await?;
            self.replica.catch_up(&mut *engine).await?;
            return Err(StoreError::Conflict.into());
        }
        let request_ids: Vec<_> = batch.iter().filter_map(|write| write.command.request_id()).collect();
        let requests =
            if request_ids.is_empty() { HashMap::new() } else { engine.requests(&request_ids).await? };
        let mut plan = Plan::new(&snapshot, requests, SystemTime::now().into());
        let results = batch.iter().map(|write| plan.add(&write.command)).collect();
        let (changes, requests) = plan.finish();
        if changes.is_empty() {
            engine.rollback().await?;
            return Ok(results);
        }
        let started = Instant::now();
        engine.put(&changes, &requests).await?;
        is_committing.set(true);
        engine.commit().await.map_err(|error| {
            if error.is_rolled_back() {
                CommitError::RolledBack(error)
            } else {
                CommitError::OutcomeUnknown(error)
            }
        })?;
        self.replica.status.report_write(Ok(()));
        self.replica.metrics.committed(started.elapsed(), changes.len());
        if let Err(error) = catalogue.apply_committed(&changes) {
            // The commit is durable, so the catalogue must equal the store before the callers get their results.
            error!("cannot apply committed changes to the catalogue, reloading all movies: {error}");
            self.replica.catch_up(&mut *engine).await.map_err(CommitError::OutcomeUnknown)?;
        }
        Ok(results)
    }

    /// Applies, in the transaction, the changes that other nodes have committed up to a revision.
    async fn apply_missing(&self, engine: &mut E, up_to: Revision) -> Result<(), CommitError> {
        let known = self.replica.point().revision;
        if known < up_to {
            match engine.changes(known, up_to).await {
                // If they cannot be applied, the caller sees that the catalogue is not at `head`.
                Ok(changes) => drop(self.replica.catalogue.apply_committed(&changes)),
                Err(StoreError::Compacted(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Commits an empty write transaction to find out whether writes work again.
    async fn probe(&self) {
        let mut engine = self.engine.lock().await;
        let probe = async {
            engine.begin_write().await?;
            engine.commit().await
        };
        match self.with_timeout(probe).await {
            Ok(()) => self.replica.status.report_write(Ok(())),
            Err(error) => {
                engine.disconnect();
                self.replica.status.report_write(Err(error_chain(&error)));
            }
        }
    }

    /// Runs maintenance work with a timeout. Ends it early when the store becomes unavailable, so that queued writes are
    /// not delayed.
    async fn with_timeout<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            ended = timeout(TRANSACTION_TIMEOUT, work) => ended.unwrap_or(Err(StoreError::TimedOut)),
            reason = self.replica.status.wait_until_unavailable() => Err(StoreError::Unavailable(reason)),
        }
    }

    /// Runs one pass of compaction. Returns whether more changes remain to be removed.
    async fn compact(&self) -> bool {
        let mut engine = self.engine.lock().await;
        let max_kept = self.replica.max_kept_changes as u64;
        let compacted = self.with_timeout(engine.compact(max_kept, MAX_COMPACTED_CHANGES)).await;
        if compacted.is_err() {
            // If the database cannot be used, polls and writes report that.
            engine.disconnect();
        }
        compacted.unwrap_or(false)
    }
}

/// Returns the error of a transaction that was abandoned because of `error`.
fn abandoned(is_committing: &Cell<bool>, error: StoreError) -> CommitError {
    if is_committing.get() { CommitError::OutcomeUnknown(error) } else { CommitError::RolledBack(error) }
}

/// Returns a batch: `first`, and queued commands until a limit is reached.
fn take_batch(first: QueuedWrite, queue: &mut mpsc::Receiver<QueuedWrite>) -> Vec<QueuedWrite> {
    let is_import = |write: &QueuedWrite| usize::from(matches!(write.command, ValidCommand::Import(_)));
    let (mut movies, mut imports) = (first.command.max_movies(), is_import(&first));
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH_COMMANDS && imports < MAX_BATCH_IMPORTS && movies < MAX_BATCH_MOVIES {
        let Ok(write) = queue.try_recv() else { break };
        movies += write.command.max_movies();
        imports += is_import(&write);
        batch.push(write);
    }
    batch
}
