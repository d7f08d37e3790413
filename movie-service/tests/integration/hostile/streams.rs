//! Streams by the thousand: opened, reset, finished, and their answers left unread.

use super::Target;
use crate::peer::frames::{self, CANCEL, ENHANCE_YOUR_CALM, Frame, PROTOCOL_ERROR, REFUSED_STREAM};
use crate::peer::{self, Answer, GET, Peer};

/// What 10,000 streams, or what is left of them, may cost while their connection lasts, in KiB.
const MAX_STREAMS_KIB: u64 = 32 * 1024;

#[test]
fn ten_thousand_streams_that_are_never_finished_cost_little() {
    let target = Target::start(&["idle=2s"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(10_000).map(|stream| Frame::headers(stream, peer::block(GET))));
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
    assert_eq!(peer.answer(refused), Answer::Reset(REFUSED_STREAM));
    for stream in open {
        peer.send_frames([Frame::data(stream, crate::raw::framed(b"")).ending()]);
        assert_eq!(peer.answer(stream).code(), Some("0"), "stream {stream}");
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
            assert_eq!(peer.answer(stream).code(), Some("0"), "stream {stream}");
        }
    }
    target.assert_costs_at_most(MAX_STREAMS_KIB / 5);
    drop(peer);
    target.assert_unharmed();
}

/// CVE-2023-44487.
#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_cost_little() {
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

/// `MadeYouReset` (CVE-2025-8671): a stream that the service resets for an error of the peer counts no longer towards
/// the concurrent calls of the connection.
#[test]
fn a_peer_that_makes_the_service_reset_more_streams_than_the_limit_is_disconnected() {
    let target = Target::start(&["resets=10", "linger=10m"]);
    let mut peer = Peer::connect(target.address());
    let fields = [peer::fields(GET).as_slice(), &[("content-length", "1")]].concat();
    let mut break_off = || {
        let stream = peer.begin(&fields);
        peer.send_frames([Frame::data(stream, "longer than 1")]);
        peer.answer(stream)
    };
    for _ in 0..10 {
        assert_eq!(break_off(), Answer::Reset(PROTOCOL_ERROR));
    }
    assert_eq!(break_off(), Answer::Gone(Some(ENHANCE_YOUR_CALM)));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn answers_that_nobody_reads_cost_little_and_hold_nobody_up() {
    let target = Target::start(&["unread=1s"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(100_000).flat_map(|stream| peer::call(stream, GET, b"\n\x011")));
    target.assert_costs_at_most(MAX_STREAMS_KIB);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn headers_that_break_the_rules_cost_little() {
    // With a shorter `linger`, the GOAWAY could be lost in a reset of the socket.
    let target = Target::start(&["idle=10m", "linger=10m"]);
    // A field that HTTP/2 forbids makes each a stream error.
    let malformed = [peer::fields(GET).as_slice(), &[("connection", "close")]].concat();
    let malformed = peer::hpack::encode(&malformed);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(5_000).map(|stream| Frame::headers(stream, malformed.clone())));
    target.assert_costs_at_most(MAX_STREAMS_KIB);
    assert!(matches!(peer.ended(), Some(1..)), "such a peer is told to go");
    drop(peer);
    target.assert_unharmed();
}
