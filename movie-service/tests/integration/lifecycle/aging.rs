//! Connections that are idle, old, or whose peer has vanished.

use crate::support::http1;
use crate::support::messages::framed;
use crate::support::peer::frames::{self, ACK, Frame, NO_ERROR};
use crate::support::peer::{self, GET, Peer};
use crate::support::target::Target;

/// Reads until the next PING of the service.
fn next_ping(peer: &mut Peer) -> Option<Frame> {
    std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == frames::PING && frame.flags & ACK == 0)
}

#[test]
fn an_idle_connection_gets_goaway_before_it_is_closed() {
    let target = Target::start(&["idle=300ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    assert_eq!(peer.response(stream).code(), Some("0"));
    assert_eq!(peer.read_until_closed(), Some(NO_ERROR));
    drop(peer);
    target.assert_unharmed();
}

/// Asserts that a peer with a call in flight is still served after it has only acknowledged `pings` PING frames.
fn assert_stays_for_pings(limits: &[&str], pings: usize) {
    let target = Target::start(limits);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    for _ in 0..pings {
        let ping = next_ping(&mut peer).expect("the connection is closed");
        peer.send_frames([Frame::new(frames::PING, ACK, 0, ping.payload)]);
    }
    peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
    assert_eq!(peer.response(stream).code(), Some("0"));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_connection_with_a_call_in_flight_is_not_idle() {
    // A PING is sent `keep_alive` after the last acknowledgement, so this takes longer than the idle limit.
    assert_stays_for_pings(&["idle=200ms", "keep_alive=100ms"], 4);
}

#[test]
fn an_old_connection_gets_goaway_and_its_calls_in_flight_are_answered() {
    let target = Target::start(&["age=300ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    assert_eq!(peer.read_goaway(), Some(NO_ERROR));
    peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
    assert_eq!(peer.response(stream).code(), Some("0"));
    peer.read_until_closed();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_busy_connection_reaches_its_age_limit() {
    let target = Target::start(&["age=300ms"]);
    let mut peer = Peer::connect(target.address());
    let responses = std::iter::from_fn(|| {
        let stream = peer.call(GET, b"");
        Some(peer.response(stream)).filter(|response| response.code() == Some("0"))
    });
    assert!(responses.count() > 0);
    target.assert_disconnects_all();
}

#[test]
fn an_old_connection_of_http_1_1_says_in_its_last_response_that_it_closes() {
    let target = Target::start(&["age=300ms"]);
    http1::assert_last_response_closes(target.address(), || {});
    target.assert_unharmed();
}

#[test]
fn a_peer_that_vanished_during_a_call_is_disconnected() {
    let target = Target::start(&[
        "keep_alive=200ms",
        "keep_alive_timeout=200ms",
        "unread=200ms",
        "deadline=10m",
        "linger=200ms",
    ]);
    let mut peer = Peer::connect(target.address());
    peer.begin(&peer::fields(GET));
    // The peer sends and acknowledges nothing, as if its cable were pulled.
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_sends_data_but_answers_no_ping_is_disconnected() {
    let limits = ["keep_alive=200ms", "keep_alive_timeout=200ms", "unread=200ms", "deadline=10m"];
    let target = Target::start(&limits);
    let mut peer = Peer::connect(target.address());
    peer.begin(&peer::fields(GET));
    next_ping(&mut peer).expect("the service sends no PING");
    // It shows that the peer is alive, but does not acknowledge the PING.
    peer.send_frames([Frame::window_update(0, 1)]);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_only_answers_pings_stays_connected() {
    assert_stays_for_pings(&["keep_alive=50ms", "keep_alive_timeout=100ms", "unread=100ms"], 10);
}

#[test]
fn no_ping_is_sent_before_the_keep_alive_time() {
    // The connection is checked every 125 ms.
    let target = Target::start(&["age=500ms"]);
    let mut peer = Peer::connect(target.address());
    let mut frames = std::iter::from_fn(|| peer.read()).take_while(|frame| frame.kind != frames::GOAWAY);
    assert!(frames.all(|frame| frame.kind != frames::PING), "a PING is sent");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn pings_of_a_client_are_acknowledged_and_not_limited() {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    for number in 0..50 {
        peer.send_frames([Frame::ping(number)]);
        let response = std::iter::from_fn(|| peer.read_and_respond())
            .find(|frame| frame.kind == frames::GOAWAY || (frame.kind == frames::PING && frame.flags == ACK));
        let response = response.expect("the connection is closed");
        assert_eq!((response.kind, response.payload), (frames::PING, number.to_be_bytes().to_vec()));
    }
    let stream = peer.call(GET, b"");
    assert_eq!(peer.response(stream).code(), Some("0"));
    drop(peer);
    target.assert_unharmed();
}
