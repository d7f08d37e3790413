//! A call in flight: what it counts for, and how long it may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use http::{HeaderMap, HeaderName, Request};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::refusal::{self, Refusal};
use super::{Phase, Shared, deadline};
use crate::telemetry::calls::{Observed, Observer};
use crate::telemetry::metrics::Shed;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The calls whose answers are lists: they may take long, and hold movies for as long.
const LISTS: [&str; 3] = [
    "/Movie/GetListMovies",
    "/movie.catalog.v1.MovieCatalog/LookupMovies",
    "/movie.catalog.v1.MovieCatalog/WatchMovies",
];

/// A connection, as its calls see it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) phase: watch::Receiver<Phase>,
    /// The number of its worker.
    worker: usize,
    /// Calls in flight of the connection.
    open: AtomicUsize,
    /// Calls there ever were; that it changes is what counts.
    begun: AtomicUsize,
    /// Answers of which there is more than the peer took.
    owed: AtomicUsize,
    observer: Observer,
    /// The names in the peer's certificate, which was verified.
    names: Vec<String>,
}

impl Connection {
    pub(super) fn new(
        shared: Arc<Shared>,
        phase: watch::Receiver<Phase>,
        worker: usize,
        peer: Option<SocketAddr>,
        names: Vec<String>,
    ) -> Self {
        let observer = shared.observer.connection(peer);
        let [open, begun, owed] = std::array::from_fn(|_| AtomicUsize::default());
        Self { shared, phase, worker, open, begun, owed, observer, names }
    }

    /// Returns how many calls are in flight.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns whether there is more of some answer than the peer took.
    pub(super) fn owes(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// Returns the calls in flight of its worker.
    fn calls(&self) -> &AtomicUsize {
        &self.shared.calls[self.worker]
    }

    /// Returns a number that changes with each call.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns until when a call has to be done that began then: by the caller's limit, or ours if that is shorter.
    pub(super) fn deadline<B>(&self, begun: Instant, request: &Request<B>) -> Result<Instant, Refusal> {
        let ours = begun + self.shared.limits.deadline;
        let Some(value) = request.headers().get(GRPC_TIMEOUT) else { return Ok(ours) };
        let timeout = deadline::parse(value.as_bytes()).ok_or(Refusal::Timeout)?;
        // What is too long to be added is longer than ours.
        Ok(begun.checked_add(timeout).map_or(ours, |theirs| theirs.min(ours)))
    }

    /// Takes a call in, and says why it is not to be answered, if it is not.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> (InFlight, Result<(), Refusal>) {
        let Shared { limits, metrics, .. } = &*self.shared;
        let begun = Instant::now();
        let observed = self.observer.begin(request.uri().path(), request.headers(), begun);
        add(&self.begun, 1);
        add(&self.open, 1);
        let here = add(self.calls(), 1);
        let (deadline, timely) = match self.deadline(begun, request) {
            Ok(deadline) => (deadline, Ok(())),
            Err(refusal) => (begun + limits.deadline, Err(refusal)),
        };
        let mut call = InFlight {
            connection: self.clone(),
            deadline,
            is_list: false,
            is_owed: false,
            observed: Some(observed),
        };

        let admitted = if self.shared.is_busy(here) {
            metrics.shed(Shed::Calls);
            Err(Refusal::Busy("calls"))
        } else {
            timely.and_then(|()| call.authorize(request)).and_then(|()| call.count_list(request))
        };
        (call, admitted)
    }
}

/// A call in flight; it counts until this is dropped.
pub(super) struct InFlight {
    connection: Arc<Connection>,
    deadline: Instant,
    is_list: bool,
    is_owed: bool,
    /// `None` once the end was told.
    observed: Option<Observed>,
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

    /// Says whether there is more of the answer, which the peer is to take.
    pub(super) fn owe(&mut self, more: bool) {
        if self.is_owed != more {
            self.is_owed = more;
            add(&self.connection.owed, if more { 1 } else { -1 });
        }
    }

    /// Says that the call ended well.
    pub(super) fn end_well(mut self) {
        if let Some(observed) = self.observed.take() {
            observed.end(Code::Ok, "");
        }
    }

    /// Says that whatever comes of the call is not our fault.
    pub(super) fn blame_caller(&mut self) {
        if let Some(observed) = &mut self.observed {
            observed.blame_caller();
        }
    }

    /// Replaces a status that generated code answers if it was not made for callers.
    pub(super) fn hide_internals(&mut self, headers: &mut HeaderMap) {
        if refusal::hide_internals(headers) == Some(Refusal::Malformed) {
            self.blame_caller();
        }
    }

    /// Says how the call ended: by the status in `headers`, which may be trailers.
    pub(super) fn end(mut self, headers: &HeaderMap) {
        let Some(observed) = self.observed.take() else { return };
        match refusal::code(headers) {
            Some(Code::Ok) => observed.end(Code::Ok, ""),
            Some(code) => {
                let status = Status::from_header_map(headers);
                observed.end(code, status.as_ref().map_or("", Status::message));
            }
            None => observed.end(Code::Unknown, "the answer has no status"),
        }
    }

    /// Checks whether the caller may do this.
    fn authorize<B>(&mut self, request: &Request<B>) -> Result<(), Refusal> {
        let Connection { shared, names, .. } = &*self.connection;
        let caller = shared.access.check(request.uri().path(), request.headers(), names)?;
        if let (Some(caller), Some(observed)) = (caller, &mut self.observed) {
            observed.caller(caller);
        }
        Ok(())
    }

    fn count_list<B>(&mut self, request: &Request<B>) -> Result<(), Refusal> {
        if !LISTS.contains(&request.uri().path()) {
            return Ok(());
        }
        let shared = &self.connection.shared;
        self.is_list = true;
        if shared.lists.fetch_add(1, Ordering::Relaxed) >= shared.limits.lists {
            shared.metrics.shed(Shed::Lists);
            return Err(Refusal::Busy("lists"));
        }
        Ok(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.owe(false);
        if self.observed.is_some() {
            self.connection.shared.metrics.reset();
        }
        add(&self.connection.open, -1);
        add(self.connection.calls(), -1);
        if self.is_list {
            self.connection.shared.lists.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Adds to a counter that only this thread changes, and returns what it was; others may look at it. That takes no
/// atomic read-modify-write, of which there would be half a dozen for each call.
fn add(counter: &AtomicUsize, number: isize) -> usize {
    let before = counter.load(Ordering::Relaxed);
    counter.store(before.wrapping_add_signed(number), Ordering::Relaxed);
    before
}
