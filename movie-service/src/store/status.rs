//! The status of a store: available, read-only or unavailable.

use std::thread;

use tokio::sync::watch;
use tracing::{error, info, warn};

/// Status of a store, as far as its tasks know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreStatus {
    /// The store can be read and written.
    Available,
    /// The store can be read and followed, but not written for now.
    ReadOnly,
    /// The store cannot be used, for this reason. The catalogue serves the last known movies.
    Unavailable(String),
}

impl StoreStatus {
    /// Returns whether the store can be read.
    #[must_use]
    pub fn is_available(&self) -> bool {
        !matches!(self, Self::Unavailable(_))
    }
}

const READ_ONLY: &str = "the store is read-only: no host accepts writes; reads and watches continue";

/// Outcome of a poll: the mode of the database, or why the poll failed.
pub(super) type PollOutcome = Result<AccessMode, String>;

/// Whether a database accepts writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessMode {
    ReadWrite,
    /// The host is a hot standby, or is configured as read-only.
    ReadOnly,
}

/// Combines the reports of the tasks into the status of a store. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct StatusSender {
    reports: watch::Sender<Reports>,
    status: watch::Sender<StoreStatus>,
}

/// Reports the store as unavailable when it is dropped by a panic, which ends the tasks.
pub(super) struct PanicReport(pub(super) StatusSender);

impl Drop for PanicReport {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.report_poll(Err("its thread panicked; restart the service".into()));
        }
    }
}

/// Latest reports of the tasks.
#[derive(Clone, Debug)]
struct Reports {
    /// Outcome of the follower's last poll.
    poll: PollOutcome,
    /// Outcome of the writer's last write.
    write: Result<(), String>,
}

impl StatusSender {
    /// Starts with the mode that the first poll found.
    pub(super) fn new(mode: AccessMode) -> Self {
        if mode == AccessMode::ReadOnly {
            warn!("{READ_ONLY}");
        }
        let reports = Reports { poll: Ok(mode), write: Ok(()) };
        Self { status: watch::Sender::new(reports.status()), reports: watch::Sender::new(reports) }
    }

    /// Returns a receiver of the status.
    pub(super) fn subscribe(&self) -> watch::Receiver<StoreStatus> {
        self.status.subscribe()
    }

    /// Reports the outcome of a poll.
    pub(super) fn report_poll(&self, outcome: PollOutcome) {
        self.update(|reports| reports.poll = outcome);
    }

    /// Reports that all movies are being reloaded. The caller logs the reason.
    pub(super) fn report_reload(&self) {
        let why = "all movies are being reloaded".to_owned();
        self.reports.send_modify(|reports| reports.poll = Err(why.clone()));
        self.status.send_replace(StoreStatus::Unavailable(why));
    }

    /// Reports whether the database accepted a write.
    pub(super) fn report_write(&self, outcome: Result<(), String>) {
        self.update(|reports| reports.write = outcome);
    }

    /// Returns the outcome of the last poll.
    pub(super) fn last_poll(&self) -> PollOutcome {
        self.reports.borrow().poll.clone()
    }

    /// Returns whether the last write failed.
    pub(super) fn has_failed_write(&self) -> bool {
        self.reports.borrow().write.is_err()
    }

    /// Waits until a poll fails, and returns the reason.
    pub(super) async fn wait_until_unavailable(&self) -> String {
        let mut reports = self.reports.subscribe();
        // The wait does not end early, because `self` holds the sender.
        let failed = reports.wait_for(|reports| reports.poll.is_err()).await;
        failed.ok().and_then(|reports| reports.poll.clone().err()).unwrap_or_default()
    }

    /// Updates the reports, and logs the status when it changes.
    fn update(&self, update: impl FnOnce(&mut Reports)) {
        self.reports.send_modify(update);
        let next = self.reports.borrow().status();
        self.status.send_if_modified(|current| {
            match (&*current, &next) {
                (StoreStatus::Available | StoreStatus::ReadOnly, StoreStatus::Unavailable(why)) => {
                    error!("the store is unavailable, reads continue: {why}");
                }
                (StoreStatus::Available, StoreStatus::ReadOnly) => {
                    warn!("{READ_ONLY}");
                }
                (StoreStatus::Unavailable(_), StoreStatus::ReadOnly) => {
                    warn!("the store is available again, read-only: no host accepts writes");
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

impl Reports {
    fn status(&self) -> StoreStatus {
        match (&self.poll, &self.write) {
            // On a read-only host, writes are expected to fail.
            (Ok(AccessMode::ReadOnly), _) => StoreStatus::ReadOnly,
            (Ok(AccessMode::ReadWrite), Ok(())) => StoreStatus::Available,
            (Err(why), _) | (Ok(AccessMode::ReadWrite), Err(why)) => StoreStatus::Unavailable(why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_available_once_polls_and_writes_succeed() {
        let sender = StatusSender::new(AccessMode::ReadWrite);
        let receiver = sender.subscribe();
        let current = || receiver.borrow().clone();
        let unavailable = |why: &str| StoreStatus::Unavailable(why.into());
        assert_eq!(current(), StoreStatus::Available);
        sender.report_write(Err("its disk is full".into()));
        assert_eq!(current(), unavailable("its disk is full"));
        sender.report_poll(Err("connection refused".into()));
        assert_eq!(current(), unavailable("connection refused"));
        sender.report_poll(Ok(AccessMode::ReadOnly));
        assert_eq!(current(), StoreStatus::ReadOnly);
        sender.report_poll(Ok(AccessMode::ReadWrite));
        assert_eq!(current(), unavailable("its disk is full"));
        sender.report_write(Ok(()));
        assert_eq!(current(), StoreStatus::Available);
    }
}
