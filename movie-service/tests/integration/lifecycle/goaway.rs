//! GOAWAY frames to peers that have calls in flight or are just making some (RFC 9113, section 6.8).

use std::thread;
use std::time::Duration;

use crate::support::databases::large_database;
use crate::support::messages::framed;
use crate::support::peer::frames::{
    ACK, Frame, GOAWAY, INITIAL_WINDOW_SIZE, MAX_WINDOW, NO_ERROR, PING, REFUSED_STREAM,
};
use crate::support::peer::{self, GET, LIST, Peer, Response};
use crate::support::process::command;
use crate::support::target::Target;

/// Starts a service whose list exceeds the buffers of any socket.
fn start_large(limits: &[&str]) -> Target {
    Target::run(command(large_database()).args(["--grace", "1m"]), limits)
}

/// Reads the first GOAWAY and the PING after it; returns the acknowledgement of the PING.
fn first_goaway(peer: &mut Peer) -> Frame {
    let go_away = std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == GOAWAY);
    let go_away = go_away.expect("the connection is closed without GOAWAY");
    assert_eq!(
        (go_away.last_stream(), go_away.error_code()),
        (MAX_WINDOW, NO_ERROR),
        "calls that were sent before the peer read the GOAWAY are refused"
    );
    let ping = std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == PING && frame.flags & ACK == 0);
    Frame::new(PING, ACK, 0, ping.expect("the connection is closed without PING").payload)
}

/// Reads until the connection is closed; returns the last stream of the last GOAWAY, which has `NO_ERROR`.
fn last_stream(peer: &mut Peer) -> u32 {
    let last = std::iter::from_fn(|| peer.read()).filter(|frame| frame.kind == GOAWAY).last();
    let last = last.expect("the connection is closed without GOAWAY");
    assert_eq!(last.error_code(), NO_ERROR);
    last.last_stream()
}

#[test]
fn a_call_opened_after_goaway_ends_no_call_in_flight() {
    for (age, stops) in [("age=300ms", false), ("age=1h", true)] {
        let target = start_large(&[age]);
        let mut peer = Peer::connect(target.address());
        // The response waits for the windows.
        let list = peer.call(LIST, b"");
        let get = peer.begin(&peer::fields(GET));
        if stops {
            target.service.signal("TERM");
        }
        let confirmation = first_goaway(&mut peer);
        // As gRPC's C core does: it acknowledges a PING before it sends the headers of calls that were made before the
        // GOAWAY arrived.
        let late = get + 2;
        peer.send_frames([
            confirmation,
            Frame::headers(late, peer::header_block(GET)),
            Frame::window_update(late, 1_000),
            Frame::data(late, framed(b"")).ending(),
            Frame::data(get, framed(b"")).ending(),
            Frame::window_update(list, 1 << 30),
            Frame::window_update(0, 1 << 30),
        ]);
        for stream in [get, late, list] {
            assert_eq!(peer.response(stream).code(), Some("0"), "{age}, stream {stream}");
        }
        assert_eq!(last_stream(&mut peer), late);
    }
}

#[test]
fn calls_after_the_final_goaway_are_refused_for_retry_elsewhere() {
    let target = Target::start(&["age=300ms", "linger=200ms"]);
    let mut peer = Peer::connect(target.address());
    // The connection stays open while this call is in flight.
    let first = peer.begin(&peer::fields(GET));
    let confirmation = first_goaway(&mut peer);
    peer.send_frames([confirmation]);
    let refused = (0..1_000).find_map(|_| {
        thread::sleep(Duration::from_millis(20));
        let next = peer.call(GET, b"");
        let response = peer.response(next);
        if response.code() == Some("0") { None } else { Some(response) }
    });
    assert_eq!(refused, Some(Response::Reset(REFUSED_STREAM)));
    peer.send_frames([Frame::data(first, framed(b"")).ending()]);
    assert_eq!(peer.response(first).code(), Some("0"));
    last_stream(&mut peer);
    target.assert_unharmed();
}

#[test]
fn a_peer_that_does_not_acknowledge_the_ping_gets_the_final_goaway() {
    let target = Target::start(&["age=300ms", "linger=200ms"]);
    let mut peer = Peer::connect(target.address());
    let stream = peer.call(GET, b"");
    assert_eq!(peer.response(stream).code(), Some("0"));
    // The peer reads, and acknowledges no PING.
    assert_eq!(last_stream(&mut peer), stream);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn goaway_is_sent_between_the_frames_of_a_list_that_is_read_slowly() {
    let target = start_large(&["age=300ms"]);
    // Each write ends in the middle of a frame.
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
    peer.send_frames([Frame::window_update(0, MAX_WINDOW - 65_535)]);
    let list = peer.call(LIST, b"");
    thread::sleep(Duration::from_secs(1));
    let response = peer.response(list);
    assert_eq!(response.code(), Some("0"));
    assert_eq!(last_stream(&mut peer), list);
    target.assert_unharmed();
}
