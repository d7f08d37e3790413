//! Signal handling: SIGINT/SIGTERM, SIGHUP, SIGXFSZ.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Exit code after a second signal: the one that a shell reports for a program ended by SIGINT (128 + 2).
const EXIT_INTERRUPTED: i32 = 130;

/// Time after the first signal in which further ones are ignored. npm, timeout(1) and terminals repeat the signal of
/// a single request, to the process or to its process group.
const REPEATED_SIGNAL_WINDOW: Duration = Duration::from_millis(500);

/// Ignores SIGHUP, which would end the process, until [`on_hangup`]: what it asks for is being read.
///
/// # Errors
///
/// If the operating system refuses the handler.
pub fn ignore_hangup() -> io::Result<()> {
    // tokio keeps its handler installed after the stream is dropped.
    signal(SignalKind::hangup()).map(drop)
}

/// Calls `act` on each SIGHUP, on the current runtime.
///
/// # Errors
///
/// If the operating system refuses the handler.
pub fn on_hangup(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            act();
        }
    });
    Ok(())
}

/// Turns SIGXFSZ into a write error (EFBIG) instead of the end of the process.
///
/// # Errors
///
/// If the operating system refuses the handler.
pub fn ignore_file_size_signal() -> io::Result<()> {
    // tokio keeps its handler installed after the stream is dropped.
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}

/// Completes on the first SIGINT (Ctrl-C) or SIGTERM. A second signal after more than half a second
/// ends the process at once.
///
/// The signals are handled from this call on, not from the first poll.
///
/// # Errors
///
/// If the operating system refuses the handler.
pub fn shutdown_requested() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut signalled = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(async move {
        signalled().await;
        tokio::spawn(async move {
            let repeated = async {
                loop {
                    signalled().await;
                }
            };
            let _ = tokio::time::timeout(REPEATED_SIGNAL_WINDOW, repeated).await;
            signalled().await;
            std::process::exit(EXIT_INTERRUPTED);
        });
    })
}
