//! Hostile peers, each kind in a loop on a thread of its own.
//!
//! Responses are checked where they are known. Otherwise, the calls of others and the memory of the service at the end show
//! that the peers did no harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::messages::framed;
use crate::peer::frames::{self, CANCEL, DATA, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW};
use crate::peer::{self, GET, LIST, PREFACE, Peer, hpack};
use crate::tally::Tally;

/// Peers in one round.
const PEERS: usize = 20;

/// Streams or frames of a flood.
const FLOOD_FRAMES: u32 = 10_000;

/// Time between two rounds.
const PAUSE: Duration = Duration::from_millis(200);

/// Waiting times, in turn: longer than the limits of the service, then shorter.
const WAITS: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(1)];

/// Runs a round of one kind; returns the number of peers, or the unexpected response.
type Round = fn(SocketAddr, Duration) -> Result<usize, String>;

const KINDS: [(&str, Round); 16] = [
    ("half a handshake", half_handshakes),
    ("garbage", garbage),
    ("rapid reset", rapid_reset),
    ("streams we must reset", made_to_reset),
    ("malformed headers", malformed_headers),
    ("header bomb", header_bomb),
    ("responses unread", unread_answers),
    ("window closed", closed_windows),
    ("socket unread", unread_sockets),
    ("gone in mid-stream", gone),
    ("gone in mid-request", half_requests),
    ("pings", pings),
    ("settings", settings),
    ("message too large", large_messages),
    ("bad protobuf", bad_protobuf),
    ("tiny timeout", tiny_timeouts),
];

/// Starts all kinds. Each stops after the round in which `end` passes.
pub(crate) fn start(address: SocketAddr, end: Instant, tally: &Arc<Tally>) -> Vec<JoinHandle<()>> {
    let start = |(kind, round): (&'static str, Round)| {
        let tally = tally.clone();
        thread::spawn(move || {
            for wait in WAITS.into_iter().cycle() {
                // The peer of the tests panics when the service neither responds nor closes the connection.
                let Ok(made) = thread::spawn(move || round(address, wait)).join() else {
                    return tally.peers(kind, Err("it waits in vain, and stops".to_owned()));
                };
                tally.peers(kind, made);
                if Instant::now() >= end {
                    return;
                }
                thread::sleep(PAUSE);
            }
        })
    };
    KINDS.into_iter().map(start).collect()
}

/// Waits for the last round of each kind.
pub(crate) fn join(kinds: Vec<JoinHandle<()>>) {
    for kind in kinds {
        // A panic is counted by the thread itself.
        let _ = kind.join();
    }
}

/// Runs a round of peers that all wait before they disconnect.
fn waiting(wait: Duration, make: impl Fn(usize) -> Peer) -> Result<usize, String> {
    let peers: Vec<Peer> = (0..PEERS).map(make).collect();
    thread::sleep(wait);
    drop(peers);
    Ok(PEERS)
}

fn half_handshakes(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    waiting(wait, |number| {
        let mut peer = Peer::silent(address);
        peer.send(&PREFACE[..number]);
        peer
    })
}

fn garbage(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let others: [&[u8]; 5] = [
        b"\x9d\x01\xfe\xff\x00\x00garbage, of more bytes than a preface has",
        &[0; 1_000],
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03 how TLS begins",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ];
    for bytes in others {
        let mut peer = Peer::silent(address);
        peer.send(bytes);
        peer.rest();
    }
    Ok(5)
}

/// Rapid reset (CVE-2023-44487).
fn rapid_reset(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let mut peer = Peer::connect(address);
    peer.send_frames(frames::streams(FLOOD_FRAMES).flat_map(|stream| {
        let [headers, data] = peer::call(stream, GET, b"\n\x011");
        [headers, data, Frame::reset(stream, CANCEL)]
    }));
    Ok(1)
}

/// `MadeYouReset` (CVE-2025-8671).
fn made_to_reset(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let mut peer = Peer::connect_with(address, &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.send_frames(frames::streams(FLOOD_FRAMES).flat_map(|stream| {
        let [headers, data] = peer::call(stream, LIST, b"");
        [headers, data, Frame::window_update(stream, 0)]
    }));
    read_goaway(&mut peer)
}

fn malformed_headers(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let block = hpack::encode(&[peer::fields(GET).as_slice(), &[("connection", "close")]].concat());
    let mut peer = Peer::connect(address);
    peer.send_frames(frames::streams(FLOOD_FRAMES).map(|stream| Frame::headers(stream, block.clone())));
    read_goaway(&mut peer)
}

/// A field of 4 KB in the dynamic table, repeated by one-byte indices.
fn header_bomb(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let mut block = peer::header_block(GET);
    block.extend([0x40, 1, b'a']);
    hpack::put_integer(&mut block, 0, 7, 4_000);
    block.extend([b'x'; 4_000]);
    block.extend([0xbe; 8_000]);
    let mut peer = Peer::connect(address);
    peer.send_frames([Frame::headers(1, block), Frame::data(1, []).ending()]);
    let response = peer.response(1);
    if response.code() == Some("0") { Err("it is answered".to_owned()) } else { Ok(1) }
}

fn unread_answers(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    waiting(wait, |_| {
        let mut peer = Peer::connect(address);
        peer.send_frames(frames::streams(FLOOD_FRAMES / 10).flat_map(|stream| peer::call(stream, GET, b"")));
        peer
    })
}

fn closed_windows(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    waiting(wait, |_| {
        let mut peer = Peer::connect_with(address, &[(INITIAL_WINDOW_SIZE, 0)]);
        peer.call(LIST, b"");
        peer
    })
}

fn unread_sockets(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    waiting(wait, |_| eager(address))
}

/// Closing a socket with unread data resets the connection, as the end of a killed process does.
fn gone(address: SocketAddr, _: Duration) -> Result<usize, String> {
    waiting(Duration::ZERO, |_| {
        let mut peer = eager(address);
        while peer.read().is_some_and(|frame| frame.kind != DATA) {}
        peer
    })
}

fn half_requests(address: SocketAddr, _: Duration) -> Result<usize, String> {
    let whole = frames::encode(peer::call(1, LIST, b""));
    waiting(Duration::ZERO, |number| {
        let mut peer = Peer::connect(address);
        peer.send(&whole[..whole.len() * number / PEERS]);
        peer
    })
}

fn pings(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    flood(address, wait, &Frame::ping(7))
}

fn settings(address: SocketAddr, wait: Duration) -> Result<usize, String> {
    flood(address, wait, &Frame::settings(&[(INITIAL_WINDOW_SIZE, 1), (INITIAL_WINDOW_SIZE, 0)]))
}

fn large_messages(address: SocketAddr, _: Duration) -> Result<usize, String> {
    for claim in [256 * 1024 + 1, 4 << 20, u32::MAX] {
        let prefix = [&[0], claim.to_be_bytes().as_slice()].concat();
        expect(address, &[], Frame::data(1, prefix), "8")?;
    }
    Ok(3)
}

fn bad_protobuf(address: SocketAddr, _: Duration) -> Result<usize, String> {
    for message in [b"\n\x05ab".as_slice(), b"\x0f", b"\x13", b"\n\x01\xff"] {
        expect(address, &[], Frame::data(1, framed(message)).ending(), "13")?;
    }
    Ok(4)
}

/// The request never ends, so the call ends at its deadline.
fn tiny_timeouts(address: SocketAddr, _: Duration) -> Result<usize, String> {
    for timeout in ["0n", "1n", "1m", "50m"] {
        expect(address, &[("grpc-timeout", timeout)], Frame::data(1, []), "4")?;
    }
    Ok(4)
}

/// Makes a call with further header fields and data, and checks the code of its response.
fn expect(address: SocketAddr, fields: &[(&str, &str)], data: Frame, code: &str) -> Result<usize, String> {
    let mut peer = Peer::connect(address);
    let stream = peer.begin(&[peer::fields(GET).as_slice(), fields].concat());
    peer.send_frames([data]);
    let response = peer.response(stream);
    if response.code() == Some(code) { Ok(1) } else { Err(format!("not code {code} but {response:?}")) }
}

/// Waits until the service closes the connection with an error.
fn read_goaway(peer: &mut Peer) -> Result<usize, String> {
    match peer.read_until_closed() {
        Some(1..) => Ok(1),
        code => Err(format!("the last word is {code:?}")),
    }
}

/// Sends a frame repeatedly, and reads nothing.
fn flood(address: SocketAddr, wait: Duration, frame: &Frame) -> Result<usize, String> {
    let mut peer = Peer::connect(address);
    peer.send(&frames::encode((0..FLOOD_FRAMES).map(|_| frame.clone())));
    thread::sleep(wait);
    Ok(1)
}

/// Calls `GetListMovies` with windows for the whole list.
fn eager(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect_with(address, &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
    peer.send_frames([Frame::window_update(0, MAX_WINDOW - 65_535)]);
    peer.call(LIST, b"");
    peer
}
