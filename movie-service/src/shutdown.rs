//! Signal handling: SIGINT/SIGTERM, SIGHUP, SIGXFSZ.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// The exit code after a second signal: that of a shell for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Time after the first signal in which further ones are ignored: npm, timeout(1) and terminals send one more, to the
/// process itself or to its whole group, for a single request.
const REPEATED_SIGNAL_WINDOW: Duration = Duration::from_millis(500);

/// Does something each time that SIGHUP comes, on the runtime that this is called on.
///
/// # Errors
///
/// If the operating system does not let the signal be caught.
pub fn on_hangup(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            act();
        }
    });
    Ok(())
}

/// Makes a file that would become larger than it may an error where it is written to, instead of the end of the process.
///
/// # Errors
///
/// If the operating system does not let the signal be caught.
pub fn outlive_large_files() -> io::Result<()> {
    // Once caught, a signal stays caught.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// Completes when the process is asked to stop, by Ctrl-C or SIGTERM. A second signal after more than half a second
/// ends the process at once.
///
/// The signals are caught from this call on, not from the first poll.
///
/// # Errors
///
/// If the operating system does not let them be caught.
pub fn requested() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut asked = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(async move {
        asked().await;
        tokio::spawn(async move {
            let repeated = async {
                loop {
                    asked().await;
                }
            };
            let _ = tokio::time::timeout(REPEATED_SIGNAL_WINDOW, repeated).await;
            asked().await;
            std::process::exit(INTERRUPTED);
        });
    })
}
