//! A call in flight: what it counts for, and how long it may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderName, Request};
use tokio::sync::watch;
use tonic::Code;

use super::refusal::Refusal;
use super::{Phase, Shared, deadline};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The calls whose answers are lists: they may take long, and hold movies for as long.
const LISTS: [&str; 1] = ["/Movie/GetListMovies"];

/// A connection, as its calls see it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Calls in flight of the worker.
    load: Arc<AtomicUsize>,
    /// Calls in flight of the connection.
    open: AtomicUsize,
    /// Calls there ever were; that it changes is what counts.
    begun: AtomicUsize,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, phase: watch::Receiver<Phase>, load: Arc<AtomicUsize>) -> Self {
        Self { shared, phase, load, open: AtomicUsize::default(), begun: AtomicUsize::default() }
    }

    /// Returns how many calls are in flight.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns a number that changes with each call.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Takes a call in if there is room for it, and says until when it has to be done.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> (InFlight, Result<(), Refusal>) {
        let limits = &self.shared.limits;
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let calls = self.load.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let mut call =
            InFlight { connection: self.clone(), deadline: begun + limits.deadline, is_list: false };

        let admitted = if calls >= self.shared.calls_per_worker {
            Err(Refusal::Busy("calls"))
        } else {
            call.shorten(begun, request).and_then(|()| call.count_list(request.uri().path()))
        };
        (call, admitted)
    }
}

/// A call in flight; it counts until this is dropped.
pub(super) struct InFlight {
    connection: Arc<Connection>,
    deadline: Instant,
    is_list: bool,
}

impl InFlight {
    pub(super) fn shared(&self) -> &Shared {
        &self.connection.shared
    }

    /// Returns when the call has to be done.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns why the call cannot go on, if it cannot.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        if Instant::now() >= self.deadline {
            Some(Refusal::Late)
        } else if *self.connection.phase.borrow() == Phase::Ending {
            Some(Refusal::Stopping)
        } else {
            None
        }
    }

    /// Says how the call ended.
    pub(super) fn end(self, _: Code) {}

    /// Takes the caller's limit if that is shorter.
    fn shorten<B>(&mut self, begun: Instant, request: &Request<B>) -> Result<(), Refusal> {
        let Some(value) = request.headers().get(GRPC_TIMEOUT) else { return Ok(()) };
        let timeout: Duration = deadline::parse(value.as_bytes()).ok_or(Refusal::Timeout)?;
        // What is too long to be added is longer than ours.
        if let Some(deadline) = begun.checked_add(timeout) {
            self.deadline = self.deadline.min(deadline);
        }
        Ok(())
    }

    fn count_list(&mut self, path: &str) -> Result<(), Refusal> {
        if !LISTS.contains(&path) {
            return Ok(());
        }
        let shared = &self.connection.shared;
        self.is_list = true;
        if shared.lists.fetch_add(1, Ordering::Relaxed) >= shared.limits.lists {
            return Err(Refusal::Busy("lists"));
        }
        Ok(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.connection.open.fetch_sub(1, Ordering::Relaxed);
        self.connection.load.fetch_sub(1, Ordering::Relaxed);
        if self.is_list {
            self.connection.shared.lists.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
