//! How many connections there may be, and who has to go when there are too many.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use crate::telemetry::metrics::Shed;

/// Connections that were told to go and have not gone yet: no more are told, so that they cannot pile up. Each
/// goes as soon as its worker looks at it.
const MOST_LEAVING: usize = 32;

/// Admits connections up to a number in all and for each address.
///
/// When it is reached, the connection goes that has been the longest without finishing its handshake: a peer that
/// means to call finishes it at once. If there is none, the new one is refused.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    inner: Arc<Mutex<Inner>>,
    /// Told when a connection that was told to go has gone.
    gone: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    most: usize,
    most_per_address: usize,
    /// Those there are, and where from.
    open: HashMap<u64, Option<IpAddr>>,
    by_address: HashMap<IpAddr, usize>,
    /// Those that have not finished their handshake, the oldest first.
    arriving: BTreeMap<u64, (Option<IpAddr>, oneshot::Sender<()>)>,
    /// Those that gave their place up and are still there.
    leaving: HashSet<u64>,
    next: u64,
}

/// An admitted connection; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    admission: Admission,
    number: u64,
    /// Told to go, for another connection.
    pub(super) evicted: oneshot::Receiver<()>,
}

impl Admission {
    pub(super) fn new(most: usize, most_per_address: usize) -> Self {
        let inner = Inner {
            most,
            most_per_address,
            open: HashMap::new(),
            by_address: HashMap::new(),
            arriving: BTreeMap::new(),
            leaving: HashSet::new(),
            next: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)), gone: Arc::default() }
    }

    /// Waits, if as many connections as may be were told to go, until one of them has gone. To be called before a
    /// connection is accepted: one that waits for that is served, one that is refused is not.
    pub(super) async fn settled(&self) {
        while self.inner().leaving.len() >= MOST_LEAVING {
            self.gone.notified().await;
        }
    }

    /// Admits a connection from an address, or from this machine; otherwise says of what there are too many.
    pub(super) fn admit(&self, address: Option<IpAddr>) -> Result<Ticket, Shed> {
        let address = address.map(network);
        let mut inner = self.inner();
        let here = address.map_or(0, |address| inner.by_address.get(&address).copied().unwrap_or_default());
        if here >= inner.most_per_address {
            inner.evict(|other| other == address).ok_or(Shed::Address)?;
        } else if inner.open.len() >= inner.most {
            inner.evict(|_| true).ok_or(Shed::Connections)?;
        }
        let (evict, evicted) = oneshot::channel();
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, address);
        if let Some(address) = address {
            *inner.by_address.entry(address).or_default() += 1;
        }
        inner.arriving.insert(number, (address, evict));
        Ok(Ticket { admission: self.clone(), number, evicted })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Has the oldest connection go that is still arriving from where `from` says. It gives its place up at once.
    fn evict(&mut self, from: impl Fn(Option<IpAddr>) -> bool) -> Option<()> {
        if self.leaving.len() >= MOST_LEAVING {
            return None;
        }
        let number = *self.arriving.iter().find(|(_, (address, _))| from(*address))?.0;
        let (_, evict) = self.arriving.remove(&number)?;
        let _ = evict.send(());
        self.leave(number);
        self.leaving.insert(number);
        Some(())
    }

    /// Forgets a connection, if that was not done before.
    fn leave(&mut self, number: u64) {
        self.arriving.remove(&number);
        if let Some(Some(address)) = self.open.remove(&number)
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Ticket {
    /// Says that the handshake is done, which makes the connection safe from eviction. `false` if that came too late.
    pub(super) fn arrived(&mut self) -> bool {
        self.admission.inner().arriving.remove(&self.number).is_some()
    }

    /// Returns a number that no other connection has.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.admission.inner();
        inner.leave(self.number);
        if inner.leaving.remove(&self.number) {
            self.admission.gone.notify_one();
        }
    }
}

/// What counts as one address: with IPv6, everybody has a whole network (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn there_is_room_again_once_a_connection_ends() {
        let admission = Admission::new(2, 2);
        let mut open: Vec<_> = (0..2).map(|_| admission.admit(HERE).unwrap()).collect();
        assert!(open.iter_mut().all(Ticket::arrived));
        assert_eq!(admission.admit(HERE).unwrap_err(), Shed::Address);
        open.pop();
        assert!(admission.admit(HERE).is_ok());
    }

    #[test]
    fn the_oldest_that_has_not_arrived_gives_its_place_up() {
        let admission = Admission::new(3, 3);
        let mut open: Vec<_> = (0..3).map(|_| admission.admit(HERE).unwrap()).collect();
        assert!(open[0].arrived());
        let mut new = admission.admit(HERE).unwrap();
        assert!(open[1].evicted.try_recv().is_ok() && open[2].evicted.try_recv().is_err());
        assert!(new.arrived() && open[2].arrived());
        drop(open.remove(1));
        assert!(admission.admit(HERE).is_err(), "the evicted one counted twice");
    }

    #[test]
    fn an_address_that_has_its_share_does_not_push_others_out() {
        let admission = Admission::new(10, 1);
        let other = Some("2001:db8::1".parse().unwrap());
        let mut there = admission.admit(other).unwrap();
        let _here = admission.admit(HERE).unwrap();
        assert!(
            admission.admit(Some("2001:db8::2".parse().unwrap())).is_ok(),
            "one network, one that arrives"
        );
        assert!(there.evicted.try_recv().is_ok());
        assert!(admission.admit(Some("2001:db8:0:1::2".parse().unwrap())).is_ok());
    }

    #[test]
    fn addresses_of_ipv4_count_alike_however_they_are_written() {
        assert_eq!(network("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn connections_that_are_told_to_go_do_not_pile_up() {
        let admission = Admission::new(1, 1);
        let mut told: Vec<_> = (0..=MOST_LEAVING).map(|_| admission.admit(HERE).unwrap()).collect();
        assert!(admission.admit(HERE).is_err());
        drop(told.remove(0));
        assert!(admission.admit(HERE).is_ok());
    }

    #[test]
    fn there_is_a_wait_only_while_too_many_that_are_told_to_go_have_not_gone() {
        let admission = Admission::new(1, 1);
        let mut told: Vec<_> = (0..MOST_LEAVING).map(|_| admission.admit(HERE).unwrap()).collect();
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pin!(admission.settled()).poll(cx).is_ready(), "one more may be told");
        told.push(admission.admit(HERE).unwrap());
        let mut settled = pin!(admission.settled());
        assert!(settled.as_mut().poll(cx).is_pending());
        drop(told.remove(0));
        assert!(settled.poll(cx).is_ready());
    }

    #[test]
    fn an_evicted_connection_learns_that_it_came_too_late() {
        let admission = Admission::new(1, 1);
        let mut first = admission.admit(HERE).unwrap();
        let _second = admission.admit(HERE).unwrap();
        assert!(!first.arrived());
    }
}
