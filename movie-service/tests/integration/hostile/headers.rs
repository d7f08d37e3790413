//! Header blocks that are large, or become large.

use super::Target;
use crate::peer::frames::{self, CONTINUATION, END_HEADERS, Frame, HEADERS};
use crate::peer::{self, Answer, GET, Peer, hpack};

/// What a bomb may cost while its connection lasts, in KiB.
const COST: u64 = 24 * 1024;

/// Returns the frames of a call with this header block, however long that is.
fn call(stream: u32, block: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> =
        block.chunks(16 * 1024).map(|part| Frame::new(CONTINUATION, 0, stream, part)).collect();
    frames[0].kind = HEADERS;
    frames.last_mut().unwrap().flags = END_HEADERS;
    frames.push(Frame::data(stream, crate::raw::framed(b"")).ending());
    frames
}

/// Asserts that a header block is refused: by an answer of its own, of its stream or of its connection.
fn assert_refused(block: &[u8]) {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(call(1, block));
    let answer = peer.answer(1);
    target.assert_costs_at_most(COST);
    let refused = match &answer {
        Answer::Whole { .. } => answer.field(":status") == Some("431") || answer.code() == Some("8"),
        Answer::Reset(code) | Answer::Gone(Some(code)) => *code != frames::NO_ERROR,
        Answer::Gone(None) => false,
    };
    assert!(refused, "{answer:?}");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_field_of_a_mebibyte_is_refused() {
    let long = "x".repeat(1 << 20);
    assert_refused(&[peer::block(GET), hpack::encode(&[("long", &long)])].concat());
    assert_refused(&[peer::block(GET), hpack::encode(&[(&long, "")])].concat());
}

#[test]
fn a_path_of_64_kib_is_refused() {
    let path = format!("/Movie/{}", "x".repeat(64 * 1024));
    assert_refused(&peer::block(&path));
}

#[test]
fn a_hundred_thousand_small_fields_are_refused() {
    assert_refused(&[peer::block(GET), hpack::encode(&[("a", "b")]).repeat(100_000)].concat());
}

#[test]
fn empty_fields_are_counted_too() {
    // The shortest: an indexed name, and a value of no bytes.
    assert_refused(&[peer::block(GET), [0x0f, 0x11, 0].repeat(10_000)].concat());
}

#[test]
fn a_field_that_is_repeated_by_its_index_is_counted_each_time() {
    // A byte each makes 4 KB of the dynamic table: 16 KiB become 64 MiB.
    let mut bomb = peer::block(GET);
    bomb.extend([0x40, 1, b'a']);
    hpack::put_integer(&mut bomb, 0, 7, 4_000);
    bomb.extend([b'x'; 4_000]);
    bomb.extend([0xbe; 12 * 1024]);
    assert_refused(&bomb);
}

#[test]
fn a_bomb_on_each_of_many_streams_costs_little() {
    let target = Target::start(&["idle=2s"]);
    let mut first = peer::block(GET);
    first.extend([0x40, 1, b'a']);
    hpack::put_integer(&mut first, 0, 7, 1_000);
    first.extend([b'x'; 1_000]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(call(1, &first));
    let bomb = [peer::block(GET), vec![0xbe; 6]].concat();
    peer.send_frames(frames::streams(2_000).skip(1).map(|stream| Frame::headers(stream, bomb.clone())));
    target.assert_costs_at_most(COST);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_table_that_is_resized_again_and_again_is_refused() {
    assert_refused(&[[0x20, 0x3f, 0xe1, 0x1f].repeat(50_000), peer::block(GET)].concat());
}

#[test]
fn indices_and_lengths_out_of_range_end_the_connection() {
    let target = Target::start(&[]);
    for block in [
        b"\x80".as_slice(),                                  // index 0
        b"\xff\x80\x01",                                     // an index that nothing has
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", // an index in more bytes than there may be
        b"\0\x05ab",                                         // a name that is cut off
        b"\0\xff\xff\xff\xff\x07",                           // a name of gigabytes
        b"\x3f\xff\xff\xff\x07",                             // a table of gigabytes
        b"\0\x84\xff\xff\xff\xff\0",                         // the end of all strings, within one
    ] {
        let mut peer = Peer::connect(target.address());
        peer.send_frames([Frame::headers(1, block)]);
        assert!(matches!(peer.ended(), Some(1..)), "{block:x?}");
    }
    target.assert_unharmed();
}

#[test]
fn a_header_list_within_the_limit_is_taken_and_one_beyond_it_is_not() {
    let target = Target::start(&["header_list=4096"]);
    for (length, is_taken) in [(3_000, true), (5_000, false)] {
        let value = "x".repeat(length);
        let mut peer = Peer::connect(target.address());
        let stream = peer.begin(&[peer::fields(GET).as_slice(), &[("x", &value)]].concat());
        peer.send_frames([Frame::data(stream, crate::raw::framed(b"")).ending()]);
        assert_eq!(peer.answer(stream).code() == Some("0"), is_taken, "{length} bytes");
    }
    target.assert_unharmed();
}
