//! The thread that builds the columns of a catalogue, so that no page with a filter or an order waits for all of them.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use crate::catalogue::Catalogue;
use crate::catalogue::snapshot::Snapshot;

/// State of the thread.
#[derive(Debug, Default)]
pub(super) struct ColumnBuilder {
    /// The thread, once it is started.
    thread: OnceLock<Thread>,
}

impl ColumnBuilder {
    /// Wakes the thread if the next snapshot has no columns.
    pub(super) fn wake_if_missing(&self, next: &Snapshot) {
        if let Some(thread) = self.thread.get()
            && !next.has_columns()
        {
            thread.unpark();
        }
    }
}

/// Ends the thread.
impl Drop for ColumnBuilder {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Catalogue {
    /// Starts to build the columns that pages read, on a thread of its own. Later catalogues are built with columns, too.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start_building_columns(self: &Arc<Self>) -> io::Result<()> {
        let weak = Arc::downgrade(self);
        let thread = thread::Builder::new().name("columns".into()).spawn(move || {
            while let Some(catalogue) = weak.upgrade() {
                let snapshot = catalogue.snapshot();
                drop(catalogue);
                snapshot.build_columns();
                drop(snapshot);
                thread::park();
            }
        })?;
        // The service calls this once.
        let _ = self.column_builder.thread.set(thread.thread().clone());
        Ok(())
    }
}
