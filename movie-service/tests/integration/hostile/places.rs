//! Peers that take all places, whether they finish their handshake, make calls, or do neither.

use std::thread;
use std::time::Duration;

use super::{OTHER_ADDRESS, Target};
use crate::peer::frames::{Frame, GOAWAY, HEADERS, NO_ERROR};
use crate::peer::{self, GET, Peer};
use crate::raw::framed;

/// Makes a call on a connection of its own; `None` if that is turned away.
fn try_call(target: &Target) -> Option<Peer> {
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    let answered = peer.answer(stream).code() == Some("0");
    answered.then(|| unused(peer))
}

/// Makes a call on a connection that has to be open still.
fn call(peer: &mut Peer) {
    let stream = peer.call(GET, b"");
    assert_eq!(peer.answer(stream).code(), Some("0"));
    peer.settle();
}

/// Connects a peer that finishes its handshake and makes no call.
fn unused(mut peer: Peer) -> Peer {
    peer.settle();
    peer
}

/// Asserts that a peer was told to leave without an error, and before any call but these.
fn assert_made_room(peer: &mut Peer, calls: u32) {
    let last = std::iter::from_fn(|| peer.read()).filter(|frame| frame.kind == GOAWAY).last();
    let last = last.expect("it is told to leave");
    assert_eq!(last.error_code(), NO_ERROR);
    assert_eq!(last.last_stream(), (2 * calls).saturating_sub(1));
}

/// Asserts that somebody gets a place once the service has seen that others went.
fn assert_given_away(target: &Target, complaint: &str) {
    assert!((0..1_000).any(|_| try_call(target).is_some()), "{complaint}");
}

/// Asserts that ten connections with calls in flight are served and the eleventh, until one of them ends, is not.
fn assert_ten(limit: &str) {
    let target = Target::start(&[limit]);
    let mut peers: Vec<(Peer, u32)> = (0..10)
        .map(|_| {
            let mut peer = try_call(&target).expect("one of ten is served");
            let stream = peer.begin(&peer::fields(GET));
            peer.settle();
            (peer, stream)
        })
        .collect();
    assert!(try_call(&target).is_none(), "more than ten are served");
    peers.pop();
    assert_given_away(&target, "the place of one that went is not given away");
    for (peer, stream) in &mut peers {
        peer.send_frames([Frame::data(*stream, framed(b"")).ending()]);
        assert_eq!(peer.answer(*stream).code(), Some("0"), "a call in flight was cut off");
    }
    drop(peers);
    assert_given_away(&target, "the places of those that went are not given away");
    target.assert_unharmed();
}

#[test]
fn connections_beyond_the_limit_are_turned_away_while_all_have_calls_in_flight() {
    assert_ten("connections=10");
}

#[test]
fn connections_of_an_address_beyond_the_limit_are_turned_away_while_all_have_calls_in_flight() {
    assert_ten("connections_per_address=10");
}

#[test]
fn a_full_service_gives_the_place_of_the_oldest_unfinished_handshake_to_who_comes() {
    let target = Target::start(&["connections=10", "handshake=10m"]);
    let mut served: Vec<Peer> = (0..8).map(|_| try_call(&target).expect("one of ten is served")).collect();
    let mut silent: Vec<Peer> = (0..2).map(|_| Peer::silent(target.address())).collect();
    served.push(try_call(&target).expect("it gets the place of the first that is silent"));
    assert_eq!(silent[0].rest(), b"");
    served.push(try_call(&target).expect("it gets the place of the second that is silent"));
    assert_eq!(silent[1].rest(), b"");
    served.iter_mut().for_each(call);
    drop((served, silent));
    assert_given_away(&target, "the places of those that went are not given away");
    target.assert_unharmed();
}

#[test]
fn a_full_service_gives_the_place_of_the_connection_without_a_call_for_longest_to_who_comes() {
    for limit in ["connections=10", "connections_per_address=10"] {
        let target = Target::start(&[limit]);
        let mut peers: Vec<Peer> = (0..10)
            .map(|_| {
                // Which is the older is told by the millisecond.
                thread::sleep(Duration::from_millis(5));
                try_call(&target).expect("one of ten is served")
            })
            .collect();
        thread::sleep(Duration::from_millis(5));
        call(&mut peers[0]);
        let mut newcomers = Vec::new();
        for made_room in &mut peers[1..4] {
            newcomers.push(try_call(&target).expect("it gets the place of the one that is idle for longest"));
            assert_made_room(made_room, 1);
        }
        peers.drain(1..4);
        peers.iter_mut().chain(&mut newcomers).for_each(call);
        drop((peers, newcomers));
        target.assert_unharmed();
    }
}

#[test]
fn connections_that_never_made_a_call_make_room_before_those_that_did() {
    let target = Target::start(&["connections=4"]);
    let mut served = vec![try_call(&target).expect("one of four is served")];
    let mut silent = unused(Peer::connect(target.address()));
    let mut unfinished = unused(Peer::connect(target.address()));
    // A header block without its end is no call.
    unfinished.send_frames([Frame::new(HEADERS, 0, 1, peer::block(GET))]);
    unfinished.send(&Frame::headers(1, peer::block(GET)).encode()[..9]);
    let mut refused = unused(Peer::connect(target.address()));
    let stream =
        refused.begin(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]);
    assert_eq!(refused.answer(stream).field(":status"), Some("405"));
    for (peer, calls) in [(&mut silent, 0), (&mut unfinished, 0), (&mut refused, 1)] {
        served.push(try_call(&target).expect("it gets the place of one that made no call"));
        assert_made_room(peer, calls);
    }
    served.iter_mut().for_each(call);
    drop((served, silent, unfinished, refused));
    target.assert_unharmed();
}

#[test]
fn who_opens_many_connections_does_not_take_the_places_of_others() {
    let target = Target::start(&["connections=10"]);
    let mut others: Vec<Peer> =
        (0..3).map(|_| unused(Peer::connect_from(OTHER_ADDRESS, target.address()))).collect();
    let many: Vec<Peer> = (0..50).map(|_| unused(Peer::connect(target.address()))).collect();
    others.iter_mut().for_each(call);
    drop((others, many));
    target.assert_unharmed();
}

#[test]
fn a_full_service_serves_who_comes_right_after_a_flood_of_peers_that_make_no_call() {
    for (what, says_preface) in [("that say nothing", false), ("that say only what they are", true)] {
        let target = Target::start(&["connections=10", "handshake=10m"]);
        let connect = if says_preface { Peer::connect } else { Peer::silent };
        for round in 0..10 {
            let peers: Vec<Peer> = (0..100).map(|_| connect(target.address())).collect();
            assert!(try_call(&target).is_some(), "refused in round {round} of peers {what}");
            drop(peers);
        }
        target.assert_unharmed();
    }
}
