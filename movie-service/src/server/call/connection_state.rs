//! A connection, as its calls see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderName, Request};
use tokio::sync::watch;

use crate::server::accept::admission::Activity;
use crate::server::call::deadline;
use crate::server::call::refusal::Refusal;
use crate::server::call::state::{Phase, Shared};
use crate::server::usage::{Usage, add};
use crate::telemetry::calls::Observer;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A connection, as its calls see it.
pub(crate) struct ConnectionState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// The number of its worker.
    pub(super) worker: usize,
    /// Calls in flight of the connection, by their generation; see [`ConnectionState::is_overdue`].
    pub(super) open: [AtomicUsize; 2],
    /// When the last call of a generation has to be done, in milliseconds since the connection began.
    pub(super) due: [AtomicUsize; 2],
    /// The generation that calls belong to which begin now.
    pub(super) young: AtomicUsize,
    pub(super) since: Instant,
    /// When a call was last known to be in flight, in milliseconds since the connection began, plus 1; 0 if none was.
    pub(super) last_call: AtomicUsize,
    /// Usage counters of its address; `None` for a local peer, which has no address.
    pub(super) usage: Option<Arc<Usage>>,
    /// Response frames that h2 has not written yet.
    pub(super) unsent: AtomicUsize,
    /// Bytes of responses that went out; that it changes is what counts.
    pub(super) taken: AtomicUsize,
    pub(super) observer: Observer,
    /// The names in the peer's certificate, which was verified.
    pub(super) names: Vec<String>,
}

impl ConnectionState {
    pub(crate) fn new(
        shared: Arc<Shared>,
        phase: watch::Receiver<Phase>,
        worker: usize,
        peer: Option<SocketAddr>,
        usage: Option<Arc<Usage>>,
        names: Vec<String>,
    ) -> Self {
        let observer = shared.observer.connection(peer);
        Self {
            shared,
            phase,
            worker,
            open: Default::default(),
            due: Default::default(),
            young: AtomicUsize::default(),
            since: Instant::now(),
            last_call: AtomicUsize::default(),
            usage,
            unsent: AtomicUsize::default(),
            taken: AtomicUsize::default(),
            observer,
            names,
        }
    }

    /// Returns the number of calls in flight, that is, whose response is not completely written.
    pub(crate) fn open(&self) -> usize {
        self.open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// Returns whether a call is in flight that had to be done so long ago.
    ///
    /// Most calls end at their deadlines by themselves. This finds those whose answers h2 has as a whole, and the peer
    /// does not take. To know one deadline for each would cost each call a place in a list; so they are known by
    /// generation. One at a time takes in calls. Once there are none left of the other, they change places.
    pub(crate) fn is_overdue(&self, patience: Duration) -> bool {
        let young = self.young.load(Ordering::Relaxed);
        if self.open[1 - young].load(Ordering::Relaxed) == 0 {
            self.young.store(1 - young, Ordering::Relaxed);
        }
        let old = 1 - self.young.load(Ordering::Relaxed);
        self.open[old].load(Ordering::Relaxed) > 0
            && to_milliseconds(self.since.elapsed().saturating_sub(patience))
                > self.due[old].load(Ordering::Relaxed)
    }

    /// Returns the latest deadline of the calls in flight.
    pub(crate) fn due(&self) -> Option<Instant> {
        let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let due = self
            .open
            .iter()
            .zip(&self.due)
            .filter(|(open, _)| load(open) > 0)
            .map(|(_, due)| load(due))
            .max()?;
        // Rounded up: a call polled before its deadline would not end.
        Some(self.since + Duration::from_millis(due as u64 + 1))
    }

    /// Counts a call with this deadline; returns its generation.
    pub(super) fn enter(&self, deadline: Instant) -> usize {
        let young = self.young.load(Ordering::Relaxed);
        let due = to_milliseconds(deadline.saturating_duration_since(self.since));
        if add(&self.open[young], 1) == 0 || self.due[young].load(Ordering::Relaxed) < due {
            self.due[young].store(due, Ordering::Relaxed);
        }
        young
    }

    /// Returns whether response data waits to be written.
    pub(crate) fn has_unsent_data(&self) -> bool {
        self.unsent.load(Ordering::Relaxed) > 0
    }

    /// Returns a number that changes whenever some of a response goes out.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the calls in flight of its worker.
    pub(super) fn calls(&self) -> &AtomicUsize {
        self.shared.usage.calls.of(self.worker)
    }

    /// Returns the calls in flight of its address and worker.
    pub(super) fn calls_of_address(&self) -> Option<&AtomicUsize> {
        Some(self.usage.as_ref()?.calls.of(self.worker))
    }

    /// Returns whether there was a call.
    pub(crate) fn is_used(&self) -> bool {
        self.last_call.load(Ordering::Relaxed) > 0
    }

    /// Records that a call is in flight at `now`.
    pub(crate) fn mark_used(&self, now: Instant) {
        let now = to_milliseconds(now.saturating_duration_since(self.since));
        self.last_call.store(now + 1, Ordering::Relaxed);
    }

    /// Returns the deadline of a call: the shorter of `grpc-timeout` and the limit `deadline`.
    pub(crate) fn deadline<B>(&self, begun: Instant, request: &Request<B>) -> Result<Instant, Refusal> {
        let ours = begun + self.shared.limits.deadline;
        let Some(value) = request.headers().get(GRPC_TIMEOUT) else { return Ok(ours) };
        let timeout = deadline::parse(value.as_bytes()).ok_or(Refusal::Timeout)?;
        // A timeout that overflows is longer than the limit.
        Ok(begun.checked_add(timeout).map_or(ours, |theirs| theirs.min(ours)))
    }
}

impl Activity for ConnectionState {
    fn idle_since(&self) -> Option<Instant> {
        let last_call = self.last_call.load(Ordering::Relaxed).saturating_sub(1);
        (self.open() == 0).then(|| self.since + Duration::from_millis(last_call as u64))
    }
}

fn to_milliseconds(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}
