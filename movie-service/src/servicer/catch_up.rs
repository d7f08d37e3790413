//! Waits for a revision that another node already has.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use crate::movie::Revision;

/// Maximum time to wait for a revision. Nodes over the same store follow its commits within a second.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until the catalogue is at `revision` or later, and returns whether it is.
///
/// A caller may have got the revision from another node, which can be ahead of this one for a moment.
pub(super) async fn wait_for_revision(newest: &mut Receiver<Revision>, revision: Revision) -> bool {
    timeout(CATCH_UP_TIMEOUT, newest.wait_for(|newest| *newest >= revision)).await.is_ok()
}
