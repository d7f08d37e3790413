//! A resolved address and the state of its connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Channel;
use super::close_reason::CloseReasonCell;
use super::connect::Target;
use crate::Error;

/// Time for which a failed peer is skipped while others are available.
const FAILED_PEER_COOLDOWN: Duration = Duration::from_secs(5);

/// A resolved address of a service.
pub(crate) struct Peer {
    /// Name for messages.
    pub(crate) name: String,
    pub(super) target: Target,
    state: Mutex<State>,
}

/// State of the connection.
enum State {
    /// Not connected, or the connection was lost.
    Idle,
    Connecting,
    Ready(Connection),
    Failed {
        error: Error,
        at: Instant,
    },
}

/// A connection. After it was lost, all its calls fail, and the next call to the peer opens another one.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    /// Reason for which the connection was closed.
    pub(crate) close_reason: CloseReasonCell,
    /// Time of the last call that exceeded its deadline.
    timed_out_at: Option<Instant>,
}

impl Peer {
    pub(super) fn new(target: Target) -> Self {
        Self { name: target.to_string(), target, state: Mutex::new(State::Idle) }
    }

    /// Returns the connection, and whether its calls respond in time.
    pub(super) fn connection(&self) -> Option<(Connection, bool)> {
        let State::Ready(connection) = &*self.state() else { return None };
        Some((connection.clone(), connection.timed_out_at.is_none_or(is_long_ago)))
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(*self.state(), State::Connecting)
    }

    /// Returns the error of the last attempt to connect.
    pub(super) fn connect_error(&self) -> Option<Error> {
        let State::Failed { error, .. } = &*self.state() else { return None };
        Some(error.clone())
    }

    /// Returns whether the caller must connect now. A failed peer is skipped for some time, unless `force` is set.
    pub(super) fn start_connecting(&self, force: bool) -> bool {
        let mut state = self.state();
        let begins = match &*state {
            State::Idle => true,
            State::Failed { at, .. } => force || is_long_ago(*at),
            State::Connecting | State::Ready(_) => false,
        };
        if begins {
            *state = State::Connecting;
        }
        begins
    }

    /// Stores the result of an attempt to connect.
    pub(super) fn finish_connecting(&self, connected: Result<(Channel, CloseReasonCell), Error>) {
        *self.state() = match connected {
            Ok((channel, close_reason)) => {
                State::Ready(Connection { channel, close_reason, timed_out_at: None })
            }
            Err(error) => State::Failed { error, at: Instant::now() },
        };
    }

    /// Records that the connection was lost.
    pub(crate) fn mark_lost(&self, connection: &Connection) {
        let mut state = self.state();
        if matches!(&*state, State::Ready(current) if current.close_reason.is(&connection.close_reason)) {
            *state = State::Idle;
        }
    }

    /// Records that a call exceeded its deadline.
    pub(crate) fn mark_unresponsive(&self, connection: &Connection) {
        if let State::Ready(current) = &mut *self.state()
            && current.close_reason.is(&connection.close_reason)
        {
            current.timed_out_at = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The value is consistent even if a thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_long_ago(then: Instant) -> bool {
    then.elapsed() > FAILED_PEER_COOLDOWN
}
