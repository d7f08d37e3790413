//! Admission control: connection limits and eviction.

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

/// Maximum number of evicted connections that may linger. Beyond that, evicted connections are closed without
/// lingering, so that peers that never close do not delay new connections.
const MAX_LINGERING: usize = MAX_EVICTED / 2;

/// Minimum time between two scans of all connections for idle ones.
const IDLE_SCAN_INTERVAL: Duration = Duration::from_millis(100);

/// Admits connections up to a limit in all and a limit for each address.
///
/// When a limit is reached, one of the connections that it counts is evicted to make room for the new one:
///
/// 1. the oldest that has not finished its handshake, of the address with the most connections, so that nobody can evict
///    the connections of others by opening many;
/// 2. the oldest that never made a call, of that address;
/// 3. the one that has been idle for longest.
///
/// A connection with a call in flight is never evicted. If no other exists, the new one is refused. It is also refused if
/// all idle connections have served a call since the last scan, and [`IDLE_SCAN_INTERVAL`] has not passed since.
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
    admitted: HashMap<u64, AdmittedConnection>,
    /// Connections by address; `None` stands for local peers (Unix socket).
    addresses: HashMap<Option<IpAddr>, AddressEntry>,
    /// Connections that were idle at the last scan, the one that was idle for longest last.
    idle: Vec<IdleConnection>,
    last_scan: Option<Instant>,
    /// Evicted connections that are still open.
    evicted: HashSet<u64>,
    next_number: u64,
}

/// A connection that counts towards the limits.
struct AdmittedConnection {
    address: Option<IpAddr>,
    evict: oneshot::Sender<()>,
    stage: Stage,
}

enum Stage {
    /// It has not finished its handshake.
    Handshaking,
    /// It has made no call.
    NoCallYet,
    /// It has made a call.
    Used(Arc<dyn Activity>),
}

/// The connections of one address.
struct AddressEntry {
    /// Connections that count towards the limits.
    connections: usize,
    /// Number of tickets, including those of evicted connections that are still open.
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
    /// Completes when the connection is evicted.
    pub(crate) evicted: oneshot::Receiver<()>,
}

impl Admission {
    /// Admits up to `max` connections, `max_per_address` from one address, for `workers` worker threads.
    pub(crate) fn new(max: usize, max_per_address: usize, workers: usize) -> Self {
        let inner = Inner {
            max,
            max_per_address,
            workers,
            admitted: HashMap::new(),
            addresses: HashMap::new(),
            idle: Vec::new(),
            last_scan: None,
            evicted: HashSet::new(),
            next_number: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), closed: Arc::default() }
    }

    /// Waits until fewer than [`MAX_EVICTED`] evicted connections are open. Call this before accepting a connection: a
    /// connection in the backlog is served later; a refused one is lost.
    pub(crate) async fn evictions_settled(&self) {
        while self.inner().evicted.len() >= MAX_EVICTED {
            self.closed.notified().await;
        }
    }

    /// Admits a connection from an address, or a local one. Returns the limit that is reached if none can be evicted.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<Ticket, ShedReason> {
        let address = address.map(network);
        let mut inner = self.inner();
        while address.is_some() && inner.connections(address) >= inner.max_per_address {
            inner.evict(address).ok_or(ShedReason::ConnectionsPerAddress)?;
        }
        while inner.admitted.len() >= inner.max {
            inner.evict(None).ok_or(ShedReason::Connections)?;
        }
        let number = inner.next_number;
        inner.next_number += 1;
        let workers = inner.workers;
        let new = || AddressEntry {
            connections: 0,
            tickets: 0,
            unused: BTreeSet::new(),
            usage: Arc::new(Usage::new(workers)),
        };
        let entry = inner.addresses.entry(address).or_insert_with(new);
        entry.tickets += 1;
        let usage = entry.usage.clone();
        let evicted = inner.insert(number, address, Stage::Handshaking);
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
            entry.unused.extend(stage.unused().map(|is_handshaken| (is_handshaken, number)));
        }
        let (evict, evicted) = oneshot::channel();
        self.admitted.insert(number, AdmittedConnection { address, evict, stage });
        evicted
    }

    /// Moves a connection to its next stage; returns whether it still counts.
    fn advance(&mut self, number: u64, stage: Stage) -> bool {
        let Some(connection) = self.admitted.get_mut(&number) else { return false };
        if let Some(address) = self.addresses.get_mut(&connection.address) {
            if let Some(is_handshaken) = connection.stage.unused() {
                address.unused.remove(&(is_handshaken, number));
            }
            address.unused.extend(stage.unused().map(|is_handshaken| (is_handshaken, number)));
        }
        connection.stage = stage;
        true
    }

    /// Evicts a connection: of address `of`, or of any address if `of` is `None`. It stops counting at once.
    fn evict(&mut self, of: Option<IpAddr>) -> Option<()> {
        if self.evicted.len() >= MAX_EVICTED {
            return None;
        }
        let number = self.next_unused(of).or_else(|| self.next_idle(of))?;
        let connection = self.remove(number)?;
        let _ = connection.evict.send(());
        self.evicted.insert(number);
        Some(())
    }

    /// Returns the first connection to be evicted of those that made no call.
    fn next_unused(&self, of: Option<IpAddr>) -> Option<u64> {
        let next = |address: &AddressEntry| address.unused.first().copied();
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
                if self.admitted.get(&number).and_then(AdmittedConnection::idle_since) == Some(since) {
                    return Some(number);
                }
            }
            if self.last_scan.is_some_and(|last_scan| now < last_scan + IDLE_SCAN_INTERVAL) {
                return None;
            }
            self.last_scan = Some(now);
            let idle = self.admitted.iter().filter_map(|(&number, connection)| {
                Some(IdleConnection { number, address: connection.address, since: connection.idle_since()? })
            });
            self.idle = idle.collect();
            self.idle.sort_unstable_by_key(|idle| Reverse(idle.since));
        }
    }

    /// Stops counting a connection; `None` if it did not count.
    fn remove(&mut self, number: u64) -> Option<AdmittedConnection> {
        let connection = self.admitted.remove(&number)?;
        if let Some(address) = self.addresses.get_mut(&connection.address) {
            address.connections -= 1;
            if let Some(is_handshaken) = connection.stage.unused() {
                address.unused.remove(&(is_handshaken, number));
            }
        }
        Some(connection)
    }
}

impl AdmittedConnection {
    /// Returns since when a connection that made a call has been idle, if it is.
    fn idle_since(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Handshaking | Stage::NoCallYet => None,
            Stage::Used(activity) => activity.idle_since(),
        }
    }
}

impl Stage {
    /// Returns, for a connection that made no call, whether it has finished its handshake.
    fn unused(&self) -> Option<bool> {
        match self {
            Self::Handshaking => Some(false),
            Self::NoCallYet => Some(true),
            Self::Used(_) => None,
        }
    }
}

impl Ticket {
    /// Records that the handshake is finished. Returns `false` if the connection was evicted before.
    pub(crate) fn handshake_finished(&mut self) -> bool {
        self.admission.inner().advance(self.number, Stage::NoCallYet)
    }

    /// Records that the connection made its first call.
    pub(crate) fn used(&mut self, activity: Arc<dyn Activity>) {
        self.admission.inner().advance(self.number, Stage::Used(activity));
    }

    /// Readmits an evicted connection in which a call has begun. Until the next eviction, the limit is exceeded by one.
    pub(crate) fn readmit(&mut self, activity: Arc<dyn Activity>) {
        let mut inner = self.admission.inner();
        if inner.evicted.remove(&self.number) {
            self.evicted = inner.insert(self.number, self.address, Stage::Used(activity));
            self.admission.closed.notify_one();
        }
    }

    /// Returns how long the connection may linger: `time`, or zero for an evicted connection while many evicted ones linger.
    pub(crate) fn linger(&self, time: Duration) -> Duration {
        let evicted = &self.admission.inner().evicted;
        if evicted.len() > MAX_LINGERING && evicted.contains(&self.number) { Duration::ZERO } else { time }
    }

    /// Returns the usage counters of its address; `None` for a local peer, which has no address.
    pub(crate) fn usage(&self) -> Option<Arc<Usage>> {
        self.address.map(|_| self.usage.clone())
    }

    /// Returns the unique number of the connection.
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
