//! Connection limits: which connections are evicted for new ones, and which new ones are refused.

use std::thread;
use std::time::Duration;

use crate::support::messages::framed;
use crate::support::peer::frames::{Frame, GOAWAY, HEADERS, NO_ERROR};
use crate::support::peer::{self, GET, Peer};
use crate::support::target::{OTHER_ADDRESS, Target};

/// Makes a call on a new connection; `None` if the connection is refused. The service has recorded the end of the call when
/// this returns.
fn try_call(target: &Target) -> Option<Peer> {
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    let answered = peer.response(stream).code() == Some("0");
    answered.then(|| settled(peer))
}

/// Makes a call on an open connection, as [`try_call`] does.
fn call(peer: &mut Peer) {
    let stream = peer.call(GET, b"");
    assert_eq!(peer.response(stream).code(), Some("0"));
    peer.wait_until_processed();
}

/// Waits until the service has processed all frames of a peer.
fn settled(mut peer: Peer) -> Peer {
    peer.wait_until_processed();
    peer
}

/// Asserts that a connection was evicted: closed with `NO_ERROR` after `calls` calls.
fn assert_evicted(peer: &mut Peer, calls: u32) {
    let last = std::iter::from_fn(|| peer.read()).filter(|frame| frame.kind == GOAWAY).last();
    let last = last.expect("the connection is closed without GOAWAY");
    assert_eq!(last.error_code(), NO_ERROR);
    assert_eq!(last.last_stream(), (2 * calls).saturating_sub(1));
}

/// Asserts that new connections are served once the service has noticed that others were closed.
fn assert_accepts_again(target: &Target, failure: &str) {
    assert!((0..1_000).any(|_| try_call(target).is_some()), "{failure}");
}

/// Asserts that ten connections with calls in flight are served, and that an eleventh is refused until one of them is closed.
fn assert_ten(limit: &str) {
    let target = Target::start(&[limit]);
    let mut peers: Vec<(Peer, u32)> = (0..10)
        .map(|_| {
            let mut peer = try_call(&target).expect("one of ten connections is refused");
            let stream = peer.begin(&peer::fields(GET));
            peer.wait_until_processed();
            (peer, stream)
        })
        .collect();
    assert!(try_call(&target).is_none(), "more than ten connections are served");
    peers.pop();
    assert_accepts_again(&target, "a closed connection still counts");
    for (peer, stream) in &mut peers {
        peer.send_frames([Frame::data(*stream, framed(b"")).ending()]);
        assert_eq!(peer.response(*stream).code(), Some("0"), "a call in flight was ended");
    }
    drop(peers);
    assert_accepts_again(&target, "closed connections still count");
    target.assert_unharmed();
}

#[test]
fn connections_beyond_the_limit_are_refused_while_all_have_calls_in_flight() {
    assert_ten("connections=10");
}

#[test]
fn connections_of_an_address_beyond_the_limit_are_refused_while_all_have_calls_in_flight() {
    assert_ten("connections_per_address=10");
}

#[test]
fn the_oldest_unfinished_handshake_is_evicted_for_a_new_connection() {
    let target = Target::start(&["connections=10", "handshake=10m"]);
    let mut served: Vec<Peer> =
        (0..8).map(|_| try_call(&target).expect("one of ten connections is refused")).collect();
    let mut silent: Vec<Peer> = (0..2).map(|_| Peer::silent(target.address())).collect();
    served.push(try_call(&target).expect("the first silent connection is not evicted"));
    assert_eq!(silent[0].rest(), b"");
    served.push(try_call(&target).expect("the second silent connection is not evicted"));
    assert_eq!(silent[1].rest(), b"");
    served.iter_mut().for_each(call);
    drop((served, silent));
    assert_accepts_again(&target, "closed connections still count");
    target.assert_unharmed();
}

#[test]
fn the_connection_that_has_been_idle_for_longest_is_evicted_for_a_new_one() {
    for limit in ["connections=10", "connections_per_address=10"] {
        let target = Target::start(&[limit]);
        let mut peers: Vec<Peer> = (0..10)
            .map(|_| {
                // Idle times are recorded in milliseconds.
                thread::sleep(Duration::from_millis(5));
                try_call(&target).expect("one of ten connections is refused")
            })
            .collect();
        thread::sleep(Duration::from_millis(5));
        call(&mut peers[0]);
        let mut newcomers = Vec::new();
        for evicted in &mut peers[1..4] {
            newcomers.push(try_call(&target).expect("no idle connection is evicted"));
            assert_evicted(evicted, 1);
        }
        peers.drain(1..4);
        peers.iter_mut().chain(&mut newcomers).for_each(call);
        drop((peers, newcomers));
        assert_accepts_again(&target, "closed connections still count");
        target.assert_unharmed();
    }
}

#[test]
fn connections_that_never_made_a_request_are_evicted_first() {
    let target = Target::start(&["connections=3"]);
    let mut served = vec![try_call(&target).expect("one of three connections is refused")];
    let mut silent = settled(Peer::connect(target.address()));
    let mut unfinished = settled(Peer::connect(target.address()));
    // An incomplete header block is no request.
    unfinished.send_frames([Frame::new(HEADERS, 0, 1, peer::header_block(GET))]);
    unfinished.send(&Frame::headers(1, peer::header_block(GET)).encode()[..9]);
    for peer in [&mut silent, &mut unfinished] {
        served.push(try_call(&target).expect("no connection without a request is evicted"));
        assert_evicted(peer, 0);
    }
    served.iter_mut().for_each(call);
    drop((served, silent, unfinished));
    target.assert_unharmed();
}

#[test]
fn an_address_with_many_connections_does_not_evict_those_of_others() {
    let target = Target::start(&["connections=10"]);
    let mut others: Vec<Peer> =
        (0..3).map(|_| settled(Peer::connect_from(OTHER_ADDRESS, target.address()))).collect();
    let many: Vec<Peer> = (0..50).map(|_| settled(Peer::connect(target.address()))).collect();
    others.iter_mut().for_each(call);
    drop((others, many));
    target.assert_unharmed();
}

#[test]
fn a_new_connection_is_served_right_after_a_flood_of_connections_without_calls() {
    for (what, sends_preface) in [("without a preface", false), ("with a preface", true)] {
        let target = Target::start(&["connections=10", "handshake=10m"]);
        let connect = if sends_preface { Peer::connect } else { Peer::silent };
        for round in 0..10 {
            let peers: Vec<Peer> = (0..100).map(|_| connect(target.address())).collect();
            assert!(try_call(&target).is_some(), "refused in round {round} of connections {what}");
            drop(peers);
        }
        target.assert_unharmed();
    }
}
