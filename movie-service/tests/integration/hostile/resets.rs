//! Peers that make the service reset their streams (CVE-2025-8671, `MadeYouReset`).
//!
//! Each call is a good one, so that the service works on it; the next frame breaks a rule. A stream that the service
//! reset counts no longer against the streams that a peer may have, so something else has to end this.

use super::Target;
use crate::peer::frames::{self, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW, NO_ERROR, PRIORITY};
use crate::peer::{self, GET, LIST, Peer};

/// Makes calls, each followed by such frames, and asserts that the service ends the connection with an error.
fn assert_told_to_go(path: &str, spoil: impl Fn(u32) -> Vec<Frame>) {
    let target = Target::start(&["idle=2s", "unread=2s"]);
    // A closed window, so that no answer is complete before the rule is broken.
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for streams in frames::streams(5_000).collect::<Vec<_>>().chunks(100) {
        peer.send_frames(streams.iter().flat_map(|&stream| {
            let spoil = spoil(stream);
            peer::call(stream, path, b"").into_iter().chain(spoil)
        }));
    }
    target.assert_costs_at_most(32 * 1024);
    let code = peer.ended();
    assert!(code.is_some_and(|code| code != NO_ERROR), "the last word is {code:?}");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_window_update_of_nothing() {
    assert_told_to_go(LIST, |stream| vec![Frame::window_update(stream, 0)]);
}

#[test]
fn window_updates_that_overflow() {
    assert_told_to_go(LIST, |stream| vec![Frame::window_update(stream, MAX_WINDOW); 2]);
}

#[test]
fn data_after_the_end() {
    assert_told_to_go(LIST, |stream| vec![Frame::data(stream, "more")]);
}

#[test]
fn headers_after_the_end() {
    assert_told_to_go(LIST, |stream| vec![Frame::headers(stream, peer::block(LIST)).ending()]);
}

#[test]
fn a_priority_of_the_wrong_length() {
    assert_told_to_go(LIST, |stream| vec![Frame::new(PRIORITY, 0, stream, [0; 4])]);
}

#[test]
fn a_stream_that_depends_on_itself() {
    assert_told_to_go(LIST, |stream| vec![Frame::priority(stream, stream)]);
}

#[test]
fn more_data_than_the_length_that_was_announced() {
    let announced = [peer::fields(GET).as_slice(), &[("content-length", "1")]].concat();
    let announced = peer::hpack::encode(&announced);
    let target = Target::start(&["idle=2s"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(
        frames::streams(5_000).flat_map(|stream| {
            [Frame::headers(stream, announced.clone()), Frame::data(stream, "more than 1")]
        }),
    );
    target.assert_costs_at_most(32 * 1024);
    assert!(matches!(peer.ended(), Some(1..)));
    drop(peer);
    target.assert_unharmed();
}
