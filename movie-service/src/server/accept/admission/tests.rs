use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

/// A connection whose calls the test makes up.
struct Calls(Mutex<Option<Instant>>);

impl Calls {
    fn idle_since(since: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(since))))
    }

    fn in_flight() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }
}

impl Activity for Calls {
    fn idle_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap()
    }
}

fn limited(max: usize, max_per_address: usize) -> Admission {
    Admission::new(max, max_per_address, 1)
}

fn admit<const COUNT: usize>(admission: &Admission, address: Option<IpAddr>) -> [Ticket; COUNT] {
    std::array::from_fn(|_| {
        let admitted = admission.admit(address);
        admitted.unwrap_or_else(|shed| panic!("there is no room: {shed:?}"))
    })
}

fn refused(admission: &Admission, address: Option<IpAddr>) -> Option<ShedReason> {
    admission.admit(address).err()
}

fn is_evicted(ticket: &mut Ticket) -> bool {
    ticket.evicted.try_recv().is_ok()
}

#[test]
fn there_is_room_again_once_a_connection_ends() {
    let admission = limited(2, 2);
    let [mut first, mut second] = admit(&admission, HERE);
    for ticket in [&mut first, &mut second] {
        ticket.used(Calls::in_flight());
    }
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
    assert_eq!(refused(&admission, THERE), Some(ShedReason::Connections));
    drop(first);
    assert_eq!(refused(&admission, HERE), None);
}

#[test]
fn the_oldest_that_has_not_arrived_makes_room_first_then_the_oldest_that_made_no_call() {
    let admission = limited(3, 3);
    let [mut first, mut second, mut third] = admit(&admission, HERE);
    assert!(first.arrived());
    let [mut fourth] = admit(&admission, HERE);
    assert!(is_evicted(&mut second) && !is_evicted(&mut first) && !is_evicted(&mut third));
    assert!(third.arrived() && fourth.arrived());
    let [_fifth] = admit(&admission, HERE);
    assert!(is_evicted(&mut first) && !is_evicted(&mut third) && !is_evicted(&mut fourth));
}

#[test]
fn the_address_with_the_most_connections_makes_room_for_a_newcomer() {
    let admission = limited(5, 5);
    let [mut old] = admit(&admission, THERE);
    assert!(old.arrived());
    let mut many: [Ticket; 4] = admit(&admission, HERE);
    assert!(many.iter_mut().all(Ticket::arrived));
    for old_one in many.iter_mut().take(3) {
        let [mut new] = admit(&admission, HERE);
        assert!(is_evicted(old_one) && !is_evicted(&mut old));
        assert!(new.arrived());
        *old_one = new;
    }
    // It evicts one of its own connections, even one that has not finished its handshake.
    let [mut arriving] = admit(&admission, HERE);
    let [_new] = admit(&admission, THERE);
    assert!(is_evicted(&mut arriving) && !is_evicted(&mut old));
}

#[test]
fn the_connection_that_is_idle_for_longest_makes_room_if_all_have_made_calls() {
    let admission = limited(4, 4);
    let start = Instant::now();
    let mut tickets: [Ticket; 4] = admit(&admission, HERE);
    let since = [Some(2), Some(1), None, Some(3)].map(|since| since.map(Duration::from_secs));
    for (ticket, since) in tickets.iter_mut().zip(since) {
        assert!(ticket.arrived());
        ticket.used(since.map_or_else(Calls::in_flight, |since| Calls::idle_since(start + since)));
    }
    let mut newcomers = Vec::new();
    for expected in [1, 0, 3] {
        let [mut new] = admit(&admission, THERE);
        new.used(Calls::in_flight());
        assert!(is_evicted(&mut tickets[expected]), "connection {expected} stays");
        newcomers.push(new);
    }
    assert_eq!(refused(&admission, THERE), Some(ShedReason::Connections));
    assert!(!is_evicted(&mut tickets[2]));
}

#[test]
fn a_call_since_the_search_for_idle_connections_keeps_a_connection() {
    let admission = limited(3, 3);
    let start = Instant::now();
    let mut tickets: [Ticket; 3] = admit(&admission, HERE);
    let calls = [0, 1, 2].map(|since| Calls::idle_since(start + Duration::from_secs(since)));
    for (ticket, calls) in tickets.iter_mut().zip(&calls) {
        ticket.used(calls.clone());
    }
    let [mut new] = admit(&admission, HERE);
    new.used(Calls::in_flight());
    assert!(is_evicted(&mut tickets[0]));
    *calls[1].0.lock().unwrap() = Some(start + Duration::from_secs(3));
    let [_new] = admit(&admission, HERE);
    assert!(is_evicted(&mut tickets[2]) && !is_evicted(&mut tickets[1]));
}

#[test]
fn a_connection_that_has_a_call_after_all_stays_and_the_next_newcomer_makes_up_for_it() {
    let admission = limited(2, 2);
    let [mut busy, mut idle] = admit(&admission, HERE);
    assert!(busy.arrived() && idle.arrived());
    let [mut new] = admit(&admission, HERE);
    assert!(is_evicted(&mut busy));
    busy.stay(Calls::in_flight());
    assert!(new.arrived());
    // Three are open, and there may be two: one newcomer, two that go.
    let [mut newest] = admit(&admission, HERE);
    assert!(is_evicted(&mut idle) && is_evicted(&mut new) && !is_evicted(&mut busy));
    newest.used(Calls::in_flight());
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
}

#[test]
fn an_address_that_has_its_share_does_not_push_others_out() {
    let admission = limited(10, 1);
    let [mut there] = admit(&admission, Some("2001:db8::1".parse().unwrap()));
    let [mut here] = admit(&admission, HERE);
    let [_same_network] = admit(&admission, Some("2001:db8::2".parse().unwrap()));
    assert!(is_evicted(&mut there) && !is_evicted(&mut here));
    let [_other_network] = admit(&admission, Some("2001:db8:0:1::2".parse().unwrap()));
    assert!(!is_evicted(&mut here));
}

#[test]
fn local_peers_have_no_limit_of_their_own() {
    let admission = limited(10, 1);
    let mut tickets: [Ticket; 10] = admit(&admission, None);
    assert!(tickets.iter_mut().all(|ticket| !is_evicted(ticket) && ticket.usage().is_none()));
}

#[test]
fn connections_of_one_address_share_its_usage() {
    let admission = limited(10, 10);
    let [first, second] = admit(&admission, HERE);
    let [other] = admit(&admission, THERE);
    let usage = |ticket: &Ticket| ticket.usage().unwrap();
    assert!(Arc::ptr_eq(&usage(&first), &usage(&second)) && !Arc::ptr_eq(&usage(&first), &usage(&other)));
}

#[test]
fn addresses_of_ipv4_count_alike_however_they_are_written() {
    assert_eq!(network("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7".parse::<IpAddr>().unwrap());
}

#[test]
fn there_is_a_wait_only_while_as_many_evicted_connections_are_open_as_may_be() {
    let admission = limited(1, 1);
    let mut evicted: [Ticket; MAX_EVICTED] = admit(&admission, HERE);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(admission.settled()).poll(cx).is_ready(), "one more may be evicted");
    let [last] = admit(&admission, HERE);
    let mut settled = pin!(admission.settled());
    assert!(settled.as_mut().poll(cx).is_pending());
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
    let linger = Duration::from_secs(1);
    assert_eq!([evicted[0].linger(linger), last.linger(linger)], [Duration::ZERO, linger]);
    evicted[0].stay(Calls::in_flight());
    assert!(settled.poll(cx).is_ready());
}

#[test]
fn an_evicted_connection_learns_that_its_handshake_came_too_late() {
    let admission = limited(1, 1);
    let [mut first] = admit(&admission, HERE);
    let [_second] = admit(&admission, HERE);
    assert!(!first.arrived());
}
