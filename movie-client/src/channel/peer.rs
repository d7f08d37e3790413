//! One address of a service, and what is known of the connection to it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Channel;
use super::broken::Reason;
use super::connect::Target;
use crate::Error;

/// How long a peer that could not be reached, or did not answer, is passed over while there are others.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// One address of a service.
pub(crate) struct Peer {
    /// As people know it.
    pub(crate) name: String,
    pub(super) target: Target,
    state: Mutex<State>,
}

/// What is known of the connection.
enum State {
    /// Nobody has asked for one, or it is gone.
    Idle,
    Connecting,
    Ready(Link),
    Failed {
        error: Error,
        at: Instant,
    },
}

/// A connection. Once it is gone, all that is sent through it fails; another one is made for whoever asks the peer again.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// Why it broke, once it has.
    pub(crate) broken: Reason,
    /// When a call through it was not answered in time.
    suspected: Option<Instant>,
}

impl Peer {
    pub(super) fn new(target: Target) -> Self {
        Self { name: target.to_string(), target, state: Mutex::new(State::Idle) }
    }

    /// Returns the connection, if there is one, and whether it is fit for use.
    pub(super) fn link(&self) -> Option<(Link, bool)> {
        let State::Ready(link) = &*self.state() else { return None };
        Some((link.clone(), link.suspected.is_none_or(is_long_ago)))
    }

    pub(super) fn is_connecting(&self) -> bool {
        matches!(*self.state(), State::Connecting)
    }

    /// Returns why it could not be reached.
    pub(super) fn failure(&self) -> Option<Error> {
        let State::Failed { error, .. } = &*self.state() else { return None };
        Some(error.clone())
    }

    /// Returns whether the caller has to connect. A peer that could not be reached is left alone for a time, unless the
    /// caller `insists`.
    pub(super) fn begin(&self, insists: bool) -> bool {
        let mut state = self.state();
        let begins = match &*state {
            State::Idle => true,
            State::Failed { at, .. } => insists || is_long_ago(*at),
            State::Connecting | State::Ready(_) => false,
        };
        if begins {
            *state = State::Connecting;
        }
        begins
    }

    /// Notes what became of connecting.
    pub(super) fn end(&self, connected: Result<(Channel, Reason), Error>) {
        *self.state() = match connected {
            Ok((channel, broken)) => State::Ready(Link { channel, broken, suspected: None }),
            Err(error) => State::Failed { error, at: Instant::now() },
        };
    }

    /// Notes that a connection is gone.
    pub(crate) fn lost(&self, link: &Link) {
        let mut state = self.state();
        if matches!(&*state, State::Ready(current) if current.broken.is(&link.broken)) {
            *state = State::Idle;
        }
    }

    /// Notes that a call through a connection was not answered in time.
    pub(crate) fn suspect(&self, link: &Link) {
        if let State::Ready(current) = &mut *self.state()
            && current.broken.is(&link.broken)
        {
            current.suspected = Some(Instant::now());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is never left half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_long_ago(then: Instant) -> bool {
    then.elapsed() > PASSED_OVER
}
