//! Connections of other protocols, unfinished handshakes and idle connections.

use std::thread;
use std::time::Duration;

use crate::support::peer::frames::{Frame, HEADERS, NO_ERROR};
use crate::support::peer::{self, GET, PREFACE, Peer};
use crate::support::target::{Target, allow_many_sockets};

/// First bytes of other protocols, and of none.
const OTHERS: [(&str, &[u8]); 7] = [
    ("garbage", b"\x9d\x01\xfe\xff\x00\x00garbage, of more bytes than a preface has"),
    ("zeros", &[0; 1_000]),
    ("a TLS hello", TLS_HELLO),
    ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
    ("an upgrade", b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n"),
    ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
    ("a preface with a wrong byte", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t"),
];

/// The first record of TLS 1.3: a `ClientHello`.
const TLS_HELLO: &[u8] = b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x00";

#[test]
fn another_protocol_ends_the_connection() {
    let target = Target::start(&["handshake=500ms", "idle=500ms"]);
    for (what, bytes) in OTHERS {
        let mut peer = Peer::silent(target.address());
        peer.send(bytes);
        let said = String::from_utf8_lossy(&peer.rest()).into_owned();
        assert!(!said.contains("panick") && !said.contains(".rs"), "{what}: {said}");
    }
    target.assert_unharmed();
}

#[test]
fn a_peer_that_waits_before_the_preface_is_complete_is_disconnected() {
    let target = Target::start(&["handshake=300ms", "idle=300ms"]);
    for bytes in
        [&b""[..], b"P", &PREFACE[..12], &TLS_HELLO[..3], TLS_HELLO, b"GET / HTTP/1.1\r\nhost: x\r\n"]
    {
        let mut peer = Peer::silent(target.address());
        peer.send(bytes);
        peer.rest();
    }
    target.assert_unharmed();
}

#[test]
fn a_frame_that_cannot_come_first_ends_the_connection() {
    let target = Target::start(&["idle=500ms"]);
    for frame in [
        Frame::data(1, "data of a stream that was never opened"),
        Frame::new(HEADERS, 0, 0, "headers of the connection"),
        Frame::new(9, 0, 1, "a continuation of nothing"),
        Frame::window_update(1, 1),
        Frame::reset(1, 0),
        Frame::headers(2, peer::header_block(GET)),
        Frame::new(4, 0, 0, "settings of an odd length"),
        Frame::settings(&[(4, u32::MAX)]),
        Frame::settings(&[(5, 1)]),
        Frame::new(6, 0, 0, "a ping of more than eight bytes"),
    ] {
        let mut peer = Peer::connect(target.address());
        peer.send_frames([frame.clone()]);
        let code = peer.read_until_closed();
        assert!(code.is_some_and(|code| code != NO_ERROR), "{frame:?}: {code:?}");
    }
    target.assert_unharmed();
}

#[test]
fn an_oversized_frame_ends_the_connection_before_it_arrives() {
    let target = Target::start(&["idle=500ms"]);
    let mut peer = Peer::connect(target.address());
    // The header of a frame of 16 MiB, without a payload.
    peer.send(b"\xff\xff\xff\0\0\0\0\0\x01");
    assert!(peer.read_until_closed().is_some_and(|code| code != NO_ERROR));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn two_hundred_unfinished_handshakes_are_disconnected() {
    let target = Target::start(&["handshake=1s", "connections_per_address=1000"]);
    let peers: Vec<Peer> = (0..200)
        .map(|number| {
            let mut peer = Peer::silent(target.address());
            peer.send(&PREFACE[..number % PREFACE.len()]);
            peer
        })
        .collect();
    target.assert_costs_at_most(20 * 1024);
    target.assert_disconnects_all();
    drop(peers);
    target.assert_unharmed();
}

#[test]
fn a_preface_sent_byte_by_byte_is_cut_off() {
    let target = Target::start(&["handshake=100ms", "idle=100ms", "linger=100ms"]);
    assert_cut_off(Peer::silent(target.address()), PREFACE);
    target.assert_unharmed();
}

#[test]
fn headers_sent_byte_by_byte_are_cut_off() {
    let target = Target::start(&["handshake=100ms", "idle=100ms", "linger=100ms"]);
    let headers = Frame::headers(1, peer::header_block(GET)).encode();
    assert_cut_off(Peer::connect(target.address()), &headers);
    target.assert_unharmed();
}

/// Sends a byte every 40 ms, and asserts that the connection is closed before all are sent.
fn assert_cut_off(mut peer: Peer, bytes: &[u8]) {
    let ended = bytes.iter().any(|byte| {
        thread::sleep(Duration::from_millis(40));
        peer.try_send(&[*byte]).is_err()
    });
    assert!(ended, "the service waits for all bytes");
}

#[test]
fn a_thousand_idle_connections_cost_little_and_are_closed_with_goaway() {
    allow_many_sockets();
    let target = Target::start(&["idle=3s", "connections=2000", "connections_per_address=2000"]);
    let mut peers: Vec<Peer> = (0..1_000).map(|_| Peer::connect(target.address())).collect();
    target.assert_costs_at_most(1_000 * 40);
    for peer in &mut peers {
        assert_eq!(peer.read_until_closed(), Some(NO_ERROR));
    }
    drop(peers);
    target.assert_unharmed();
}
