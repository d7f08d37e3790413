//! Whether a store can be used.

use std::thread;

use tokio::sync::watch;
use tracing::{error, info, warn};

/// Whether a store can be used, as far as its tasks know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// It can be read and written.
    Available,
    /// It can be read and followed, and not written for now.
    ReadOnly,
    /// It cannot be used, for this reason. The catalogue serves the last known movies.
    Unavailable(String),
}

impl StoreStatus {
    /// Returns whether it can be read.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }
}

const READ_ONLY: &str = "the store is read-only: no host takes writes; reads and watches go on";

/// What a look at a store found, or why it failed.
pub(super) type Looked = Result<Access, String>;

/// What a database lets its users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    /// A hot standby, or a server that is set to be read only.
    ReadOnly,
}

/// The status of a store, put together from what each of its tasks finds.
#[derive(Clone, Debug)]
pub(super) struct StatusSender {
    parts: watch::Sender<Parts>,
    status: watch::Sender<StoreStatus>,
}

/// Says that the store cannot be used if it is dropped by a panic, which ends the tasks.
pub(super) struct PanicReport(pub(super) StatusSender);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.looked(Err("its thread ended by a fault of the service; start the service again".into()));
        }
    }
}

/// What the tasks found last.
#[derive(Clone, Debug)]
struct Parts {
    /// The follower.
    looked: Looked,
    /// The writer.
    written: Result<(), String>,
}

impl StatusSender {
    /// Begins with what the first look found.
    pub(super) fn new(access: Access) -> Self {
        if access == Access::ReadOnly {
            warn!("{READ_ONLY}");
        }
        let parts = Parts { looked: Ok(access), written: Ok(()) };
        Self { status: watch::Sender::new(parts.status()), parts: watch::Sender::new(parts) }
    }

    /// Returns a receiver of the status.
    pub(super) fn subscribe(&self) -> watch::Receiver<StoreStatus> {
        self.status.subscribe()
    }

    /// Says what a look found.
    pub(super) fn looked(&self, looked: Looked) {
        self.update(|parts| parts.looked = looked);
    }

    /// Says that all movies are loaded again. The caller logs the reason.
    pub(super) fn reloading(&self) {
        let why = "all movies are loaded again".to_owned();
        self.parts.send_modify(|parts| parts.looked = Err(why.clone()));
        self.status.send_replace(StoreStatus::Unavailable(why));
    }

    /// Says whether the database took a write.
    pub(super) fn written(&self, written: Result<(), String>) {
        self.update(|parts| parts.written = written);
    }

    /// Returns what the last look found.
    pub(super) fn last_look(&self) -> Looked {
        self.parts.borrow().looked.clone()
    }

    /// Returns whether the last write failed.
    pub(super) fn cannot_write(&self) -> bool {
        self.parts.borrow().written.is_err()
    }

    /// Waits until a look fails.
    pub(super) async fn lost(&self) {
        // The sender is ours, so there is always one.
        let _ = self.parts.subscribe().wait_for(|parts| parts.looked.is_err()).await;
    }

    /// Updates what is known, and logs the status when it changes.
    fn update(&self, update: impl FnOnce(&mut Parts)) {
        self.parts.send_modify(update);
        let next = self.parts.borrow().status();
        self.status.send_if_modified(|current| {
            match (&*current, &next) {
                (StoreStatus::Available | StoreStatus::ReadOnly, StoreStatus::Unavailable(why)) => {
                    error!("the store is unavailable, reads go on: {why}");
                }
                (StoreStatus::Available, StoreStatus::ReadOnly) => {
                    warn!("{READ_ONLY}");
                }
                (StoreStatus::Unavailable(_), StoreStatus::ReadOnly) => {
                    warn!("the store is available again, read-only: no host takes writes");
                }
                (StoreStatus::Unavailable(_) | StoreStatus::ReadOnly, StoreStatus::Available) => {
                    info!("the store is available again");
                }
                (StoreStatus::Available, StoreStatus::Available)
                | (StoreStatus::ReadOnly, StoreStatus::ReadOnly)
                | (StoreStatus::Unavailable(_), StoreStatus::Unavailable(_)) => {}
            }
            let changed = *current != next;
            *current = next;
            changed
        });
    }
}

impl Parts {
    fn status(&self) -> StoreStatus {
        match (&self.looked, &self.written) {
            // On a read-only host, failed writes say nothing new.
            (Ok(Access::ReadOnly), _) => StoreStatus::ReadOnly,
            (Ok(Access::ReadWrite), Ok(())) => StoreStatus::Available,
            (Err(why), _) | (Ok(Access::ReadWrite), Err(why)) => StoreStatus::Unavailable(why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_available_once_looks_and_writes_succeed() {
        let sender = StatusSender::new(Access::ReadWrite);
        let receiver = sender.subscribe();
        let current = || receiver.borrow().clone();
        let unavailable = |why: &str| StoreStatus::Unavailable(why.into());
        assert_eq!(current(), StoreStatus::Available);
        sender.written(Err("its disk is full".into()));
        assert_eq!(current(), unavailable("its disk is full"));
        sender.looked(Err("connection refused".into()));
        assert_eq!(current(), unavailable("connection refused"));
        sender.looked(Ok(Access::ReadOnly));
        assert_eq!(current(), StoreStatus::ReadOnly);
        sender.looked(Ok(Access::ReadWrite));
        assert_eq!(current(), unavailable("its disk is full"));
        sender.written(Ok(()));
        assert_eq!(current(), StoreStatus::Available);
    }
}
