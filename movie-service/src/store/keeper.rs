//! Keeps a store and the catalogue together: commits what is to be written, then shows it; and shows what other
//! services committed to the same store.
//!
//! It is one task that does one thing at a time, so the catalogue changes in the order of the revisions. What arrives while
//! a transaction is on its way to the disk is committed together by the next one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{self, MissedTickBehavior, timeout};
use tracing::{error, info, warn};

use super::error::StoreError;
use super::plan::Plan;
use super::rows::Changes;
use super::sql::Sql;
use super::write::{Write, WriteError, Written};
use crate::catalogue::{Catalogue, Change, Record};
use crate::telemetry::log::in_one_line;

/// How often a shared store is asked for what others committed.
const FOLLOW: Duration = Duration::from_millis(50);

/// How often a store that failed is tried again.
const PROBE: Duration = Duration::from_millis(500);

/// How often changes are forgotten that are no longer kept, and how many at a time.
const COMPACT: Duration = Duration::from_secs(5);
const COMPACT_MOST: u64 = 5_000;

/// How long a transaction may take in all.
const TRANSACTION: Duration = Duration::from_secs(30);

/// The most writes, and movies of imports, that are committed together.
const MOST_JOBS: usize = 1_024;
const MOST_MOVIES: usize = 20_000;

/// How often a transaction is tried that is in the way of others, or that a lost connection has undone.
const TRIES: usize = 10;

/// The most changes that are followed at a time.
const MOST_FOLLOWED: u64 = 2_000;

/// Something to write, and whom to tell.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Result<Written, WriteError>>,
}

/// Whether the store can be used; if not, why.
pub type State = Result<(), String>;

/// Keeps a store and the catalogue together.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) store: Sql,
    pub(super) catalogue: Arc<Catalogue>,
    /// How many changes the store keeps.
    pub(super) keep: u64,
    pub(super) state: watch::Sender<State>,
}

impl Keeper {
    /// Works until nobody can ask it for anything.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let [mut follow, mut probe, mut compact] = [FOLLOW, PROBE, COMPACT].map(|period| {
            let mut ticks = time::interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        loop {
            tokio::select! {
                job = jobs.recv() => {
                    let Some(job) = job else { return };
                    self.write(with_others(job, &mut jobs)).await;
                }
                _ = follow.tick(), if self.store.place().is_shared() && self.state.borrow().is_ok() => {
                    let followed = self.in_time(Self::follow).await;
                    self.tell(&followed);
                }
                _ = probe.tick(), if self.state.borrow().is_err() => {
                    let probed = self.in_time(Self::probe).await;
                    self.tell(&probed);
                }
                _ = compact.tick(), if self.state.borrow().is_ok() => {
                    let compacted = self.in_time(async |this| this.store.compact(this.keep, COMPACT_MOST).await).await;
                    if matches!(compacted, Ok(true)) {
                        compact.reset_after(FOLLOW);
                    }
                    self.tell(&compacted.map(|_| ()));
                }
            }
        }
    }

    /// Commits the writes, each as a whole or not at all, and answers them.
    async fn write(&mut self, jobs: Vec<Job>) {
        let mut outcome = Err(Failure::Undone(StoreError::Late));
        for tried in 1..=TRIES {
            outcome = match timeout(TRANSACTION, self.try_to_write(&jobs)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::Unknown(StoreError::Late)),
            };
            let again = match &outcome {
                Ok(_) => break,
                Err(Failure::Undone(StoreError::Conflict)) => true,
                Err(Failure::Undone(_)) => {
                    self.store.disconnect();
                    tried < 2
                }
                Err(Failure::Unknown(_)) => {
                    self.store.disconnect();
                    false
                }
            };
            if !again {
                break;
            }
        }
        let state = match &outcome {
            Ok(_) | Err(Failure::Undone(StoreError::Conflict)) => Ok(()),
            Err(Failure::Undone(error) | Failure::Unknown(error)) => Err(in_one_line(error)),
        };
        let answers: Vec<_> = match outcome {
            Ok(answers) => answers,
            Err(Failure::Undone(StoreError::Conflict)) => {
                let busy = WriteError::Unavailable("too many others write at the same time".into());
                jobs.iter().map(|_| Err(busy.clone())).collect()
            }
            Err(Failure::Undone(error)) => {
                let error = WriteError::Unavailable(error.for_callers().into());
                jobs.iter().map(|_| Err(error.clone())).collect()
            }
            Err(Failure::Unknown(_)) => jobs.iter().map(|_| Err(WriteError::Unknown)).collect(),
        };
        self.set_state(state);
        for (job, answer) in jobs.into_iter().zip(answers) {
            // Who does not wait any more does not want to know.
            let _ = job.answer.send(answer);
        }
    }

    /// Plans the writes against the movies there are, commits them, and then shows them.
    async fn try_to_write(&mut self, jobs: &[Job]) -> Result<Vec<Result<Written, WriteError>>, Failure> {
        let Self { store, catalogue, .. } = self;
        let (mut writing, revision) = store.begin().await?;
        let known = catalogue.snapshot().revision();
        if revision != known {
            match writing.changes(known, revision).await {
                Ok(missed) => show(catalogue, &missed),
                Err(StoreError::Compacted(_) | StoreError::Damaged(_)) => {
                    drop(writing);
                    let (snapshot, _) = store.load(0).await?;
                    catalogue.reset(snapshot);
                    return Err(Failure::Undone(StoreError::Conflict));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let ids: Vec<_> = jobs
            .iter()
            .filter_map(|job| match &job.write {
                Write::Create { request_id, .. } if !request_id.is_empty() => Some(request_id.as_str()),
                Write::Create { .. } | Write::Update { .. } | Write::Delete { .. } | Write::Import(_) => None,
            })
            .collect();
        let requests = writing.requests(&ids).await?;
        let snapshot = catalogue.snapshot();
        let mut plan = Plan::new(&snapshot, requests, SystemTime::now().into());
        let answers = jobs.iter().map(|job| plan.add(&job.write)).collect();
        let (planned, requests) = plan.into_changes();
        if planned.is_empty() {
            return Ok(answers);
        }
        writing.put(revision, &planned, &requests).await?;
        writing.commit().await.map_err(|error| {
            if error.has_undone() { Failure::Undone(error) } else { Failure::Unknown(error) }
        })?;
        let changes: Changes = planned.into_iter().map(|change| (change.id.into(), change.record)).collect();
        show(catalogue, &changes);
        Ok(answers)
    }

    /// Tries to write to a store that failed, and shows what others committed meanwhile.
    async fn probe(&mut self) -> Result<(), StoreError> {
        let (writing, _) = self.store.begin().await?;
        writing.commit().await?;
        self.follow().await
    }

    /// Shows what others committed.
    async fn follow(&mut self) -> Result<(), StoreError> {
        loop {
            let known = self.catalogue.snapshot().revision();
            if self.store.revision().await? == known {
                return Ok(());
            }
            match self.store.changes(known, MOST_FOLLOWED).await {
                Ok(changes) => show(&self.catalogue, &changes),
                Err(StoreError::Compacted(_) | StoreError::Damaged(_)) => {
                    warn!("reading all movies again: the changes since revision {known} are no longer kept");
                    let (snapshot, _) = self.store.load(0).await?;
                    self.catalogue.reset(snapshot);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives something time, and the connection up if it fails.
    async fn in_time<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = timeout(TRANSACTION, work(self)).await.unwrap_or(Err(StoreError::Late));
        if done.is_err() {
            self.store.disconnect();
        }
        done
    }

    fn tell(&self, outcome: &Result<(), StoreError>) {
        self.set_state(match outcome {
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(in_one_line(error)),
        });
    }

    /// Says whether the store can be used, and logs it when that changes.
    fn set_state(&self, state: State) {
        self.state.send_if_modified(|current| {
            match (&*current, &state) {
                (Ok(()), Err(why)) => error!("the store cannot be used, reads go on: {why}"),
                (Err(_), Ok(())) => info!("the store can be used again"),
                (Ok(()), Ok(())) | (Err(_), Err(_)) => {}
            }
            let changed = *current != state;
            *current = state;
            changed
        });
    }
}

/// Why writes were not committed.
enum Failure {
    /// Nothing was changed.
    Undone(StoreError),
    /// Nobody knows.
    Unknown(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Undone(error)
    }
}

/// Adds what else is to be written, as much as fits one transaction.
fn with_others(first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let size = |job: &Job| match &job.write {
        Write::Import(movies) => movies.len(),
        Write::Create { .. } | Write::Update { .. } | Write::Delete { .. } => 1,
    };
    let mut movies = size(&first);
    let mut all = vec![first];
    while all.len() < MOST_JOBS && movies < MOST_MOVIES {
        let Ok(job) = jobs.try_recv() else { break };
        movies += size(&job);
        all.push(job);
    }
    all
}

/// Makes committed changes in the catalogue.
fn show(catalogue: &Catalogue, changes: &Changes) {
    let changes = changes.iter().map(|(id, record)| match record.as_ref().map(Record::movie) {
        Some(movie) => Change::Put(movie),
        None => Change::Delete(id),
    });
    if let Err(error) = catalogue.apply(changes) {
        // The next transaction finds that the catalogue is behind, and mends it.
        error!("what was committed does not fit the movies there are: {error}");
    }
}
