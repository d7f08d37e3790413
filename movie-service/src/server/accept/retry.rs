//! Accepting connections in spite of errors.

use std::io;
use std::time::Duration;

use tracing::warn;

/// Time to wait after an error. Errors such as too many open files do not go away by retrying at once.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Accepts a connection; after an error, tries again. Logs the first error. `kind` names the connections in the log.
pub(crate) async fn accept<T, F>(kind: &str, accept: impl Fn() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut has_failed = false;
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if !std::mem::replace(&mut has_failed, true) {
                    warn!(%error, "cannot accept {kind}, retrying");
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}
