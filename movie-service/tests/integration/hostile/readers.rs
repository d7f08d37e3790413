//! Readers of a long list that stop reading, close their windows, disconnect or are killed.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::databases::large_database;
use crate::support::messages::framed;
use crate::support::peer::frames::{self, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW};
use crate::support::peer::{self, LIST, Peer};
use crate::support::process::command;
use crate::support::target::{Target, allow_many_sockets};

/// Memory that a stalled reader may cost.
const MAX_READER_KIB: u64 = 100;

/// Calls `GetListMovies` with windows for the whole list.
fn eager(target: &Target) -> Peer {
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
    peer.send_frames([Frame::window_update(0, MAX_WINDOW - 65_535)]);
    peer.call(LIST, b"");
    peer
}

/// Reads until the first DATA frame.
fn read_some(peer: &mut Peer) {
    while peer.read().is_some_and(|frame| frame.kind != frames::DATA) {}
}

/// Asserts that fifty such readers cost little, and that the service disconnects them.
fn assert_cut_off(connect: impl Fn(&Target) -> Peer) {
    let target = Target::large(&["unread=3s", "idle=10m", "connections_per_address=1000"]);
    let peers: Vec<Peer> = (0..50).map(|_| connect(&target)).collect();
    target.assert_costs_at_most(50 * MAX_READER_KIB);
    target.assert_disconnects_all();
    drop(peers);
    target.assert_unharmed();
}

#[test]
fn fifty_readers_that_do_not_read_their_sockets_cost_little_and_are_disconnected() {
    assert_cut_off(eager);
}

#[test]
fn fifty_readers_with_closed_windows_cost_little_and_are_disconnected() {
    assert_cut_off(|target| {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
        peer.call(LIST, b"");
        peer
    });
}

#[test]
fn fifty_readers_with_a_closed_connection_window_cost_little_and_are_disconnected() {
    assert_cut_off(|target| {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]);
        peer.call(LIST, b"");
        peer
    });
}

#[test]
fn a_reader_with_closed_windows_is_disconnected_although_it_pings() {
    let target = Target::large(&["unread=1s", "idle=10m", "keep_alive=200ms"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    peer.call(LIST, b"");
    // The pings keep the connection alive, but nothing of the response is read.
    let is_cut_off = (0..100).any(|number| {
        peer.send_frames([Frame::ping(number)]);
        thread::sleep(Duration::from_millis(100));
        std::iter::from_fn(|| peer.read_and_respond())
            .all(|frame| frame.kind != frames::PING || frame.flags != frames::ACK)
    });
    assert!(is_cut_off, "it stays connected although it reads nothing");
    target.assert_unharmed();
}

#[test]
fn a_reader_over_http_1_1_that_does_not_read_is_disconnected_at_its_deadline() {
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
fn window_updates_of_one_byte_on_many_lists_cost_little() {
    let target = Target::large(&["unread=10m"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for stream in frames::streams(50) {
        peer.send_frames(peer::call(stream, LIST, b""));
    }
    for _ in 0..200 {
        peer.send_frames(frames::streams(50).map(|stream| Frame::window_update(stream, 1)));
    }
    target.assert_costs_at_most(50 * MAX_READER_KIB);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn many_unread_lists_on_one_connection_cost_little() {
    let target = Target::large(&["unread=3s", "idle=10m"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames(frames::streams(100).flat_map(|stream| peer::call(stream, LIST, b"")));
    target.assert_costs_at_most(100 * MAX_READER_KIB);
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_slow_reader_gets_the_whole_list() {
    // The list takes longer than the limit in total, but the reader never pauses for as long.
    let target = Target::large(&["unread=1s"]);
    let mut peer = Peer::connect(target.address());
    peer.call(LIST, b"");
    let (mut length, mut ended) = (0, false);
    while let Some(frame) = peer.read_and_respond() {
        if frame.kind == frames::DATA {
            length += frame.payload.len();
            // Windows are returned in the pieces in which they were used, so some frames are tiny.
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
fn a_slow_reader_gets_the_whole_list_although_it_answers_a_ping_late() {
    let target = Target::large(&["keep_alive=100ms", "keep_alive_timeout=100ms", "unread=10s"]);
    let mut peer = eager(&target);
    // The ping is queued behind more data than the buffers of the socket hold.
    thread::sleep(Duration::from_secs(1));
    let mut frames = std::iter::from_fn(|| peer.read_and_respond());
    assert!(frames.any(|frame| frame.ends_stream()), "the list is truncated");
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_hundred_clients_that_are_killed_mid_stream_leave_nothing_behind() {
    allow_many_sockets();
    let target = Target::large(&["connections_per_address=1000"]);
    for _ in 0..4 {
        let mut peers: Vec<Peer> = (0..25).map(|_| eager(&target)).collect();
        peers.iter_mut().for_each(read_some);
        // Closing a socket with unread data resets the connection, as the end of a killed process does.
        drop(peers);
    }
    target.assert_unharmed();
}

#[test]
fn two_hundred_clients_that_disconnect_mid_request_leave_nothing_behind() {
    let target = Target::start(&["connections_per_address=1000"]);
    for number in 0..200 {
        let mut peer = Peer::connect(target.address());
        let whole = frames::encode(peer::call(1, LIST, b""));
        peer.send(&whole[..number % whole.len()]);
    }
    target.assert_unharmed();
}

#[test]
fn a_client_that_closes_its_half_mid_stream_is_disconnected() {
    let target = Target::large(&["idle=10m", "unread=10m"]);
    let mut peer = Peer::connect(target.address());
    peer.call(LIST, b"");
    read_some(&mut peer);
    // The list waits for window updates that never come.
    peer.shut_down_writing();
    peer.read_until_closed();
    drop(peer);
    target.assert_unharmed();
}
