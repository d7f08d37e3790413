//! Thousands of streams: opened, reset, completed, and with unread responses.

use crate::support::messages::framed;
use crate::support::peer::frames::{self, CANCEL, ENHANCE_YOUR_CALM, Frame, PROTOCOL_ERROR, REFUSED_STREAM};
use crate::support::peer::{self, GET, Peer, Response};
use crate::support::target::Target;

/// Memory that 10,000 streams may cost while their connection is open.
const MAX_STREAMS_KIB: u64 = 32 * 1024;

#[test]
fn ten_thousand_streams_that_are_never_finished_cost_little() {
    let target = Target::start(&["idle=2s"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(10_000).map(|stream| Frame::headers(stream, peer::header_block(GET))));
    target.assert_costs_at_most(MAX_STREAMS_KIB);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn streams_beyond_the_limit_are_refused_and_those_within_it_are_answered() {
    let target = Target::start(&["streams=50"]);
    let mut peer = Peer::connect(target.address());
    let open: Vec<u32> = (0..50).map(|_| peer.begin(&peer::fields(GET))).collect();
    let refused = peer.begin(&peer::fields(GET));
    assert_eq!(peer.response(refused), Response::Reset(REFUSED_STREAM));
    for stream in open {
        peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(peer.response(stream).code(), Some("0"), "stream {stream}");
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn two_thousand_calls_on_one_connection_leave_nothing_behind() {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    for _ in 0..20 {
        let streams: Vec<u32> = (0..100).map(|_| peer.call(GET, b"\n\x011")).collect();
        for stream in streams {
            assert_eq!(peer.response(stream).code(), Some("0"), "stream {stream}");
        }
    }
    target.assert_costs_at_most(MAX_STREAMS_KIB / 5);
    drop(peer);
    target.assert_unharmed();
}

/// Rapid reset (CVE-2023-44487).
#[test]
fn rapid_reset_costs_little() {
    let target = Target::start(&["idle=2s"]);
    for whole in [false, true] {
        let mut peer = Peer::connect(target.address());
        peer.send_frames(frames::streams(20_000).flat_map(|stream| {
            let [headers, data] = peer::call(stream, GET, b"\n\x011");
            let data = whole.then_some(data);
            [headers].into_iter().chain(data).chain([Frame::reset(stream, CANCEL)])
        }));
        target.assert_costs_at_most(MAX_STREAMS_KIB);
        drop(peer);
        target.assert_unharmed();
    }
}

/// `MadeYouReset` (CVE-2025-8671): a stream that the service resets because of an error of the peer no longer counts towards
/// the concurrent calls of the connection.
#[test]
fn a_peer_that_makes_the_service_reset_more_streams_than_the_limit_is_disconnected() {
    let target = Target::start(&["resets=10", "linger=10m"]);
    let mut peer = Peer::connect(target.address());
    let fields = [peer::fields(GET).as_slice(), &[("content-length", "1")]].concat();
    let mut break_off = || {
        let stream = peer.begin(&fields);
        peer.send_frames([Frame::data(stream, "longer than 1")]);
        peer.response(stream)
    };
    for _ in 0..10 {
        assert_eq!(break_off(), Response::Reset(PROTOCOL_ERROR));
    }
    assert_eq!(break_off(), Response::Disconnected(Some(ENHANCE_YOUR_CALM)));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn unread_responses_cost_little_and_do_not_delay_others() {
    let target = Target::start(&["unread=1s"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(100_000).flat_map(|stream| peer::call(stream, GET, b"\n\x011")));
    target.assert_costs_at_most(MAX_STREAMS_KIB);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn malformed_headers_cost_little_and_end_the_connection() {
    // With a short `linger`, a reset of the socket could discard the GOAWAY.
    let target = Target::start(&["idle=10m", "linger=10m"]);
    // HTTP/2 forbids this field, so each call is a stream error.
    let malformed = [peer::fields(GET).as_slice(), &[("connection", "close")]].concat();
    let malformed = peer::hpack::encode(&malformed);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(5_000).map(|stream| Frame::headers(stream, malformed.clone())));
    target.assert_costs_at_most(MAX_STREAMS_KIB);
    assert!(matches!(peer.read_until_closed(), Some(1..)), "the connection is closed without an error");
    drop(peer);
    target.assert_unharmed();
}
