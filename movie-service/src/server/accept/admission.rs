//! Connection limits and eviction.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::server::usage::Usage;
use crate::telemetry::metrics::ShedReason;

/// Maximum number of evicted connections that are still open. They do not count towards the limits; each closes as
/// soon as its worker polls it.
const MAX_EVICTED: usize = 32;

/// Evicted connections that may wait for their peers to close. Beyond that, evicted connections are closed without
/// lingering, so that peers that never close do not delay new connections.
const MAX_LINGERING: usize = MAX_EVICTED / 2;

/// Time between two searches for idle connections, each of which looks at all connections.
const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

/// Admits connections up to a limit in all and a limit for each address.
///
/// At a limit, one of the connections that it counts makes room for the new one. First those that never made a call:
/// of the address with the most connections, so that nobody can evict the connections of others by opening many; of
/// these, those first that have not finished their handshake, then the oldest. If each has made a call, the one that has
/// been idle for longest. A connection with a call in flight never makes room; if there is no other, the new one is
/// refused.
#[derive(Clone)]
pub(crate) struct Admission {
    inner: Arc<Mutex<Inner>>,
    /// Notified when an evicted connection is closed.
    closed: Arc<Notify>,
}

struct Inner {
    max: usize,
    max_per_address: usize,
    workers: usize,
    open: HashMap<u64, Open>,
    /// The connections of each address, and of the local peers, which have none.
    addresses: HashMap<Option<IpAddr>, Address>,
    /// Connections that were idle at the last search, the one that was idle for longest last.
    idle: Vec<IdleConnection>,
    searched: Option<Instant>,
    /// Evicted connections that are still open.
    evicted: HashSet<u64>,
    next: u64,
}

/// A connection that counts towards the limits.
struct Open {
    address: Option<IpAddr>,
    evict: oneshot::Sender<()>,
    stage: Stage,
}

enum Stage {
    /// It has not finished its handshake.
    Arriving,
    /// It has made no call.
    Unused,
    /// It has made one.
    Used(Arc<dyn Activity>),
}

/// What is known of an address.
struct Address {
    /// Connections that count.
    connections: usize,
    /// Tickets, also of connections that were evicted and are still open.
    tickets: usize,
    /// Connections that made no call, as (has finished its handshake, number), in the order of eviction.
    unused: BTreeSet<(bool, u64)>,
    usage: Arc<Usage>,
}

struct IdleConnection {
    number: u64,
    address: Option<IpAddr>,
    since: Instant,
}

/// Reports since when a connection has been idle.
pub(crate) trait Activity: Send + Sync {
    /// Returns since when no call has been in flight; `None` while one is.
    fn idle_since(&self) -> Option<Instant>;
}

/// Admission of a connection. It counts towards the limits until the ticket is dropped or the connection is evicted.
pub(crate) struct Ticket {
    admission: Admission,
    number: u64,
    address: Option<IpAddr>,
    usage: Arc<Usage>,
    /// Completes when the connection has to make room.
    pub(crate) evicted: oneshot::Receiver<()>,
}

impl Admission {
    /// Admits up to `max` connections, `max_per_address` from one address, for `workers` worker threads.
    pub(crate) fn new(max: usize, max_per_address: usize, workers: usize) -> Self {
        let inner = Inner {
            max,
            max_per_address,
            workers,
            open: HashMap::new(),
            addresses: HashMap::new(),
            idle: Vec::new(),
            searched: None,
            evicted: HashSet::new(),
            next: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), closed: Arc::default() }
    }

    /// Waits, while as many evicted connections are open as may be. To be called before a connection is accepted: one
    /// that waits to be accepted is served later, one that is refused is not.
    pub(crate) async fn settled(&self) {
        while self.inner().evicted.len() >= MAX_EVICTED {
            self.closed.notified().await;
        }
    }

    /// Admits a connection from an address, or from this machine; otherwise returns which limit was reached.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<Ticket, ShedReason> {
        let address = address.map(network);
        let mut inner = self.inner();
        while address.is_some() && inner.connections(address) >= inner.max_per_address {
            inner.make_room(address).ok_or(ShedReason::ConnectionsPerAddress)?;
        }
        while inner.open.len() >= inner.max {
            inner.make_room(None).ok_or(ShedReason::Connections)?;
        }
        let number = inner.next;
        inner.next += 1;
        let workers = inner.workers;
        let new = || Address {
            connections: 0,
            tickets: 0,
            unused: BTreeSet::new(),
            usage: Arc::new(Usage::new(workers)),
        };
        let entry = inner.addresses.entry(address).or_insert_with(new);
        entry.tickets += 1;
        let usage = entry.usage.clone();
        let evicted = inner.insert(number, address, Stage::Arriving);
        Ok(Ticket { admission: self.clone(), number, address, usage, evicted })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns how many connections count for an address.
    fn connections(&self, address: Option<IpAddr>) -> usize {
        self.addresses.get(&address).map_or(0, |address| address.connections)
    }

    /// Counts a connection. The returned receiver completes when the connection is evicted.
    fn insert(&mut self, number: u64, address: Option<IpAddr>, stage: Stage) -> oneshot::Receiver<()> {
        if let Some(entry) = self.addresses.get_mut(&address) {
            entry.connections += 1;
            entry.unused.extend(stage.unused().map(|arrived| (arrived, number)));
        }
        let (evict, evicted) = oneshot::channel();
        self.open.insert(number, Open { address, evict, stage });
        evicted
    }

    /// Moves a connection to its next stage; returns whether it still counts.
    fn advance(&mut self, number: u64, stage: Stage) -> bool {
        let Some(open) = self.open.get_mut(&number) else { return false };
        if let Some(address) = self.addresses.get_mut(&open.address) {
            if let Some(arrived) = open.stage.unused() {
                address.unused.remove(&(arrived, number));
            }
            address.unused.extend(stage.unused().map(|arrived| (arrived, number)));
        }
        open.stage = stage;
        true
    }

    /// Evicts a connection: of address `of`, or of any address if `of` is `None`. It stops counting at once.
    fn make_room(&mut self, of: Option<IpAddr>) -> Option<()> {
        if self.evicted.len() >= MAX_EVICTED {
            return None;
        }
        let number = self.next_unused(of).or_else(|| self.next_idle(of))?;
        let open = self.remove(number)?;
        let _ = open.evict.send(());
        self.evicted.insert(number);
        Some(())
    }

    /// Returns which of the connections that made no call is the first to be evicted.
    fn next_unused(&self, of: Option<IpAddr>) -> Option<u64> {
        let next = |address: &Address| address.unused.first().copied();
        let (_, number) = if of.is_some() {
            next(self.addresses.get(&of)?)?
        } else {
            let candidates = self.addresses.values();
            let candidates =
                candidates.filter_map(|address| Some((address.connections, Reverse(next(address)?))));
            candidates.max()?.1.0
        };
        Some(number)
    }

    /// Returns the connection that has been idle for longest, of those that made a call.
    fn next_idle(&mut self, of: Option<IpAddr>) -> Option<u64> {
        let now = Instant::now();
        loop {
            // Skip connections that served a call after the scan: they have been idle for less time than the rest of
            // the list.
            while let Some(at) = self.idle.iter().rposition(|idle| of.is_none() || of == idle.address) {
                let IdleConnection { number, since, .. } = self.idle.remove(at);
                if self.open.get(&number).and_then(Open::idle_since) == Some(since) {
                    return Some(number);
                }
            }
            if self.searched.is_some_and(|searched| now < searched + SEARCH_INTERVAL) {
                return None;
            }
            self.searched = Some(now);
            let idle = self.open.iter().filter_map(|(&number, open)| {
                Some(IdleConnection { number, address: open.address, since: open.idle_since()? })
            });
            self.idle = idle.collect();
            self.idle.sort_unstable_by_key(|idle| Reverse(idle.since));
        }
    }

    /// Stops counting a connection; `None` if it did not count.
    fn remove(&mut self, number: u64) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Some(address) = self.addresses.get_mut(&open.address) {
            address.connections -= 1;
            if let Some(arrived) = open.stage.unused() {
                address.unused.remove(&(arrived, number));
            }
        }
        Some(open)
    }
}

impl Open {
    /// Returns since when a connection that made a call has been idle, if it is.
    fn idle_since(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Arriving | Stage::Unused => None,
            Stage::Used(activity) => activity.idle_since(),
        }
    }
}

impl Stage {
    /// Returns, for a connection that made no call, whether it has finished its handshake.
    fn unused(&self) -> Option<bool> {
        match self {
            Self::Arriving => Some(false),
            Self::Unused => Some(true),
            Self::Used(_) => None,
        }
    }
}

impl Ticket {
    /// Records that the handshake is finished. Returns `false` if the connection was evicted before.
    pub(crate) fn arrived(&mut self) -> bool {
        self.admission.inner().advance(self.number, Stage::Unused)
    }

    /// Says that the connection made its first call.
    pub(crate) fn used(&mut self, activity: Arc<dyn Activity>) {
        self.admission.inner().advance(self.number, Stage::Used(activity));
    }

    /// Readmits an evicted connection in which a call has begun. Until the next eviction, the limit is exceeded by one.
    pub(crate) fn stay(&mut self, activity: Arc<dyn Activity>) {
        let mut inner = self.admission.inner();
        if inner.evicted.remove(&self.number) {
            self.evicted = inner.insert(self.number, self.address, Stage::Used(activity));
            self.admission.closed.notify_one();
        }
    }

    /// Returns how long the connection may wait for its peer to close: for `time`, unless many evicted ones do.
    pub(crate) fn linger(&self, time: Duration) -> Duration {
        let evicted = &self.admission.inner().evicted;
        if evicted.len() > MAX_LINGERING && evicted.contains(&self.number) { Duration::ZERO } else { time }
    }

    /// Returns the usage counters of its address; `None` for a local peer, which has no address.
    pub(crate) fn usage(&self) -> Option<Arc<Usage>> {
        self.address.map(|_| self.usage.clone())
    }

    /// Returns a number that no other connection has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.admission.inner();
        inner.remove(self.number);
        if inner.evicted.remove(&self.number) {
            self.admission.closed.notify_one();
        }
        if let Some(address) = inner.addresses.get_mut(&self.address) {
            address.tickets -= 1;
            if address.tickets == 0 {
                inner.addresses.remove(&self.address);
            }
        }
    }
}

/// Returns the key under which an address is limited: the /64 network for IPv6, since one host usually has a whole
/// network (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
    }
}

#[cfg(test)]
mod tests;
