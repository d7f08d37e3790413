//! Connections that are idle, grow old, or whose peer vanished.

use crate::hostile::Target;
use crate::peer::frames::{self, ACK, Frame, NO_ERROR};
use crate::peer::{self, GET, Peer};
use crate::raw::framed;

/// Reads until the next ping of the service.
fn next_ping(peer: &mut Peer) -> Option<Frame> {
    std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == frames::PING && frame.flags & ACK == 0)
}

#[test]
fn an_idle_connection_is_told_before_it_ends() {
    let target = Target::start(&["idle=300ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    assert_eq!(peer.answer(stream).code(), Some("0"));
    assert_eq!(peer.ended(), Some(NO_ERROR));
    drop(peer);
    target.assert_unharmed();
}

/// Asserts that a peer with a call in flight which answers so many pings, and does nothing else, is served after.
fn assert_stays_for_pings(limits: &[&str], pings: usize) {
    let target = Target::start(limits);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    for _ in 0..pings {
        let ping = next_ping(&mut peer).expect("the connection lives on");
        peer.send_frames([Frame::new(frames::PING, ACK, 0, ping.payload)]);
    }
    peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
    assert_eq!(peer.answer(stream).code(), Some("0"));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_connection_with_a_call_in_flight_is_not_idle() {
    // Each ping comes when the one before was answered, so this takes longer than the limit.
    assert_stays_for_pings(&["idle=200ms", "keep_alive=100ms"], 4);
}

#[test]
fn an_old_connection_is_told_and_its_calls_in_flight_are_answered() {
    let target = Target::start(&["age=300ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    assert_eq!(peer.told_to_go(), Some(NO_ERROR));
    peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
    assert_eq!(peer.answer(stream).code(), Some("0"));
    peer.ended();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_connection_grows_old_however_busy_it_is() {
    let target = Target::start(&["age=300ms"]);
    let mut peer = Peer::connect(target.address());
    let answers = std::iter::from_fn(|| {
        let stream = peer.call(GET, b"");
        Some(peer.answer(stream)).filter(|answer| answer.code() == Some("0"))
    });
    assert!(answers.count() > 0);
    target.assert_disconnects_all();
}

#[test]
fn a_peer_that_vanished_in_the_middle_of_a_call_is_found() {
    let target = Target::start(&[
        "keep_alive=200ms",
        "keep_alive_timeout=200ms",
        "unread=200ms",
        "deadline=10m",
        "linger=200ms",
    ]);
    let mut peer = Peer::connect(target.address());
    peer.begin(&peer::fields(GET));
    // It is there, but answers nothing; as if its cable were pulled.
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_vanished_after_it_left_a_ping_unanswered_is_found() {
    let limits = ["keep_alive=200ms", "keep_alive_timeout=200ms", "unread=200ms", "deadline=10m"];
    let target = Target::start(&limits);
    let mut peer = Peer::connect(target.address());
    peer.begin(&peer::fields(GET));
    next_ping(&mut peer).expect("the service asks whether it is there");
    // That shows it, though it is no answer.
    peer.send_frames([Frame::window_update(0, 1)]);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_does_nothing_but_answer_pings_stays() {
    assert_stays_for_pings(&["keep_alive=50ms", "keep_alive_timeout=100ms", "unread=100ms"], 10);
}

#[test]
fn a_peer_is_not_asked_whether_it_is_there_before_it_was_silent_for_long() {
    // It is looked at every 125 ms.
    let target = Target::start(&["age=500ms"]);
    let mut peer = Peer::connect(target.address());
    let mut frames = std::iter::from_fn(|| peer.read()).take_while(|frame| frame.kind != frames::GOAWAY);
    assert!(frames.all(|frame| frame.kind != frames::PING), "it is asked");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn pings_of_a_client_are_answered_and_never_too_many() {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    for number in 0..50 {
        peer.send_frames([Frame::ping(number)]);
        let answer = std::iter::from_fn(|| peer.read_politely())
            .find(|frame| frame.kind == frames::GOAWAY || (frame.kind == frames::PING && frame.flags == ACK));
        let answer = answer.expect("the connection lives on");
        assert_eq!((answer.kind, answer.payload), (frames::PING, number.to_be_bytes().to_vec()));
    }
    let stream = peer.call(GET, b"");
    assert_eq!(peer.answer(stream).code(), Some("0"));
    drop(peer);
    target.assert_unharmed();
}
