//! Graceful shutdown, whatever peers do.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::support::databases::{database, large_database};
use crate::support::http1;
use crate::support::messages::framed;
use crate::support::peer::frames::{self, Frame, GOAWAY, INITIAL_WINDOW_SIZE, NO_ERROR};
use crate::support::peer::{self, GET, LIST, PREFACE, Peer, Response};
use crate::support::process::{command, rounds};
use crate::support::target::{Target, block_on};

/// Starts a service over few movies.
fn start(grace: u64) -> Target {
    start_over(&database("movies.json"), grace)
}

fn start_over(database: &Path, grace: u64) -> Target {
    let mut command = command(database);
    command.args(["--grace", &format!("{grace}s")]);
    Target::run(&mut command, &["idle=10m", "handshake=10m", "unread=10m"])
}

/// Asserts that the service stops although peers are connected. Every limit that could disconnect them is longer than the
/// test waits.
fn assert_stops(peers: impl FnOnce(&Target) -> Vec<Peer>) {
    assert_stops_over(&database("movies.json"), peers);
}

fn assert_stops_over(database: &Path, peers: impl FnOnce(&Target) -> Vec<Peer>) {
    let mut target = start_over(database, 1);
    let peers = peers(&target);
    target.service.signal("TERM");
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
    drop(peers);
}

#[test]
fn idle_connections_do_not_delay_shutdown() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        for peer in &mut peers {
            let stream = peer.call(GET, b"");
            assert_eq!(peer.response(stream).code(), Some("0"));
        }
        peers
    });
}

#[test]
fn silent_connections_do_not_delay_shutdown() {
    assert_stops(|target| (0..20).map(|_| Peer::silent(target.address())).collect());
}

#[test]
fn unfinished_handshakes_do_not_delay_shutdown() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::silent(target.address())).collect();
        for peer in &mut peers {
            peer.send(&PREFACE[..12]);
        }
        peers
    });
}

#[test]
fn stalled_readers_do_not_delay_shutdown() {
    assert_stops_over(large_database(), |target| {
        let windows = [0, 65_535, frames::MAX_WINDOW];
        windows
            .repeat(5)
            .into_iter()
            .map(|window| {
                let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, window)]);
                peer.send_frames([Frame::window_update(0, frames::MAX_WINDOW - 65_535)]);
                peer.call(LIST, b"");
                peer
            })
            .collect()
    });
}

#[test]
fn unfinished_requests_do_not_delay_shutdown() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        for peer in &mut peers {
            peer.begin(&peer::fields(GET));
        }
        peers
    });
}

#[test]
fn peers_that_keep_their_socket_open_do_not_delay_shutdown() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        // The error ends the connection, which then lingers until the peer closes its socket.
        for peer in &mut peers {
            peer.send_frames([Frame::data(1, "of no stream")]);
        }
        peers
    });
}

#[test]
fn over_http_1_1_the_last_response_says_that_the_connection_closes() {
    let mut target = start(60);
    http1::assert_last_response_closes(target.address(), || target.service.signal("TERM"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

#[test]
fn calls_in_flight_are_answered_and_new_connections_are_refused() {
    let mut target = start(60);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    target.service.signal("TERM");
    assert_eq!(peer.read_goaway(), Some(NO_ERROR));
    assert!(std::net::TcpStream::connect(target.address()).is_err());

    peer.send_frames([Frame::data(stream, framed(b"\n\x011")).ending()]);
    assert_eq!(peer.response(stream).code(), Some("0"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

/// Asserts that a list is read completely, through a small window, after `stop` has caused a GOAWAY.
fn assert_slow_reader_gets_its_answer(target: &Target, stop: impl FnOnce(&Target)) {
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 16)]);
    let list = peer.call(LIST, b"");
    // Now h2 has the whole response, and each piece waits for its window.
    while peer.read().is_some_and(|frame| frame.kind != frames::DATA) {}
    stop(target);
    peer.send_frames([Frame::window_update(list, 16)]);
    let (mut has_goaway, mut fields) = (false, Vec::new());
    while let Some(frame) = peer.read() {
        has_goaway |= frame.kind == GOAWAY;
        if frame.kind == frames::HEADERS {
            fields.extend(peer::hpack::decode(&frame.payload));
        } else if frame.kind == frames::DATA {
            thread::sleep(Duration::from_millis(25));
            peer.send_frames([Frame::window_update(list, 16)]);
        } else if frame.kind == frames::PING && frame.flags & frames::ACK == 0 {
            // The acknowledgement shows that the peer has received the GOAWAY.
            peer.send_frames([Frame::new(frames::PING, frames::ACK, 0, frame.payload)]);
        }
    }
    assert!(has_goaway && fields.contains(&("grpc-status".into(), "0".into())), "{has_goaway} {fields:?}");
}

#[test]
fn a_response_to_a_slow_reader_is_not_truncated_by_shutdown() {
    let mut target = Target::start(&["linger=100ms"]);
    assert_slow_reader_gets_its_answer(&target, |target| target.service.signal("TERM"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

#[test]
fn a_response_to_a_slow_reader_is_not_truncated_by_the_age_limit() {
    let target = Target::start(&["linger=100ms", "age=100ms"]);
    assert_slow_reader_gets_its_answer(&target, |_| {});
    target.assert_unharmed();
}

#[test]
fn calls_that_outlast_the_grace_period_end_as_unavailable() {
    let mut target = start_over(large_database(), 1);
    let mut unfinished = Peer::connect(target.address());
    let call = unfinished.begin(&peer::fields(GET));
    // This reader is still reading when the grace period ends.
    let mut reader = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 16 * 1024)]);
    let list = reader.call(LIST, b"");
    target.service.signal("TERM");

    let reading = thread::spawn(move || {
        let mut fields = Vec::new();
        while let Some(frame) = reader.read_and_respond() {
            if frame.kind == frames::HEADERS && frame.stream == list {
                fields.extend(peer::hpack::decode(&frame.payload));
            }
            // Windows are returned in the pieces in which they were used, so many frames are tiny.
            if frame.payload.len() > 1024 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        Response::Complete { fields, body: Vec::new() }
    });
    let response = unfinished.response(call);
    assert_eq!(response.code(), Some("14"), "{response:?}");
    assert_eq!(reading.join().unwrap().code(), Some("14"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

/// Longer than the time in which the service ignores repeated signals, also on a busy machine.
const REPEATED_SIGNAL_WINDOW: Duration = Duration::from_secs(1);

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    for second in ["TERM", "INT"] {
        let mut target = start(3_600);
        let mut peer = Peer::connect(target.address());
        peer.begin(&peer::fields(GET));
        target.service.signal("TERM");
        assert_eq!(peer.read_goaway(), Some(NO_ERROR));
        thread::sleep(REPEATED_SIGNAL_WINDOW);
        target.service.signal(second);
        assert_eq!(block_on(target.service.wait()).code(), Some(130), "after a second SIG{second}");
    }
}

#[test]
fn a_signal_that_is_sent_twice_at_once_does_not_shorten_the_drain() {
    for second in ["TERM", "INT"] {
        let mut target = start(60);
        let mut peer = Peer::connect(target.address());
        let stream = peer.begin(&peer::fields(GET));
        target.service.signals(&["TERM", second, "TERM"]);
        assert_eq!(peer.read_goaway(), Some(NO_ERROR));
        thread::sleep(REPEATED_SIGNAL_WINDOW);
        peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(peer.response(stream).code(), Some("0"), "after SIG{second} twice");
        assert_eq!(block_on(target.service.wait()).code(), Some(0));
    }
}

#[test]
fn the_grace_period_can_be_set_by_a_variable() {
    let mut command = command(&database("movies.json"));
    let mut target = Target::run(command.env("MOVIE_GRACE", "0"), &[]);
    let mut peer = Peer::connect(target.address());
    peer.begin(&peer::fields(GET));
    target.service.signal("TERM");
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

#[test]
fn a_drain_under_load_fails_no_call() {
    for _ in 0..rounds() {
        let mut command = command(&database("films.json"));
        let mut target = Target::run(command.args(["--quiet", "--grace", "20s"]), &[]);
        let address = target.address();
        let (answered, responses) = mpsc::channel();
        let callers: Vec<_> = [GET, LIST]
            .repeat(20)
            .into_iter()
            .map(|path| {
                let answered = answered.clone();
                thread::spawn(move || call_until_goaway(Peer::connect(address), path, &answered))
            })
            .collect();
        // Until each caller has had a response.
        responses.iter().take(callers.len()).for_each(drop);
        target.service.signal("TERM");
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(block_on(target.service.wait()).code(), Some(0));
    }
}

/// Makes calls, two at a time, until a GOAWAY names the last stream; asserts that all calls up to it are answered. Reports
/// the first response.
fn call_until_goaway(mut peer: Peer, path: &str, answered: &Sender<()>) {
    let (mut open, mut first) = (Vec::new(), Some(answered));
    let mut last = None;
    loop {
        while last.is_none() && open.len() < 2 {
            open.push(peer.call(path, b""));
        }
        if open.is_empty() {
            return;
        }
        let Some(frame) = peer.read_and_respond() else {
            let last = last.expect("the connection is closed without GOAWAY");
            // Later calls are not answered, and may be retried elsewhere.
            open.retain(|stream| *stream <= last);
            assert!(open.is_empty(), "calls before the last stream without a response: {open:?}");
            return;
        };
        match frame.kind {
            GOAWAY => {
                assert_eq!(frame.error_code(), NO_ERROR);
                last = Some(frame.last_stream());
            }
            frames::RST_STREAM => panic!("stream {} was reset", frame.stream),
            _ if frame.ends_stream() => {
                if frame.kind == frames::HEADERS {
                    let fields = peer::hpack::decode(&frame.payload);
                    assert!(fields.contains(&("grpc-status".into(), "0".into())), "{fields:?}");
                }
                open.retain(|stream| *stream != frame.stream);
                if let Some(answered) = first.take() {
                    let _ = answered.send(());
                }
            }
            _ => {}
        }
    }
}
