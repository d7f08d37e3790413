use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;

const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

/// Activity that a test sets.
struct FakeActivity(Mutex<Option<Instant>>);

impl FakeActivity {
    fn idle_since(since: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(since))))
    }

    fn in_flight() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }
}

impl Activity for FakeActivity {
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
        admitted.unwrap_or_else(|shed| panic!("not admitted: {shed:?}"))
    })
}

fn refused(admission: &Admission, address: Option<IpAddr>) -> Option<ShedReason> {
    admission.admit(address).err()
}

fn is_evicted(ticket: &mut Ticket) -> bool {
    ticket.evicted.try_recv().is_ok()
}

#[test]
fn a_connection_is_admitted_again_once_another_ends() {
    let admission = limited(2, 2);
    let [mut first, mut second] = admit(&admission, HERE);
    for ticket in [&mut first, &mut second] {
        ticket.used(FakeActivity::in_flight());
    }
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
    assert_eq!(refused(&admission, THERE), Some(ShedReason::Connections));
    drop(first);
    assert_eq!(refused(&admission, HERE), None);
}

#[test]
fn the_oldest_unfinished_handshake_is_evicted_first_then_the_oldest_connection_without_a_call() {
    let admission = limited(3, 3);
    let [mut first, mut second, mut third] = admit(&admission, HERE);
    assert!(first.handshake_finished());
    let [mut fourth] = admit(&admission, HERE);
    assert!(is_evicted(&mut second) && !is_evicted(&mut first) && !is_evicted(&mut third));
    assert!(third.handshake_finished() && fourth.handshake_finished());
    let [_fifth] = admit(&admission, HERE);
    assert!(is_evicted(&mut first) && !is_evicted(&mut third) && !is_evicted(&mut fourth));
}

#[test]
fn a_connection_of_the_address_with_the_most_connections_is_evicted() {
    let admission = limited(5, 5);
    let [mut old] = admit(&admission, THERE);
    assert!(old.handshake_finished());
    let mut many: [Ticket; 4] = admit(&admission, HERE);
    assert!(many.iter_mut().all(Ticket::handshake_finished));
    for oldest in many.iter_mut().take(3) {
        let [mut new] = admit(&admission, HERE);
        assert!(is_evicted(oldest) && !is_evicted(&mut old));
        assert!(new.handshake_finished());
        *oldest = new;
    }
    // It evicts one of its own connections, even one that has not finished its handshake.
    let [mut handshaking] = admit(&admission, HERE);
    let [_new] = admit(&admission, THERE);
    assert!(is_evicted(&mut handshaking) && !is_evicted(&mut old));
}

#[test]
fn the_connection_that_has_been_idle_for_longest_is_evicted_if_all_have_made_calls() {
    let admission = limited(4, 4);
    let start = Instant::now();
    let mut tickets: [Ticket; 4] = admit(&admission, HERE);
    let since = [Some(2), Some(1), None, Some(3)].map(|since| since.map(Duration::from_secs));
    for (ticket, since) in tickets.iter_mut().zip(since) {
        assert!(ticket.handshake_finished());
        ticket.used(
            since.map_or_else(FakeActivity::in_flight, |since| FakeActivity::idle_since(start + since)),
        );
    }
    let mut newcomers = Vec::new();
    for expected in [1, 0, 3] {
        let [mut new] = admit(&admission, THERE);
        new.used(FakeActivity::in_flight());
        assert!(is_evicted(&mut tickets[expected]), "connection {expected} is not evicted");
        newcomers.push(new);
    }
    assert_eq!(refused(&admission, THERE), Some(ShedReason::Connections));
    assert!(!is_evicted(&mut tickets[2]));
}

#[test]
fn a_call_after_the_idle_scan_protects_a_connection() {
    let admission = limited(3, 3);
    let start = Instant::now();
    let mut tickets: [Ticket; 3] = admit(&admission, HERE);
    let calls = [0, 1, 2].map(|since| FakeActivity::idle_since(start + Duration::from_secs(since)));
    for (ticket, calls) in tickets.iter_mut().zip(&calls) {
        ticket.used(calls.clone());
    }
    let [mut new] = admit(&admission, HERE);
    new.used(FakeActivity::in_flight());
    assert!(is_evicted(&mut tickets[0]));
    *calls[1].0.lock().unwrap() = Some(start + Duration::from_secs(3));
    let [_new] = admit(&admission, HERE);
    assert!(is_evicted(&mut tickets[2]) && !is_evicted(&mut tickets[1]));
}

#[test]
fn an_evicted_connection_with_a_new_call_is_readmitted_and_the_next_admission_evicts_two() {
    let admission = limited(2, 2);
    let [mut busy, mut idle] = admit(&admission, HERE);
    assert!(busy.handshake_finished() && idle.handshake_finished());
    let [mut new] = admit(&admission, HERE);
    assert!(is_evicted(&mut busy));
    busy.readmit(FakeActivity::in_flight());
    assert!(new.handshake_finished());
    // Three connections are open, and the limit is two: one is admitted, so two are evicted.
    let [mut newest] = admit(&admission, HERE);
    assert!(is_evicted(&mut idle) && is_evicted(&mut new) && !is_evicted(&mut busy));
    newest.used(FakeActivity::in_flight());
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
}

#[test]
fn an_address_at_its_limit_evicts_only_its_own_connections() {
    let admission = limited(10, 1);
    let [mut there] = admit(&admission, Some("2001:db8::1".parse().unwrap()));
    let [mut here] = admit(&admission, HERE);
    let [_same_network] = admit(&admission, Some("2001:db8::2".parse().unwrap()));
    assert!(is_evicted(&mut there) && !is_evicted(&mut here));
    let [_other_network] = admit(&admission, Some("2001:db8:0:1::2".parse().unwrap()));
    assert!(!is_evicted(&mut here));
}

#[test]
fn local_peers_have_no_limit_per_address() {
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
fn an_ipv4_address_and_its_ipv6_mapping_are_one_address() {
    assert_eq!(network("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7".parse::<IpAddr>().unwrap());
}

#[test]
fn accepting_waits_only_while_the_maximum_number_of_evicted_connections_is_open() {
    let admission = limited(1, 1);
    let mut evicted: [Ticket; MAX_EVICTED] = admit(&admission, HERE);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(pin!(admission.evictions_settled()).poll(cx).is_ready(), "one more may be evicted");
    let [last] = admit(&admission, HERE);
    let mut settled = pin!(admission.evictions_settled());
    assert!(settled.as_mut().poll(cx).is_pending());
    assert_eq!(refused(&admission, HERE), Some(ShedReason::ConnectionsPerAddress));
    let linger = Duration::from_secs(1);
    assert_eq!([evicted[0].linger(linger), last.linger(linger)], [Duration::ZERO, linger]);
    evicted[0].readmit(FakeActivity::in_flight());
    assert!(settled.poll(cx).is_ready());
}

#[test]
fn a_handshake_that_finishes_after_the_eviction_is_reported() {
    let admission = limited(1, 1);
    let [mut first] = admit(&admission, HERE);
    let [_second] = admit(&admission, HERE);
    assert!(!first.handshake_finished());
}
