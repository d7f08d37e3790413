//! Peers that are told to leave (GOAWAY) while they have calls in flight, or are just opening some (RFC 9113, section 6.8).

use std::thread;
use std::time::Duration;

use crate::hostile::{Target, large_database};
use crate::peer::frames::{
    ACK, Frame, GOAWAY, INITIAL_WINDOW_SIZE, MAX_WINDOW, NO_ERROR, PING, REFUSED_STREAM,
};
use crate::peer::{self, Answer, GET, LIST, Peer};
use crate::process::command;
use crate::raw::framed;

/// Starts a service over movies whose list no socket's buffers take.
fn start_large(limits: &[&str]) -> Target {
    Target::run(command(large_database()).args(["--grace", "1m"]), limits)
}

/// Reads until the peer is asked to leave and, by a ping, whether it has heard that; returns what it has to answer.
fn asked_to_leave(peer: &mut Peer) -> Frame {
    let go_away = std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == GOAWAY);
    let go_away = go_away.expect("it is told to leave");
    assert_eq!(
        (go_away.last_stream(), go_away.error_code()),
        (MAX_WINDOW, NO_ERROR),
        "calls that are on their way are taken"
    );
    let ping = std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == PING && frame.flags & ACK == 0);
    Frame::new(PING, ACK, 0, ping.expect("it is asked").payload)
}

/// Reads to the end of the connection; returns the last stream of the last GOAWAY, which is no error.
fn last_stream(peer: &mut Peer) -> u32 {
    let last = std::iter::from_fn(|| peer.read()).filter(|frame| frame.kind == GOAWAY).last();
    let last = last.expect("the connection ends with a word");
    assert_eq!(last.error_code(), NO_ERROR);
    last.last_stream()
}

#[test]
fn a_call_that_is_opened_late_cuts_off_no_call_in_flight() {
    for (age, stops) in [("age=300ms", false), ("age=1h", true)] {
        let target = start_large(&[age]);
        let mut peer = Peer::connect(target.address());
        // As much of it is sent as the windows take.
        let list = peer.call(LIST, b"");
        let get = peer.begin(&peer::fields(GET));
        if stops {
            target.service.signal("TERM");
        }
        let confirmation = asked_to_leave(&mut peer);
        // As gRPC's core does: the answer to a ping is written ahead of the headers of calls that were begun before
        // the GOAWAY came.
        let late = get + 2;
        peer.send_frames([
            confirmation,
            Frame::headers(late, peer::block(GET)),
            Frame::window_update(late, 1_000),
            Frame::data(late, framed(b"")).ending(),
            Frame::data(get, framed(b"")).ending(),
            Frame::window_update(list, 1 << 30),
            Frame::window_update(0, 1 << 30),
        ]);
        for stream in [get, late, list] {
            assert_eq!(peer.answer(stream).code(), Some("0"), "{age}, stream {stream}");
        }
        assert_eq!(last_stream(&mut peer), late);
    }
}

#[test]
fn a_peer_that_goes_on_to_call_after_it_was_told_to_leave_is_sent_elsewhere() {
    let target = Target::start(&["age=300ms", "linger=200ms"]);
    let mut peer = Peer::connect(target.address());
    // As long as this call is in flight, so is the connection.
    let first = peer.begin(&peer::fields(GET));
    let confirmation = asked_to_leave(&mut peer);
    peer.send_frames([confirmation]);
    let refused = (0..1_000).find_map(|_| {
        thread::sleep(Duration::from_millis(20));
        let next = peer.call(GET, b"");
        let answer = peer.answer(next);
        if answer.code() == Some("0") { None } else { Some(answer) }
    });
    assert_eq!(refused, Some(Answer::Reset(REFUSED_STREAM)));
    peer.send_frames([Frame::data(first, framed(b"")).ending()]);
    assert_eq!(peer.answer(first).code(), Some("0"));
    last_stream(&mut peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_does_not_confirm_is_told_the_last_stream_before_the_end() {
    let target = Target::start(&["age=300ms", "linger=200ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    assert_eq!(peer.answer(stream).code(), Some("0"));
    // It reads, and answers no ping.
    assert_eq!(last_stream(&mut peer), stream);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_is_told_to_leave_between_the_frames_of_a_list_that_it_reads_slowly() {
    let target = start_large(&["age=300ms"]);
    // Each write stops somewhere in the middle of a frame.
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
    peer.send_frames([Frame::window_update(0, MAX_WINDOW - 65_535)]);
    let list = peer.call(LIST, b"");
    thread::sleep(Duration::from_secs(1));
    let answer = peer.answer(list);
    assert_eq!(answer.code(), Some("0"));
    assert_eq!(last_stream(&mut peer), list);
    target.assert_unharmed();
}
