//! The writer: commits what is to be written, then applies it to the catalogue.
//!
//! It commits one transaction at a time, so the catalogue changes in the order of the revisions. Writes that arrive while a
//! transaction is on its way to the disk are committed together by the next one.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{self, MissedTickBehavior, timeout};
use tracing::error;

use crate::movie::Revision;
use crate::store::command::{Outcome, ValidCommand, WriteError};
use crate::store::engine::Engine;
use crate::store::error::StoreError;
use crate::store::plan::Plan;
use crate::store::replica::Replica;
use crate::store::status::Access;
use crate::text::in_one_line;

/// How long a transaction may take in all.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a store that failed to take a write is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How often old changes are removed from the change log, how many at a time, and how soon after that the next ones.
const COMPACT_INTERVAL: Duration = Duration::from_secs(5);
const COMPACT_CHANGES: u64 = 5_000;
const COMPACT_PAUSE: Duration = Duration::from_millis(50);

/// The most writes, messages of imports and movies of these that are committed together. A message has up to 4 MiB.
const BATCH_WRITES: usize = 1_024;
const BATCH_IMPORTS: usize = 16;
const BATCH_MOVIES: usize = 20_000;

/// How often a transaction is tried that conflicts with those of other writers.
const CONFLICT_TRIES: usize = 10;

/// A write that waits for its transaction.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) command: ValidCommand,
    pub(super) answer: oneshot::Sender<Result<Outcome, WriteError>>,
}

/// The writer of a store.
pub(super) struct Writer<E> {
    pub(super) replica: Rc<Replica>,
    pub(super) engine: Rc<Mutex<E>>,
}

/// Why a transaction was not committed.
enum Failure {
    /// Nothing was changed.
    Undone(StoreError),
    /// The outcome is unknown: the connection was lost during COMMIT.
    Unknown(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Undone(error)
    }
}

impl<E: Engine> Writer<E> {
    /// Runs until every [`Store`](crate::store::Store) is dropped.
    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let [mut retries, mut compactions] = [RETRY_INTERVAL, COMPACT_INTERVAL].map(|period| {
            let mut ticks = time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            tokio::select! {
                job = jobs.recv() => {
                    let Some(job) = job else { break };
                    self.write_batch(job, &mut jobs).await;
                }
                _ = retries.tick(), if self.replica.status.cannot_write() && self.is_writable() => self.retry().await,
                _ = compactions.tick(), if self.is_writable() => {
                    if self.compact().await {
                        compactions.reset_after(COMPACT_PAUSE);
                    }
                }
            }
        }
        self.engine.lock().await.close();
    }

    /// Writes what a job asks for, together with the jobs that wait.
    pub(super) async fn write_batch(&self, job: Job, jobs: &mut mpsc::Receiver<Job>) {
        self.write(with_waiting(job, jobs)).await;
    }

    fn is_writable(&self) -> bool {
        self.replica.status.last_look() == Ok(Access::ReadWrite)
    }

    /// Commits the batch and answers each command.
    async fn write(&self, jobs: Vec<Job>) {
        let answers = match self.commit_with_retries(&jobs).await {
            Ok(answers) => answers,
            // One command was rejected: retry each alone, so that only that one fails.
            Err(Failure::Undone(StoreError::Rejected(_))) if jobs.len() > 1 => {
                for job in jobs {
                    Box::pin(self.write(vec![job])).await;
                }
                return;
            }
            Err(failure) => {
                let (error, refusal) = match failure {
                    Failure::Undone(error) => {
                        (error.is_outage().then(|| in_one_line(&error)), error.refusal())
                    }
                    Failure::Unknown(error) => (Some(in_one_line(&error)), WriteError::OutcomeUnknown),
                };
                if let Some(why) = error {
                    self.replica.status.written(Err(why));
                }
                jobs.iter().map(|_| Err(refusal.clone())).collect()
            }
        };
        for (job, answer) in jobs.into_iter().zip(answers) {
            // A caller who has left does not wait for the response.
            let _ = job.answer.send(answer);
        }
    }

    async fn commit_with_retries(&self, jobs: &[Job]) -> Result<Vec<Result<Outcome, WriteError>>, Failure> {
        let (mut tries, mut has_reconnected) = (0, false);
        loop {
            tries += 1;
            match self.replica.status.last_look() {
                Ok(Access::ReadWrite) => {}
                Ok(Access::ReadOnly) => return Err(StoreError::ReadOnly.into()),
                Err(why) => return Err(StoreError::Unavailable(why).into()),
            }
            let is_committing = Cell::new(false);
            let failure = tokio::select! {
                biased;
                ended = timeout(TRANSACTION_TIMEOUT, self.try_to_commit(jobs, &is_committing)) => match ended {
                    Ok(Ok(answers)) => return Ok(answers),
                    Ok(Err(failure)) => failure,
                    Err(_) => given_up(&is_committing),
                },
                // Polling fails as well, so fail waiting writes at once.
                () = self.replica.status.lost() => given_up(&is_committing),
            };
            let try_again = match &failure {
                Failure::Undone(StoreError::Conflict) => tries < CONFLICT_TRIES,
                // The connection may have been closed while it was idle.
                Failure::Undone(StoreError::Failed(_)) => !std::mem::replace(&mut has_reconnected, true),
                Failure::Undone(_) | Failure::Unknown(_) => false,
            };
            let mut engine = self.engine.lock().await;
            if matches!(failure, Failure::Undone(StoreError::Conflict | StoreError::Rejected(_))) {
                if engine.rollback().await.is_err() {
                    engine.disconnect();
                }
            } else {
                engine.disconnect();
            }
            if !try_again {
                return Err(failure);
            }
            self.replica.metrics.retried();
        }
    }

    /// Plans the writes against the movies of the latest commit, commits them, and then applies them to the catalogue.
    async fn try_to_commit(
        &self,
        jobs: &[Job],
        is_committing: &Cell<bool>,
    ) -> Result<Vec<Result<Outcome, WriteError>>, Failure> {
        let catalogue = &self.replica.catalogue;
        let mut engine = self.engine.lock().await;
        let head = engine.begin_write().await?;
        if head != self.replica.point() {
            self.apply_missing(&mut *engine, head.revision).await?;
        }
        let snapshot = catalogue.snapshot();
        if snapshot.point() != head {
            // The store has another history, or changes that are no longer kept.
            engine.rollback().await?;
            self.replica.catch_up(&mut *engine).await?;
            return Err(StoreError::Conflict.into());
        }
        let request_ids: Vec<_> = jobs.iter().filter_map(|job| job.command.request_id()).collect();
        let requests =
            if request_ids.is_empty() { HashMap::new() } else { engine.requests(&request_ids).await? };
        let mut plan = Plan::new(&snapshot, requests, SystemTime::now().into());
        let answers = jobs.iter().map(|job| plan.add(&job.command)).collect();
        let (changes, requests) = plan.finish();
        if changes.is_empty() {
            engine.rollback().await?;
            return Ok(answers);
        }
        let began = Instant::now();
        engine.put(&changes, &requests).await?;
        is_committing.set(true);
        engine.commit().await.map_err(|error| {
            if error.has_undone() { Failure::Undone(error) } else { Failure::Unknown(error) }
        })?;
        self.replica.status.written(Ok(()));
        self.replica.metrics.committed(began.elapsed(), changes.len());
        if let Err(error) = catalogue.apply_committed(&changes) {
            // The commit is durable; the movies in memory are made equal to the store before its callers are answered.
            error!(
                "cannot apply committed changes to the movies in memory, loading all of them again: {error}"
            );
            self.replica.catch_up(&mut *engine).await.map_err(Failure::Unknown)?;
        }
        Ok(answers)
    }

    /// Applies the changes that others committed up to a revision, in the transaction.
    async fn apply_missing(&self, engine: &mut E, up_to: Revision) -> Result<(), Failure> {
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

    /// Writes without changing anything, to learn whether the database takes writes again.
    async fn retry(&self) {
        let mut engine = self.engine.lock().await;
        let retried = async {
            engine.begin_write().await?;
            engine.commit().await
        };
        match self.in_time(retried).await {
            Ok(()) => self.replica.status.written(Ok(())),
            Err(error) => {
                engine.disconnect();
                self.replica.status.written(Err(in_one_line(&error)));
            }
        }
    }

    /// Runs maintenance work with a timeout; gives up when the store becomes unavailable, so that waiting writes are
    /// not delayed.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            ended = timeout(TRANSACTION_TIMEOUT, work) => ended.unwrap_or(Err(StoreError::Late)),
            () = self.replica.status.lost() => Err(StoreError::Late),
        }
    }

    /// Removes some old changes; returns whether there are more of them.
    async fn compact(&self) -> bool {
        let mut engine = self.engine.lock().await;
        let compacted = self.in_time(engine.compact(self.replica.keep as u64, COMPACT_CHANGES)).await;
        if compacted.is_err() {
            // If the database cannot be used, looks and writes find that, too.
            engine.disconnect();
        }
        compacted.unwrap_or(false)
    }
}

/// Returns the failure of a transaction that is waited for no longer.
fn given_up(is_committing: &Cell<bool>) -> Failure {
    if is_committing.get() { Failure::Unknown(StoreError::Late) } else { Failure::Undone(StoreError::Late) }
}

/// Adds the writes that wait, as many as fit one transaction.
fn with_waiting(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let is_import = |job: &Job| usize::from(matches!(job.command, ValidCommand::Import(_)));
    let (mut movies, mut imports) = (first.command.max_movies(), is_import(&first));
    let mut batch = vec![first];
    while batch.len() < BATCH_WRITES && imports < BATCH_IMPORTS && movies < BATCH_MOVIES {
        let Ok(job) = jobs.try_recv() else { break };
        movies += job.command.max_movies();
        imports += is_import(&job);
        batch.push(job);
    }
    batch
}
