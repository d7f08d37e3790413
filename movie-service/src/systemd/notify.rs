//! States for the service manager (`sd_notify(3)`). They are sent to the socket in `NOTIFY_SOCKET`, if it is set.

use std::env;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Time that the service takes to stop after the last call, with a margin.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Reports that the service serves. `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that the service is stopping, and that its calls may take this time to end. The service manager waits for as
/// long, also if `TimeoutStopSec=` of the unit is shorter.
pub fn stopping(time_for_calls: Duration) {
    let micros = time_for_calls.saturating_add(STOP_MARGIN).as_micros();
    let micros = u32::try_from(micros).unwrap_or(u32::MAX);
    let status = NotifyState::Status("waiting for the calls in flight");
    send(&[NotifyState::Stopping, status, NotifyState::ExtendTimeoutUsec(micros)]);
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
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot notify systemd at the socket in NOTIFY_SOCKET");
    }
}
