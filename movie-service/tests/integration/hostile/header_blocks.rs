//! Header blocks that are large, or decode to large header lists.

use crate::support::messages::framed;
use crate::support::peer::frames::{self, CONTINUATION, END_HEADERS, Frame, HEADERS};
use crate::support::peer::{self, GET, Peer, Response, hpack};
use crate::support::target::Target;

/// Memory that a header block may cost while its connection is open.
const MAX_BLOCK_KIB: u64 = 24 * 1024;

/// Returns the frames of a call with a header block of any length.
fn call(stream: u32, block: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> =
        block.chunks(16 * 1024).map(|part| Frame::new(CONTINUATION, 0, stream, part)).collect();
    frames[0].kind = HEADERS;
    frames.last_mut().unwrap().flags = END_HEADERS;
    frames.push(Frame::data(stream, framed(b"")).ending());
    frames
}

/// Asserts that a header block is refused: by a response, a reset of the stream or a close of the connection.
fn assert_refused(block: &[u8]) {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(call(1, block));
    let response = peer.response(1);
    target.assert_costs_at_most(MAX_BLOCK_KIB);
    let refused = match &response {
        Response::Complete { .. } => response.field(":status") == Some("431") || response.code() == Some("8"),
        Response::Reset(code) | Response::Disconnected(Some(code)) => *code != frames::NO_ERROR,
        Response::Disconnected(None) => false,
    };
    assert!(refused, "{response:?}");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_field_of_a_mebibyte_is_refused() {
    let long = "x".repeat(1 << 20);
    assert_refused(&[peer::header_block(GET), hpack::encode(&[("long", &long)])].concat());
    assert_refused(&[peer::header_block(GET), hpack::encode(&[(&long, "")])].concat());
}

#[test]
fn a_path_of_64_kib_is_refused() {
    let path = format!("/Movie/{}", "x".repeat(64 * 1024));
    assert_refused(&peer::header_block(&path));
}

#[test]
fn a_hundred_thousand_small_fields_are_refused() {
    assert_refused(&[peer::header_block(GET), hpack::encode(&[("a", "b")]).repeat(100_000)].concat());
}

#[test]
fn empty_fields_count_towards_the_limit() {
    // The shortest field: an indexed name and an empty value.
    assert_refused(&[peer::header_block(GET), [0x0f, 0x11, 0].repeat(10_000)].concat());
}

#[test]
fn a_field_that_is_repeated_by_its_index_counts_each_time() {
    // Each byte is the index of a field of 4 KB in the dynamic table: 12 KiB decode to 48 MiB.
    let mut bomb = peer::header_block(GET);
    bomb.extend([0x40, 1, b'a']);
    hpack::put_integer(&mut bomb, 0, 7, 4_000);
    bomb.extend([b'x'; 4_000]);
    bomb.extend([0xbe; 12 * 1024]);
    assert_refused(&bomb);
}

#[test]
fn an_hpack_bomb_on_each_of_many_streams_costs_little() {
    let target = Target::start(&["idle=2s"]);
    let mut first = peer::header_block(GET);
    first.extend([0x40, 1, b'a']);
    hpack::put_integer(&mut first, 0, 7, 1_000);
    first.extend([b'x'; 1_000]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(call(1, &first));
    let bomb = [peer::header_block(GET), vec![0xbe; 6]].concat();
    peer.send_frames(frames::streams(2_000).skip(1).map(|stream| Frame::headers(stream, bomb.clone())));
    target.assert_costs_at_most(MAX_BLOCK_KIB);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn endless_resizes_of_the_dynamic_table_are_refused() {
    assert_refused(&[[0x20, 0x3f, 0xe1, 0x1f].repeat(50_000), peer::header_block(GET)].concat());
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
        assert!(matches!(peer.read_until_closed(), Some(1..)), "{block:x?}");
    }
    target.assert_unharmed();
}

#[test]
fn a_header_list_at_the_limit_is_accepted_and_a_larger_one_is_not() {
    let target = Target::start(&["header_list=4096"]);
    for (length, is_taken) in [(3_000, true), (5_000, false)] {
        let value = "x".repeat(length);
        let mut peer = Peer::connect(target.address());
        let stream = peer.begin(&[peer::fields(GET).as_slice(), &[("x", &value)]].concat());
        peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(peer.response(stream).code() == Some("0"), is_taken, "{length} bytes");
    }
    target.assert_unharmed();
}
