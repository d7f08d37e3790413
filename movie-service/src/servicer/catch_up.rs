//! Waits for later revisions, and finds the changes since earlier ones.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use crate::catalogue::{Catalogue, HistoryPoint, LogEntry, Snapshot};
use crate::movie::Revision;
use crate::servicer::error::CallError;

/// Maximum time to wait for a revision. Nodes over the same store follow its commits within a second.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the catalogue is at `revision` or later, and returns whether it is.
///
/// A caller may have got the revision from another node, which can be ahead of this one for a moment.
pub(super) async fn wait_for_revision(newest: &mut Receiver<Revision>, revision: Revision) -> bool {
    timeout(CATCH_UP_TIMEOUT, newest.wait_for(|newest| *newest >= revision)).await.is_ok()
}

/// Returns the changes that lead from an earlier point to a snapshot, in order.
///
/// # Errors
///
/// [`CallError::PageTokenExpired`] if there are more than `max`, if they are no longer kept, or if older ones do not have
/// the movie before the change.
pub(super) fn changes_since(
    point: HistoryPoint,
    catalogue: &Catalogue,
    now: &Snapshot,
    max: usize,
) -> Result<Vec<LogEntry>, CallError> {
    if point == now.point() {
        return Ok(Vec::new());
    }
    let count = now.revision().since(point.revision).and_then(|since| usize::try_from(since).ok());
    let count = count.filter(|count| *count <= max && point.revision >= now.ordered_since());
    let changes = catalogue.changes(point, count.ok_or(CallError::PageTokenExpired)?);
    // The catalogue may have been reloaded since the snapshot was taken.
    let changes = changes.ok().filter(|changes| changes.last().map(|last| last.point) == Some(now.point()));
    changes.ok_or(CallError::PageTokenExpired)
}
