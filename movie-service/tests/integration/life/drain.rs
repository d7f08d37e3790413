//! The service is asked to stop, whatever its peers are doing.

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use crate::hostile::{Target, block_on, large_database};
use crate::peer::frames::{self, Frame, GOAWAY, INITIAL_WINDOW_SIZE, NO_ERROR};
use crate::peer::{self, Answer, GET, LIST, PREFACE, Peer};
use crate::process::{command, database, rounds};
use crate::raw::framed;

/// Starts a service over few movies.
fn start(grace: u64) -> Target {
    start_over(&database("movies.json"), grace)
}

fn start_over(database: &Path, grace: u64) -> Target {
    let mut command = command(database);
    command.args(["--grace", &format!("{grace}s")]);
    Target::run(&mut command, &["idle=10m", "handshake=10m", "unread=10m"])
}

/// Asks the service to stop while peers do something, and asserts that it does: every limit that could end these peers is
/// longer than the test waits.
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
fn idle_connections_do_not_hold_it_up() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        for peer in &mut peers {
            let stream = peer.call(GET, b"");
            assert_eq!(peer.answer(stream).code(), Some("0"));
        }
        peers
    });
}

#[test]
fn silent_connections_do_not_hold_it_up() {
    assert_stops(|target| (0..20).map(|_| Peer::silent(target.address())).collect());
}

#[test]
fn half_a_handshake_does_not_hold_it_up() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::silent(target.address())).collect();
        for peer in &mut peers {
            peer.send(&PREFACE[..12]);
        }
        peers
    });
}

#[test]
fn readers_that_are_stuck_do_not_hold_it_up() {
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
fn requests_that_do_not_end_do_not_hold_it_up() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        for peer in &mut peers {
            peer.begin(&peer::fields(GET));
        }
        peers
    });
}

#[test]
fn peers_that_keep_their_socket_after_the_end_do_not_hold_it_up() {
    assert_stops(|target| {
        let mut peers: Vec<Peer> = (0..20).map(|_| Peer::connect(target.address())).collect();
        // The error ends the connection; the rest of its way is to wait for the peer.
        for peer in &mut peers {
            peer.send_frames([Frame::data(1, "of no stream")]);
        }
        peers
    });
}

#[test]
fn calls_in_flight_are_answered_and_new_connections_are_not_taken() {
    let mut target = start(60);
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(&peer::fields(GET));
    target.service.signal("TERM");
    assert_eq!(peer.told_to_go(), Some(NO_ERROR));
    assert!(std::net::TcpStream::connect(target.address()).is_err());

    peer.send_frames([Frame::data(stream, framed(b"\n\x011")).ending()]);
    assert_eq!(peer.answer(stream).code(), Some("0"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

/// Asks for a list and reads it through a window that is far smaller than it, once `stop` has had its peer told to
/// leave; asserts that it gets all of it.
fn assert_slow_reader_gets_its_answer(target: &Target, stop: impl FnOnce(&Target)) {
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 16)]);
    let list = peer.call(LIST, b"");
    // From now on, the answer has left for h2 as a whole, and each piece waits for its window.
    while peer.read().is_some_and(|frame| frame.kind != frames::DATA) {}
    stop(target);
    peer.send_frames([Frame::window_update(list, 16)]);
    let (mut told, mut fields) = (false, Vec::new());
    while let Some(frame) = peer.read() {
        told |= frame.kind == GOAWAY;
        if frame.kind == frames::HEADERS {
            fields.extend(peer::hpack::decode(&frame.payload));
        } else if frame.kind == frames::DATA {
            thread::sleep(Duration::from_millis(25));
            peer.send_frames([Frame::window_update(list, 16)]);
        } else if frame.kind == frames::PING && frame.flags & frames::ACK == 0 {
            // The peer says that it has heard that it is to leave.
            peer.send_frames([Frame::new(frames::PING, frames::ACK, 0, frame.payload)]);
        }
    }
    assert!(told && fields.contains(&("grpc-status".into(), "0".into())), "{told} {fields:?}");
}

#[test]
fn an_answer_that_a_slow_peer_is_still_taking_is_not_cut_off_by_the_stop() {
    let mut target = Target::start(&["linger=100ms"]);
    assert_slow_reader_gets_its_answer(&target, |target| target.service.signal("TERM"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

#[test]
fn an_answer_that_a_slow_peer_is_still_taking_is_not_cut_off_by_the_age_of_its_connection() {
    let target = Target::start(&["linger=100ms", "age=100ms"]);
    assert_slow_reader_gets_its_answer(&target, |_| {});
    target.assert_unharmed();
}

#[test]
fn calls_past_the_grace_are_ended_as_unavailable() {
    let mut target = start_over(large_database(), 1);
    let mut unfinished = Peer::connect(target.address());
    let call = unfinished.begin(&peer::fields(GET));
    // A reader that is still reading when the time is up.
    let mut reader = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 16 * 1024)]);
    let list = reader.call(LIST, b"");
    target.service.signal("TERM");

    let reading = thread::spawn(move || {
        let mut fields = Vec::new();
        while let Some(frame) = reader.read_politely() {
            if frame.kind == frames::HEADERS && frame.stream == list {
                fields.extend(peer::hpack::decode(&frame.payload));
            }
            // Windows come back in the pieces in which they were used, so many frames are tiny.
            if frame.payload.len() > 1024 {
                thread::sleep(Duration::from_millis(10));
            }
        }
        Answer::Whole { fields, body: Vec::new() }
    });
    let answer = unfinished.answer(call);
    assert_eq!(answer.code(), Some("14"), "{answer:?}");
    assert_eq!(reading.join().unwrap().code(), Some("14"));
    assert_eq!(block_on(target.service.wait()).code(), Some(0));
}

/// Time after the first signal in which the service ignores further ones, and what a busy machine adds.
const REPEATED_SIGNAL_WINDOW: Duration = Duration::from_secs(1);

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in ["TERM", "INT"] {
        let mut target = start(3_600);
        let mut peer = Peer::connect(target.address());
        peer.begin(&peer::fields(GET));
        target.service.signal("TERM");
        assert_eq!(peer.told_to_go(), Some(NO_ERROR));
        thread::sleep(REPEATED_SIGNAL_WINDOW);
        target.service.signal(second);
        assert_eq!(block_on(target.service.wait()).code(), Some(130), "after a second SIG{second}");
    }
}

#[test]
fn a_signal_that_is_sent_twice_at_once_does_not_cut_the_drain_short() {
    for second in ["TERM", "INT"] {
        let mut target = start(60);
        let mut peer = Peer::connect(target.address());
        let stream = peer.begin(&peer::fields(GET));
        target.service.signals(&["TERM", second, "TERM"]);
        assert_eq!(peer.told_to_go(), Some(NO_ERROR));
        thread::sleep(REPEATED_SIGNAL_WINDOW);
        peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(peer.answer(stream).code(), Some("0"), "after SIG{second} twice");
        assert_eq!(block_on(target.service.wait()).code(), Some(0));
    }
}

#[test]
fn the_grace_can_be_given_by_a_variable() {
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
        let (answered, answers) = mpsc::channel();
        let callers: Vec<_> = [GET, LIST]
            .repeat(20)
            .into_iter()
            .map(|path| {
                let answered = answered.clone();
                thread::spawn(move || call_until_told_to_go(Peer::connect(address), path, &answered))
            })
            .collect();
        // Until all are at it.
        answers.iter().take(callers.len()).for_each(drop);
        target.service.signal("TERM");
        for caller in callers {
            caller.join().unwrap();
        }
        assert_eq!(block_on(target.service.wait()).code(), Some(0));
    }
}

/// Makes calls, two at a time, until the service says which is the last that it answers; asserts that it answers
/// all until that one. Tells of the first answer.
fn call_until_told_to_go(mut peer: Peer, path: &str, answered: &Sender<()>) {
    let (mut open, mut first) = (Vec::new(), Some(answered));
    let mut last = None;
    loop {
        while last.is_none() && open.len() < 2 {
            open.push(peer.call(path, b""));
        }
        if open.is_empty() {
            return;
        }
        let Some(frame) = peer.read_politely() else {
            let last = last.expect("the connection ends with a word");
            // What comes after the last is not answered, and may be called elsewhere.
            open.retain(|stream| *stream <= last);
            assert!(open.is_empty(), "calls that were promised an answer: {open:?}");
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
