//! The handle of a store, and the start of its tasks.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::catalogue::{Catalogue, StoreContent};
use crate::store::command::{Command, Imported, Outcome, ValidCommand, WriteError};
use crate::store::engine::Engine;
use crate::store::error::StoreError;
use crate::store::follower::Follower;
use crate::store::replica::Replica;
use crate::store::reply::reply;
use crate::store::sql::{Postgres, SqlSource, Sqlite};
use crate::store::status::{AccessMode, PanicReport, StatusSender, StoreStatus};
use crate::store::writer::{QueuedWrite, Writer};
use crate::telemetry::store_metrics::StoreMetrics;

/// Capacity of the write queue, in commands. Further callers wait.
const WRITE_QUEUE_CAPACITY: usize = 1_024;

/// Time that [`Store::close`] waits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handle of a store: queues commands for the writer. Clones share the store.
#[derive(Clone, Debug)]
pub struct Store {
    name: &'static str,
    /// `None` if movies can never be written.
    queue: Option<mpsc::Sender<QueuedWrite>>,
    status: watch::Receiver<StoreStatus>,
    /// Closed when the thread of the tasks ends.
    running: watch::Receiver<()>,
}

impl Store {
    /// Returns a store that never accepts writes.
    #[must_use]
    pub fn read_only(name: &'static str) -> Self {
        let (status, running) = (watch::channel(StoreStatus::Available).1, watch::channel(()).1);
        Self { name, queue: None, status, running }
    }

    /// Opens an SQL store, creating it if it is missing. Also returns the catalogue, its in-memory replica. Both keep the
    /// latest `max_kept_changes` changes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be opened or read.
    pub async fn open(
        source: &SqlSource,
        max_kept_changes: usize,
        metrics: StoreMetrics,
    ) -> Result<(Self, Arc<Catalogue>), StoreError> {
        let name = source.name();
        match source.clone() {
            SqlSource::Sqlite(path) => Self::start(name, Sqlite::new(path), max_kept_changes, metrics).await,
            SqlSource::Postgres(url) => {
                Self::start(name, Postgres::new(*url), max_kept_changes, metrics).await
            }
        }
    }

    /// Loads the movies, and starts the tasks on a thread of their own. They run until all clones of the store are
    /// dropped.
    async fn start<E: Engine + Send + 'static>(
        name: &'static str,
        engine: E,
        max_kept_changes: usize,
        metrics: StoreMetrics,
    ) -> Result<(Self, Arc<Catalogue>), StoreError> {
        let (mut engine, mode, loaded) = load(engine, max_kept_changes).await?;
        let catalogue = Arc::new(Catalogue::of_store(max_kept_changes, loaded));
        let (queue, queued) = mpsc::channel(WRITE_QUEUE_CAPACITY);
        let status = StatusSender::new(mode);
        let (running, until_ended) = watch::channel(());
        let store = Self { name, queue: Some(queue), status: status.subscribe(), running: until_ended };
        let reloading = Mutex::default();
        let replica = Replica { catalogue: catalogue.clone(), max_kept_changes, status, metrics, reloading };
        let runtime = new_runtime()?;
        let run = move || {
            let _running = running;
            let _panic_report = PanicReport(replica.status.clone());
            let replica = Rc::new(replica);
            let second = engine.second_connection().map(Mutex::new).map(Rc::new);
            let first = Rc::new(Mutex::new(engine));
            let second = second.unwrap_or_else(|| first.clone());
            let follower = Follower { replica: replica.clone(), engine: second, behind_since: None };
            let writer = Writer { replica, engine: first };
            runtime.block_on(async {
                tokio::select! {
                    () = writer.run(queued) => {}
                    () = follower.run() => {}
                }
            });
        };
        thread::Builder::new().name("store".into()).spawn(run).map_err(StoreError::Thread)?;
        Ok((store, catalogue))
    }

    /// Returns the name of the kind of store, such as `sqlite`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether movies can never be written.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.queue.is_none()
    }

    /// Returns a receiver of the status of the store.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.status.clone()
    }

    /// Closes the store, and waits for that up to 5 seconds. SQLite moves its write-ahead log into the database file.
    /// All other clones must be dropped before.
    pub async fn close(self) {
        let Self { queue, mut running, .. } = self;
        drop(queue);
        // Its value never changes; the sender is dropped when the tasks have ended.
        let _ = timeout(CLOSE_TIMEOUT, running.changed()).await;
    }

    /// Writes. Once this returns, the changes are durable and can be read.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if nothing was written; with [`WriteError::OutcomeUnknown`], the changes may have been written.
    pub async fn write(&self, command: Command) -> Result<Outcome, WriteError> {
        let queue = self.queue.as_ref().ok_or(WriteError::ReadOnly)?;
        let (command, rejected) = command.validate().map_err(WriteError::Invalid)?;
        if matches!(&command, ValidCommand::Import(movies) if movies.is_empty()) {
            return Ok(Outcome::Imported(Imported { rejected, ..Imported::default() }));
        }
        match enqueue(queue, command).await? {
            Outcome::Imported(imported) => Ok(Outcome::Imported(Imported { rejected, ..imported })),
            outcome @ (Outcome::Movie(_) | Outcome::Deleted) => Ok(outcome),
        }
    }
}

/// Loads a store, on a thread that then ends: the allocator returns the memory that the rows took when their thread is gone.
async fn load<E: Engine + Send + 'static>(
    mut engine: E,
    max_kept_changes: usize,
) -> Result<(E, AccessMode, StoreContent), StoreError> {
    let runtime = new_runtime()?;
    let (send, loaded) = oneshot::channel();
    let run = move || {
        let loaded = runtime.block_on(async {
            let mode = engine.poll().await?.mode;
            let content = engine.load(max_kept_changes).await?;
            // A connection belongs to the runtime that opened it. The tasks open their own.
            engine.disconnect();
            Ok((engine, mode, content))
        });
        // Fails if the caller no longer waits.
        let _ = send.send(loaded);
    };
    thread::Builder::new().name("load".into()).spawn(run).map_err(StoreError::Thread)?;
    let ended = || StoreError::Thread(io::Error::other("the thread that loads the movies has panicked"));
    loaded.await.unwrap_or_else(|_| Err(ended()))
}

fn new_runtime() -> Result<runtime::Runtime, StoreError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)
}

/// Queues a validated command, and returns its result.
async fn enqueue(queue: &mpsc::Sender<QueuedWrite>, command: ValidCommand) -> Result<Outcome, WriteError> {
    let (sender, reply) = reply();
    let stopped = |_| WriteError::Unavailable("the service is stopping".into());
    queue.send(QueuedWrite { command, reply: sender }).await.map_err(stopped)?;
    reply.await
}
