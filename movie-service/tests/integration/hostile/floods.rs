//! Frames without end that ask for work or for an answer and bring nothing.

use super::Target;
use crate::peer::frames::{CONTINUATION, DATA, Frame, HEADERS};
use crate::peer::{self, GET, Peer};

/// Frames that are sent in all.
const MANY: usize = 50_000;

/// What they may cost while their connection lasts, in KiB.
const COST: u64 = 32 * 1024;

/// Sends frames as fast as they are taken, and reads none.
fn flood(target: &Target, first: &[Frame], frame: &Frame) -> Peer {
    let mut peer = Peer::connect(target.address());
    peer.send_frames(first.iter().cloned());
    peer.send(&frame.encode().repeat(MANY));
    target.assert_costs_at_most(COST);
    peer
}

/// Asserts that a flood does no harm, whether the service bears it or ends it.
fn assert_harmless(first: &[Frame], frame: &Frame) {
    let target = Target::start(&["idle=1s", "unread=1s", "deadline=1s"]);
    let peer = flood(&target, first, frame);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

/// Asserts that the service ends a flood, and says why.
fn assert_told_to_go(first: &[Frame], frame: &Frame) {
    let target = Target::start(&["idle=10m", "unread=10m", "linger=10m"]);
    let mut peer = flood(&target, first, frame);
    let code = peer.ended();
    assert!(matches!(code, Some(1..)), "the last word is {code:?}");
    drop(peer);
    target.assert_unharmed();
}

/// The start of a call whose request goes on.
fn begun() -> Frame {
    Frame::headers(1, peer::block(GET))
}

#[test]
fn pings_whose_answers_nobody_reads() {
    assert_harmless(&[], &Frame::ping(7));
}

#[test]
fn settings_whose_confirmations_nobody_reads() {
    assert_harmless(&[], &Frame::settings(&[]));
}

#[test]
fn settings_that_move_the_windows_of_open_streams() {
    let lists = (0..50).flat_map(|number| peer::call(2 * number + 1, peer::LIST, b""));
    let closed = Frame::settings(&[(4, 0)]);
    let first: Vec<Frame> = [closed].into_iter().chain(lists).collect();
    assert_harmless(&first, &Frame::settings(&[(4, 1), (4, 0)]));
}

#[test]
fn window_updates_of_a_byte() {
    assert_harmless(&[begun()], &Frame::window_update(0, 1));
    assert_harmless(&[begun()], &Frame::window_update(1, 1));
}

#[test]
fn priorities() {
    assert_harmless(&[], &Frame::priority(1, 3));
}

#[test]
fn frames_of_unknown_kinds() {
    assert_harmless(&[], &Frame::new(0xfa, 0xff, 1, [0; 100]));
}

#[test]
fn resets_of_streams_that_ended() {
    let [headers, data] = peer::call(1, GET, b"");
    assert_harmless(&[headers, data], &Frame::reset(1, 8));
}

#[test]
fn empty_data_ends_its_connection() {
    assert_told_to_go(&[begun()], &Frame::data(1, []));
}

#[test]
fn data_of_nothing_but_padding_ends_its_connection() {
    const PADDED: u8 = 8;
    assert_told_to_go(&[begun()], &Frame::new(DATA, PADDED, 1, [3, 0, 0, 0]));
}

#[test]
fn data_of_a_byte_each_ends_at_the_latest_with_the_message() {
    // The bytes of a prefix that claims 64 KiB, then those of its message.
    let prefix = [0, 0, 1, 0, 0].map(|byte| Frame::data(1, [byte]));
    let first: Vec<Frame> = [begun()].into_iter().chain(prefix).collect();
    let target = Target::start(&["idle=2s", "deadline=2s"]);
    let peer = flood(&target, &first, &Frame::data(1, b"x"));
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn continuations_without_end_end_their_connection() {
    let begun = Frame::new(HEADERS, 0, 1, peer::block(GET));
    for piece in [b"".as_slice(), &peer::hpack::encode(&[("a", "b")]), &[0x20; 1_000]] {
        assert_told_to_go(std::slice::from_ref(&begun), &Frame::new(CONTINUATION, 0, 1, piece));
    }
}
