//! Readers of a long list that stop reading, close their windows, vanish or are killed.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{Target, allow_many_sockets, large_database};
use crate::peer::frames::{self, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW};
use crate::peer::{self, LIST, Peer};
use crate::process::command;
use crate::raw::framed;

/// What a reader that stalls may cost, in KiB.
const EACH: u64 = 100;

/// Connects with windows that let the whole list through, and asks for it.
fn eager(target: &Target) -> Peer {
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
    peer.send_frames([Frame::window_update(0, MAX_WINDOW - 65_535)]);
    peer.call(LIST, b"");
    peer
}

/// Reads until the list has begun.
fn read_some(peer: &mut Peer) {
    while peer.read().is_some_and(|frame| frame.kind != frames::DATA) {}
}

/// Holds fifty such readers, then waits until the service has cut them off.
fn assert_cut_off(connect: impl Fn(&Target) -> Peer) {
    let target = Target::large(&["unread=3s", "idle=10m", "connections_per_address=1000"]);
    let peers: Vec<Peer> = (0..50).map(|_| connect(&target)).collect();
    target.assert_costs_at_most(50 * EACH);
    target.assert_disconnects_all();
    drop(peers);
    target.assert_unharmed();
}

#[test]
fn fifty_readers_that_do_not_read_their_sockets_cost_little_and_are_cut_off() {
    assert_cut_off(eager);
}

#[test]
fn fifty_readers_with_closed_windows_cost_little_and_are_cut_off() {
    assert_cut_off(|target| {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
        peer.call(LIST, b"");
        peer
    });
}

#[test]
fn fifty_readers_with_an_open_window_and_a_closed_connection_cost_little_and_are_cut_off() {
    assert_cut_off(|target| {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
        peer.call(LIST, b"");
        peer
    });
}

#[test]
fn a_reader_with_closed_windows_that_pings_is_cut_off() {
    let target = Target::large(&["unread=1s", "idle=10m", "keep_alive=200ms"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.call(LIST, b"");
    // What it says and hears all the time is nothing of what it asked for.
    let is_cut_off = (0..100).any(|number| {
        peer.send_frames([Frame::ping(number)]);
        thread::sleep(Duration::from_millis(100));
        std::iter::from_fn(|| peer.read_politely())
            .all(|frame| frame.kind != frames::PING || frame.flags != frames::ACK)
    });
    assert!(is_cut_off, "it is kept although it takes nothing");
    target.assert_unharmed();
}

#[test]
fn a_reader_over_http_1_1_that_does_not_read_is_cut_off_at_its_deadline() {
    let mut command = command(large_database());
    let target = Target::run(command.args(["--web-origin", "*"]), &["unread=10m", "idle=10m"]);
    let mut reader = TcpStream::connect(target.address()).unwrap();
    let head = format!("POST {LIST} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web+proto");
    let request =
        [head.as_bytes(), b"\r\ngrpc-timeout: 300m\r\ncontent-length: 5\r\n\r\n", &framed(b"")].concat();
    reader.write_all(&request).unwrap();
    target.assert_disconnects_all();
    drop(reader);
    target.assert_unharmed();
}

#[test]
fn a_window_of_a_byte_at_a_time_costs_little() {
    let target = Target::large(&["unread=10m"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for stream in frames::streams(50) {
        peer.send_frames(peer::call(stream, LIST, b""));
    }
    for _ in 0..200 {
        peer.send_frames(frames::streams(50).map(|stream| Frame::window_update(stream, 1)));
    }
    target.assert_costs_at_most(50 * EACH);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn many_lists_on_one_connection_that_nobody_reads_cost_little() {
    let target = Target::large(&["unread=3s", "idle=10m"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(100).flat_map(|stream| peer::call(stream, LIST, b"")));
    target.assert_costs_at_most(100 * EACH);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_slow_reader_gets_the_whole_list() {
    // It takes longer than the limit in all, but never reads nothing for as long.
    let target = Target::large(&["unread=1s"]);
    let mut peer = Peer::connect(target.address());
    peer.call(LIST, b"");
    let (mut length, mut ended) = (0, false);
    while let Some(frame) = peer.read_politely() {
        if frame.kind == frames::DATA {
            length += frame.payload.len();
            // Windows come back in the pieces in which they were used, so some frames are tiny.
            if frame.payload.len() > 1024 {
                thread::sleep(Duration::from_millis(3));
            }
        }
        ended |= frame.ends_stream();
        if ended {
            break;
        }
    }
    assert!(ended && length > 10_000_000, "the list ended after {length} bytes");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_reader_gets_the_whole_list_although_it_is_slow_to_answer_a_ping() {
    let target = Target::large(&["keep_alive=100ms", "keep_alive_timeout=100ms", "unread=10s"]);
    let mut peer = eager(&target);
    // The ping is behind more than the buffers of the socket take.
    thread::sleep(Duration::from_secs(1));
    let mut frames = std::iter::from_fn(|| peer.read_politely());
    assert!(frames.any(|frame| frame.ends_stream()), "it is cut off");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_hundred_clients_that_are_killed_in_mid_stream_leave_nothing_behind() {
    allow_many_sockets();
    let target = Target::large(&["connections_per_address=1000"]);
    for _ in 0..4 {
        let mut peers: Vec<Peer> = (0..25).map(|_| eager(&target)).collect();
        peers.iter_mut().for_each(read_some);
        // With bytes unread, what the service gets is a reset; as from a process that is killed.
        drop(peers);
    }
    target.assert_unharmed();
}

#[test]
fn two_hundred_clients_that_leave_in_the_middle_of_a_request_leave_nothing_behind() {
    let target = Target::start(&["connections_per_address=1000"]);
    for number in 0..200 {
        let mut peer = Peer::connect(target.address());
        let whole = frames::encode(peer::call(1, LIST, b""));
        peer.send(&whole[..number % whole.len()]);
    }
    target.assert_unharmed();
}

#[test]
fn a_client_that_says_in_mid_stream_that_nothing_more_comes_is_let_go() {
    let target = Target::large(&["idle=10m", "unread=10m"]);
    let mut peer = Peer::connect(target.address());
    peer.call(LIST, b"");
    read_some(&mut peer);
    // Without window updates the list cannot go on, and none will come.
    peer.finish();
    peer.ended();
    drop(peer);
    target.assert_unharmed();
}
