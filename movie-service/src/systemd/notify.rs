//! States for the service manager (`sd_notify(3)`). They are sent to the socket in `NOTIFY_SOCKET`, if it is set.
//!
//! A thread sends them: the socket of a service manager that hangs is full after a while, and nothing else may wait for it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Time that the service takes to stop after the last call, with a margin.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// States that wait for the service manager. Further ones are dropped.
const MAX_WAITING: usize = 16;

/// Shortest time between two reports that the service is alive.
const MIN_ALIVE_INTERVAL: Duration = Duration::from_millis(10);

/// Reports that the service serves. `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that the service is stopping, and that its calls may take this time to end. The service manager waits for as
/// long, also if `TimeoutStopSec=` of the unit is shorter.
pub fn stopping(time_for_calls: Duration) {
    let micros = time_for_calls.saturating_add(STOP_MARGIN).as_micros();
    let extended = format!("EXTEND_TIMEOUT_USEC={micros}");
    let status = NotifyState::Status("waiting for the calls in flight");
    send(&[NotifyState::Stopping, status, NotifyState::Custom(&extended)]);
}

/// Reports that a reload begins.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "cannot notify systemd of the reload"),
    }
}

/// Reports that a reload is over.
pub fn reloaded() {
    send(&[NotifyState::Ready]);
}

/// Reports that the service is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Returns the time between two reports that the service is alive, if the service manager expects them: half the time
/// after which it ends the service (`sd_watchdog_enabled(3)`).
#[must_use]
pub fn alive_interval() -> Option<Duration> {
    env::var_os("NOTIFY_SOCKET")?;
    sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(MIN_ALIVE_INTERVAL))
}

fn send(states: &[NotifyState<'_>]) {
    /// To the thread that sends; `None` without a socket.
    static SENDER: OnceLock<Option<SyncSender<String>>> = OnceLock::new();

    if let Some(sender) = SENDER.get_or_init(start) {
        let message = states.iter().fold(String::new(), |mut message, state| {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
            message
        });
        // Full if the service manager hangs, which then misses a state.
        let _ = sender.try_send(message);
    }
}

/// Starts the thread that sends.
fn start() -> Option<SyncSender<String>> {
    let path = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())?;
    let (sender, messages) = mpsc::sync_channel(MAX_WAITING);
    let thread = thread::Builder::new().name("notify".to_owned());
    let started = thread.spawn(move || {
        if let Err(error) = send_all(&path, &messages) {
            warn!(
                "systemd is not told the state of the service: the socket {} in NOTIFY_SOCKET: {error}; start the \
                 service by a unit with Type=notify, or unset the variable",
                path.display()
            );
        }
    });
    started
        .map_err(|error| warn!(%error, "cannot start the thread that notifies systemd"))
        .ok()
        .map(|_| sender)
}

/// Sends each message to the socket at a path.
fn send_all(path: &OsStr, messages: &Receiver<String>) -> io::Result<()> {
    let address = address(path)?;
    let socket = UnixDatagram::unbound()?;
    for message in messages {
        socket.send_to_addr(message.as_bytes(), &address)?;
    }
    Ok(())
}

/// Returns the address of the socket at a path; in Linux's abstract namespace, if it begins with `@`.
fn address(path: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::ffi::OsStrExt as _;

        if let Some(name) = path.as_bytes().strip_prefix(b"@") {
            return SocketAddr::from_abstract_name(name);
        }
    }
    SocketAddr::from_pathname(path)
}
