//! Endless frames that cause work or responses, and carry nothing.

use crate::support::peer::frames::{CONTINUATION, DATA, Frame, HEADERS};
use crate::support::peer::{self, GET, Peer};
use crate::support::target::Target;

const FRAMES: usize = 20_000;

/// Memory that a flood may cost while its connection is open.
const MAX_FLOOD_KIB: u64 = 32 * 1024;

/// Sends frames as fast as the service reads them, and reads nothing.
fn flood(target: &Target, first: &[Frame], frame: &Frame) -> Peer {
    let mut peer = Peer::connect(target.address());
    peer.send_frames(first.iter().cloned());
    peer.send(&frame.encode().repeat(FRAMES));
    target.assert_costs_at_most(MAX_FLOOD_KIB);
    peer
}

/// Asserts that a flood does no harm, whether or not the service closes its connection.
fn assert_harmless(first: &[Frame], frame: &Frame) {
    let target = Target::start(&["idle=1s", "unread=1s", "deadline=1s"]);
    let peer = flood(&target, first, frame);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

/// Asserts that the service closes the connection of a flood with an error.
fn assert_disconnects(first: &[Frame], frame: &Frame) {
    let target = Target::start(&["idle=10m", "unread=10m", "linger=10m"]);
    let mut peer = flood(&target, first, frame);
    let code = peer.read_until_closed();
    assert!(matches!(code, Some(1..)), "GOAWAY with {code:?}");
    drop(peer);
    target.assert_unharmed();
}

/// The headers of a call whose request does not end.
fn begun() -> Frame {
    Frame::headers(1, peer::header_block(GET))
}

#[test]
fn pings_whose_acknowledgements_are_not_read_are_harmless() {
    assert_harmless(&[], &Frame::ping(7));
}

#[test]
fn settings_whose_acknowledgements_are_not_read_are_harmless() {
    assert_harmless(&[], &Frame::settings(&[]));
}

#[test]
fn settings_that_change_the_windows_of_open_streams_are_harmless() {
    let lists = (0..50).flat_map(|number| peer::call(2 * number + 1, peer::LIST, b""));
    let closed = Frame::settings(&[(4, 0)]);
    let first: Vec<Frame> = [closed].into_iter().chain(lists).collect();
    assert_harmless(&first, &Frame::settings(&[(4, 1), (4, 0)]));
}

#[test]
fn window_updates_of_one_byte_are_harmless() {
    assert_harmless(&[begun()], &Frame::window_update(0, 1));
    assert_harmless(&[begun()], &Frame::window_update(1, 1));
}

#[test]
fn priority_frames_are_harmless() {
    assert_harmless(&[], &Frame::priority(1, 3));
}

#[test]
fn frames_of_unknown_types_are_harmless() {
    assert_harmless(&[], &Frame::new(0xfa, 0xff, 1, [0; 100]));
}

#[test]
fn resets_of_closed_streams_are_harmless() {
    let [headers, data] = peer::call(1, GET, b"");
    assert_harmless(&[headers, data], &Frame::reset(1, 8));
}

#[test]
fn empty_data_frames_end_the_connection() {
    assert_disconnects(&[begun()], &Frame::data(1, []));
}

#[test]
fn data_frames_of_padding_only_end_the_connection() {
    const PADDED: u8 = 8;
    assert_disconnects(&[begun()], &Frame::new(DATA, PADDED, 1, [3, 0, 0, 0]));
}

#[test]
fn data_frames_of_one_byte_are_harmless() {
    // The bytes of a prefix that announces 64 KiB, then those of the message.
    let prefix = [0, 0, 1, 0, 0].map(|byte| Frame::data(1, [byte]));
    let first: Vec<Frame> = [begun()].into_iter().chain(prefix).collect();
    let target = Target::start(&["idle=2s", "deadline=2s"]);
    let peer = flood(&target, &first, &Frame::data(1, b"x"));
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn endless_continuations_end_the_connection() {
    let begun = Frame::new(HEADERS, 0, 1, peer::header_block(GET));
    for piece in [b"".as_slice(), &peer::hpack::encode(&[("a", "b")]), &[0x20; 1_000]] {
        assert_disconnects(std::slice::from_ref(&begun), &Frame::new(CONTINUATION, 0, 1, piece));
    }
}
