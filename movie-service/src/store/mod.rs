//! Where movies are kept for good.
//!
//! * `write` — what can be asked of a store; `plan` — what that changes, by the movies there are;
//! * [`sql`] — movies in an SQL database; `rows` — what is in its tables; `writing` — a transaction that changes them;
//! * [`StoreError`] — why a store cannot be used;
//! * `keeper` — the task that keeps a store and the catalogue together;
//! * [`Store`] — asks it.

mod error;
mod keeper;
pub mod plan;
mod rows;
pub mod sql;
mod write;
mod writing;

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::error::StoreError;
pub use self::keeper::State;
use self::keeper::{Job, Keeper};
pub use self::rows::Changes;
use self::sql::{Place, Sql};
pub use self::write::{Field, Imported, Write, WriteError, Written};
pub use self::writing::Writing;
use crate::catalogue::Catalogue;

/// Writes that may wait for the keeper; callers beyond that wait to be let in.
const WAITING: usize = 1_024;

/// Takes writes. Clones share the store.
#[derive(Clone, Debug)]
pub struct Store {
    name: &'static str,
    /// `None` if the store is read-only.
    jobs: Option<mpsc::Sender<Job>>,
    state: watch::Receiver<State>,
}

impl Store {
    /// A store that takes no writes.
    #[must_use]
    pub fn read_only(name: &'static str) -> Self {
        Self { name, jobs: None, state: watch::channel(Ok(())).1 }
    }

    /// Opens an SQL store, and makes it if it is missing; returns the catalogue of its movies, too. Both keep the latest
    /// `changes`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be used.
    pub async fn open(place: Place, changes: usize) -> Result<(Self, Arc<Catalogue>), StoreError> {
        let mut store = Sql::open(place).await?;
        let (snapshot, latest) = store.load(changes).await?;
        let catalogue = Arc::new(Catalogue::resumed(changes, snapshot, latest));
        // The keeper connects again, on its own thread.
        store.disconnect();
        let keeping = Self::keep(store, catalogue.clone(), changes).map_err(StoreError::Thread)?;
        Ok((keeping, catalogue))
    }

    /// Keeps an SQL store and the catalogue together, on a thread of its own, for as long as there is a clone of this.
    fn keep(store: Sql, catalogue: Arc<Catalogue>, keep: usize) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel(WAITING);
        let (state, states) = watch::channel(Ok(()));
        let name = store.place().name();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("store".into()).spawn(move || {
            let keeper = Keeper { store, catalogue, keep: keep as u64, state };
            runtime.block_on(keeper.run(received));
        })?;
        Ok(Self { name, jobs: Some(jobs), state: states })
    }

    /// Returns what the store is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns whether the store takes no writes.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.jobs.is_none()
    }

    /// Returns whether the store can be used, and is told when that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Writes. Once this returns, what was written is durable and can be read.
    ///
    /// # Errors
    ///
    /// [`WriteError`] if it is not written or, with [`WriteError::Unknown`], may not be.
    pub async fn write(&self, write: Write) -> Result<Written, WriteError> {
        let jobs = self.jobs.as_ref().ok_or(WriteError::ReadOnly)?;
        let (answer, answered) = oneshot::channel();
        let stopped = || WriteError::Unavailable("the service is stopping".into());
        jobs.send(Job { write, answer }).await.map_err(|_| stopped())?;
        answered.await.unwrap_or(Err(WriteError::Unknown))
    }
}
