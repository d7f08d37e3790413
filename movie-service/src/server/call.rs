//! A call in flight: what it counts for, and how long it may take.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, Request};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::admission::Activity;
use super::limits::half;
use super::refusal::{self, Refusal};
use super::usage::Usage;
use super::{Phase, Shared, deadline};
use crate::access::Denied;
use crate::rpc::{self, Rpc};
use crate::telemetry::calls::{Observed, Observer};
use crate::telemetry::metrics::Shed;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A connection, as its calls see it.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) phase: watch::Receiver<Phase>,
    /// The number of its worker.
    worker: usize,
    /// Calls in flight of the connection, by their generation; see [`Connection::is_overdue`].
    open: [AtomicUsize; 2],
    /// When the last call of a generation has to be done, in milliseconds since the connection began.
    due: [AtomicUsize; 2],
    /// The generation that calls belong to which begin now.
    young: AtomicUsize,
    since: Instant,
    /// When a call was last known to be in flight, in milliseconds since the connection began, plus 1; 0 if none was.
    last_call: AtomicUsize,
    /// What all connections of its address use; `None` for a local peer, which has no address.
    usage: Option<Arc<Usage>>,
    /// Parts of answers that the peer did not take yet.
    owed: AtomicUsize,
    /// Bytes of answers that went out; that it changes is what counts.
    taken: AtomicUsize,
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
            owed: AtomicUsize::default(),
            taken: AtomicUsize::default(),
            observer,
            names,
        }
    }

    /// Returns how many calls are in flight: some of their answers is not written yet.
    pub(super) fn open(&self) -> usize {
        self.open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// Returns whether a call is in flight that had to be done so long ago.
    ///
    /// Most calls end at their deadlines by themselves. This finds those whose answers h2 has as a whole, and the peer
    /// does not take. To know one deadline for each would cost each call a place in a list; so they are known by
    /// generation. One at a time takes in calls. Once there are none left of the other, they change places.
    pub(super) fn is_overdue(&self, patience: Duration) -> bool {
        let young = self.young.load(Ordering::Relaxed);
        if self.open[1 - young].load(Ordering::Relaxed) == 0 {
            self.young.store(1 - young, Ordering::Relaxed);
        }
        let old = 1 - self.young.load(Ordering::Relaxed);
        self.open[old].load(Ordering::Relaxed) > 0
            && to_milliseconds(self.since.elapsed().saturating_sub(patience))
                > self.due[old].load(Ordering::Relaxed)
    }

    /// Returns when the last of the calls in flight has to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        let load = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let due = self
            .open
            .iter()
            .zip(&self.due)
            .filter(|(open, _)| load(open) > 0)
            .map(|(_, due)| load(due))
            .max()?;
        // Rounded up: a call that is asked too early does not know yet that it is late.
        Some(self.since + Duration::from_millis(due as u64 + 1))
    }

    /// Counts a call that has to be done by then; returns its generation.
    fn enter(&self, deadline: Instant) -> usize {
        let young = self.young.load(Ordering::Relaxed);
        let due = to_milliseconds(deadline.saturating_duration_since(self.since));
        if add(&self.open[young], 1) == 0 || self.due[young].load(Ordering::Relaxed) < due {
            self.due[young].store(due, Ordering::Relaxed);
        }
        young
    }

    /// Returns whether there is more of some answer than the peer took.
    pub(super) fn owes(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0
    }

    /// Returns a number that changes whenever some of an answer goes out.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns the calls in flight of its worker.
    fn calls(&self) -> &AtomicUsize {
        self.shared.usage.calls.of(self.worker)
    }

    /// Returns the calls in flight of its address and worker.
    fn calls_of_address(&self) -> Option<&AtomicUsize> {
        Some(self.usage.as_ref()?.calls.of(self.worker))
    }

    /// Returns whether there was a call.
    pub(super) fn is_used(&self) -> bool {
        self.last_call.load(Ordering::Relaxed) > 0
    }

    /// Says that a call is in flight at this time.
    pub(super) fn mark_used(&self, now: Instant) {
        let now = to_milliseconds(now.saturating_duration_since(self.since));
        self.last_call.store(now + 1, Ordering::Relaxed);
    }

    /// Returns until when a call has to be done that began then: by the caller's limit, or ours if that is shorter.
    pub(super) fn deadline<B>(&self, begun: Instant, request: &Request<B>) -> Result<Instant, Refusal> {
        let ours = begun + self.shared.limits.deadline;
        let Some(value) = request.headers().get(GRPC_TIMEOUT) else { return Ok(ours) };
        let timeout = deadline::parse(value.as_bytes()).ok_or(Refusal::Timeout)?;
        // What is too long to be added is longer than ours.
        Ok(begun.checked_add(timeout).map_or(ours, |theirs| theirs.min(ours)))
    }

    /// Takes a call in: returns its RPC, or why it is refused.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> (InFlight, Result<Rpc, Refusal>) {
        let Shared { limits, metrics, .. } = &*self.shared;
        let begun = Instant::now();
        let rpc = Rpc::find(request.uri().path());
        let mut observed = self.observer.begin(rpc, request.headers(), begun);
        let (deadline, timely) = match self.deadline(begun, request) {
            Ok(deadline) => (deadline, Ok(())),
            Err(refusal) => (begun + limits.deadline, Err(refusal)),
        };
        self.mark_used(begun);
        let here = add(self.calls(), 1);
        let here_of_address = self.calls_of_address().map(|calls| add(calls, 1));
        let mut counted =
            Counted { generation: self.enter(deadline), kind: Kind::Other, connection: self.clone() };

        let admitted = if self.shared.is_busy(here) {
            metrics.shed(Shed::Calls);
            Err(Refusal::Busy("calls"))
        } else if self.is_address_busy(here_of_address) {
            metrics.shed(Shed::CallsOfAddress);
            Err(Refusal::Busy("calls from one address"))
        } else {
            timely
                .and_then(|()| self.authorize(rpc, request.headers(), &mut observed))
                .and_then(|rpc| counted.count_as(Kind::of(rpc)).map(|()| rpc))
        };
        (InFlight { count: Some(Count::Own(counted)), deadline, observed }, admitted)
    }

    /// Returns whether there are too many calls of its address, with one more than `here` of its worker.
    fn is_address_busy(&self, here: Option<usize>) -> bool {
        let (Some(usage), Some(here)) = (&self.usage, here) else { return false };
        usage.calls.exceeds(here, self.shared.limits.calls_of_address())
    }

    /// Checks whether the caller may do this.
    fn authorize(
        &self,
        rpc: Option<Rpc>,
        headers: &HeaderMap,
        observed: &mut Observed,
    ) -> Result<Rpc, Refusal> {
        let caller = self.shared.access.check(rpc, headers, &self.names)?;
        let rpc = rpc.ok_or(Denied::NoSuchRpc)?;
        if let Some(caller) = caller {
            observed.caller(caller);
        }
        Ok(rpc)
    }
}

impl Activity for Connection {
    fn idle_since(&self) -> Option<Instant> {
        let last_call = self.last_call.load(Ordering::Relaxed).saturating_sub(1);
        (self.open() == 0).then(|| self.since + Duration::from_millis(last_call as u64))
    }
}

/// What calls are told apart by that have limits of their own.
#[derive(Clone, Copy)]
enum Kind {
    List,
    /// It needs no credentials.
    Open,
    Other,
}

impl Kind {
    fn of(rpc: Rpc) -> Self {
        match rpc.kind {
            rpc::Kind::List | rpc::Kind::Watch => Self::List,
            rpc::Kind::Unary | rpc::Kind::Import | rpc::Kind::Probe if rpc.role.is_none() => Self::Open,
            rpc::Kind::Unary | rpc::Kind::Import | rpc::Kind::Probe => Self::Other,
        }
    }
}

/// What a call counts for, until this is dropped.
pub(super) struct Counted {
    connection: Arc<Connection>,
    generation: usize,
    kind: Kind,
}

impl Counted {
    /// Counts a call for what its kind counts for beside it.
    fn count_as(&mut self, kind: Kind) -> Result<(), Refusal> {
        self.kind = kind;
        let Connection { shared, usage, worker, .. } = &*self.connection;
        let Shared { limits, usage: of_all, metrics, .. } = &**shared;
        let of_address = usage.as_deref();
        let exceeded = match kind {
            Kind::List => {
                let count = |usage: &Usage| usage.lists.fetch_add(1, Ordering::Relaxed);
                let (all, address) = (count(of_all), of_address.map_or(0, count));
                if all >= limits.lists {
                    Some((Shed::Lists, "lists"))
                } else if address >= limits.lists_of_address() {
                    Some((Shed::ListsOfAddress, "lists to one address"))
                } else {
                    None
                }
            }
            // They have half of all, and of those of an address: callers who say who they are have room beside them.
            Kind::Open => {
                let exceeds = |usage: &Usage, limit| {
                    let before = add(usage.open_calls.of(*worker), 1);
                    usage.open_calls.exceeds(before, half(limit))
                };
                let all = exceeds(of_all, limits.calls);
                let address = of_address.is_some_and(|usage| exceeds(usage, limits.calls_of_address()));
                if all {
                    Some((Shed::Calls, "calls without credentials"))
                } else if address {
                    Some((Shed::CallsOfAddress, "calls without credentials from one address"))
                } else {
                    None
                }
            }
            Kind::Other => None,
        };
        if let Some((shed, what)) = exceeded {
            metrics.shed(shed);
            return Err(Refusal::Busy(what));
        }
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { connection, generation, kind } = self;
        add(&connection.open[*generation], -1);
        add(connection.calls(), -1);
        connection.calls_of_address().map(|calls| add(calls, -1));
        for usage in [Some(&connection.shared.usage), connection.usage.as_deref()].into_iter().flatten() {
            match kind {
                Kind::List => drop(usage.lists.fetch_sub(1, Ordering::Relaxed)),
                Kind::Open => drop(add(usage.open_calls.of(connection.worker), -1)),
                Kind::Other => {}
            }
        }
    }
}

/// A call as it counts: until the last part of its answer is written.
pub(super) enum Count {
    /// Of an answer that has one part at most; it costs no allocation.
    Own(Counted),
    /// Of an answer that may have many.
    Shared(Arc<Counted>),
}

impl Count {
    /// Has the call count until what is returned is dropped, too.
    pub(super) fn share(count: &mut Option<Self>) -> Option<Arc<Counted>> {
        let shared = match count.take()? {
            Self::Own(counted) => Arc::new(counted),
            Self::Shared(shared) => shared,
        };
        *count = Some(Self::Shared(shared.clone()));
        Some(shared)
    }

    /// Returns what goes with a part of the answer.
    pub(super) fn part(count: &mut Option<Self>) -> Option<Unsent> {
        Self::share(count).map(Self::Shared).map(Unsent::new)
    }

    fn connection(&self) -> &Connection {
        match self {
            Self::Own(counted) => &counted.connection,
            Self::Shared(counted) => &counted.connection,
        }
    }
}

/// Goes with a part of an answer that the peer did not take yet. For as long the call counts, and the peer has
/// something to read.
pub(super) struct Unsent(Count);

impl Unsent {
    fn new(count: Count) -> Self {
        add(&count.connection().owed, 1);
        Self(count)
    }

    /// Says that the windows of the peer let so many bytes of the part go out.
    pub(super) fn took(&self, bytes: usize) {
        add(&self.0.connection().taken, bytes.cast_signed());
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        add(&self.0.connection().owed, -1);
    }
}

/// A call that is being answered.
pub(super) struct InFlight {
    /// `None` once the last part of the answer has it.
    count: Option<Count>,
    deadline: Instant,
    observed: Observed,
}

impl InFlight {
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.count.as_ref().map(|count| &*count.connection().shared)
    }

    /// What the call counts for, to be shared.
    pub(super) fn count(&mut self) -> &mut Option<Count> {
        &mut self.count
    }

    /// Returns what goes with the last part of the answer, before which there was none.
    pub(super) fn only_part(&mut self) -> Option<Unsent> {
        self.count.take().map(Unsent::new)
    }

    /// Returns when the call has to be done.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns why the call cannot go on, if it cannot.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        if Instant::now() >= self.deadline {
            Some(Refusal::Late)
        } else {
            let phase = &self.count.as_ref()?.connection().phase;
            (*phase.borrow() == Phase::Ending).then_some(Refusal::Stopping)
        }
    }

    /// Says that the call ended well.
    pub(super) fn end_well(self) {
        self.observed.end(Code::Ok, "");
    }

    /// Says that whatever comes of the call is not our fault.
    pub(super) fn blame_caller(&mut self) {
        self.observed.blame_caller();
    }

    /// Replaces a status that generated code answers if it was not made for callers.
    pub(super) fn hide_internals(&mut self, headers: &mut HeaderMap) {
        if refusal::hide_internals(headers) == Some(Refusal::Malformed) {
            self.blame_caller();
        }
    }

    /// Says how the call ended: by the status in `headers`, which may be trailers.
    pub(super) fn end(self, headers: &HeaderMap) {
        match refusal::code(headers) {
            Some(Code::Ok) => self.observed.end(Code::Ok, ""),
            Some(code) => {
                let status = Status::from_header_map(headers);
                self.observed.end(code, status.as_ref().map_or("", Status::message));
            }
            None => self.observed.end(Code::Unknown, "the answer has no status"),
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

fn to_milliseconds(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}
