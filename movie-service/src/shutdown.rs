//! When to stop.

use std::io;

use tokio::signal;

/// Completes when the process is asked to stop, by Ctrl-C or SIGTERM.
///
/// The signals are caught from this call on, not from the first poll.
///
/// # Errors
///
/// If the operating system does not let them be caught.
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use signal::unix::{SignalKind, signal};

        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = signal::ctrl_c().await;
    })
}
