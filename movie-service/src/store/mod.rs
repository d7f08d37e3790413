//! Durable storage of movies.
//!
//! * `command` — what can be asked of a store; `plan` — decides what a batch of commands changes (pure);
//! * `writer` — the task that commits it; `follower` — the task that looks for commits of others;
//! * `replica` — the catalogue, kept equal to the store by both; [`StoreStatus`] — whether the store can be used;
//! * `engine` — what they need of a database; [`sql`] — SQLite and PostgreSQL; [`json`] — files that are only read;
//! * [`StoreError`] — why a store cannot be used;
//! * [`Store`] — asks the writer.

mod command;
mod engine;
mod error;
mod follower;
pub mod json;
pub mod plan;
mod replica;
pub mod sql;
mod status;
mod writer;

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

pub use self::command::{Command, Imported, Outcome, Rejection, Request, ValidCommand, WriteError};
use self::engine::Engine;
pub use self::error::StoreError;
use self::follower::Follower;
use self::replica::Replica;
use self::sql::{Postgres, Source, Sqlite};
pub use self::status::StoreStatus;
use self::status::{PanicReport, StatusSender};
use self::writer::{Job, Writer};
use crate::catalogue::Catalogue;
use crate::telemetry::store_metrics::StoreMetrics;

/// Writes that may wait for the writer; callers beyond that wait to be let in.
const WAITING_WRITES: usize = 1_024;

/// How long a store may take to be closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handle of a store: queues commands for the writer.
#[derive(Clone, Debug)]
pub struct Store {
    name: &'static str,
    /// `None` if movies can never be written.
    jobs: Option<mpsc::Sender<Job>>,
    status: watch::Receiver<StoreStatus>,
    /// Closed when the thread of the tasks ends.
    running: watch::Receiver<()>,
}

impl Store {
    /// A store that never takes writes.
    #[must_use]
    pub fn read_only(name: &'static str) -> Self {
        let (status, running) = (watch::channel(StoreStatus::Available).1, watch::channel(()).1);
        Self { name, jobs: None, status, running }
    }

    /// Opens an SQL store, and makes it if it is missing; returns the catalogue of its movies, too. Both keep the latest
    /// `keep` changes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be used.
    pub async fn open(
        source: &Source,
        keep: usize,
        metrics: StoreMetrics,
    ) -> Result<(Self, Arc<Catalogue>), StoreError> {
        let name = source.name();
        match source.clone() {
            Source::Sqlite(path) => Self::start(name, Sqlite::new(path), keep, metrics).await,
            Source::Postgres(url) => Self::start(name, Postgres::new(*url), keep, metrics).await,
        }
    }

    /// Loads the movies, and starts the tasks on a thread of their own, for as long as there is a clone of the store.
    async fn start<E: Engine + Send + 'static>(
        name: &'static str,
        mut engine: E,
        keep: usize,
        metrics: StoreMetrics,
    ) -> Result<(Self, Arc<Catalogue>), StoreError> {
        let access = engine.look().await?.access;
        let catalogue = Arc::new(Catalogue::of_store(keep, engine.load(keep).await?));
        // It connects again on the thread of the tasks.
        engine.disconnect();
        let (jobs, received) = mpsc::channel(WAITING_WRITES);
        let status = StatusSender::new(access);
        let (running, until_ended) = watch::channel(());
        let store = Self { name, jobs: Some(jobs), status: status.subscribe(), running: until_ended };
        let replica =
            Replica { catalogue: catalogue.clone(), keep, status, metrics, reloading: Mutex::default() };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)?;
        let run = move || {
            let _running = running;
            let _reported = PanicReport(replica.status.clone());
            let replica = Rc::new(replica);
            let looking = engine.second_connection().map(Mutex::new).map(Rc::new);
            let writing = Rc::new(Mutex::new(engine));
            let looking = looking.unwrap_or_else(|| writing.clone());
            let follower = Follower { replica: replica.clone(), engine: looking, behind_since: None };
            let writer = Writer { replica, engine: writing };
            runtime.block_on(async {
                tokio::select! {
                    () = writer.run(received) => {}
                    () = follower.run() => {}
                }
            });
        };
        thread::Builder::new().name("store".into()).spawn(run).map_err(StoreError::Thread)?;
        Ok((store, catalogue))
    }

    /// Returns what the store is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether movies can never be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.jobs.is_none()
    }

    /// Returns whether the store can be used, and is told when that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }

    /// Closes the store and waits up to `CLOSE_TIMEOUT`. SQLite then has moved its log into the database file. All
    /// other clones must be dropped before.
    pub async fn close(self) {
        let Self { jobs, mut running, .. } = self;
        drop(jobs);
        // It never changes; its end is an error.
        let _ = timeout(CLOSE_TIMEOUT, running.changed()).await;
    }

    /// Writes. Once this returns, what was written is durable and can be read.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if it is not written or, with [`WriteError::OutcomeUnknown`], may not be.
    pub async fn write(&self, command: Command) -> Result<Outcome, WriteError> {
        let jobs = self.jobs.as_ref().ok_or(WriteError::ReadOnly)?;
        let (command, rejected) = command.validate().map_err(WriteError::Invalid)?;
        if matches!(&command, ValidCommand::Import(movies) if movies.is_empty()) {
            return Ok(Outcome::Imported(Imported { rejected, ..Imported::default() }));
        }
        match enqueue(jobs, command).await? {
            Outcome::Imported(imported) => Ok(Outcome::Imported(Imported { rejected, ..imported })),
            outcome @ (Outcome::Movie(_) | Outcome::Deleted) => Ok(outcome),
        }
    }
}

/// Queues a validated command.
async fn enqueue(jobs: &mpsc::Sender<Job>, command: ValidCommand) -> Result<Outcome, WriteError> {
    let (answer, answered) = oneshot::channel();
    let stopped = || WriteError::Unavailable("the service is stopping".into());
    jobs.send(Job { command, answer }).await.map_err(|_| stopped())?;
    answered.await.unwrap_or(Err(WriteError::OutcomeUnknown))
}

#[cfg(test)]
mod tests;
