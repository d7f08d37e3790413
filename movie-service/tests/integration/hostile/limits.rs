//! Peers that run into the limits that no other module here is about.

use std::thread;
use std::time::Duration;

use super::{OTHER_ADDRESS, Target};
use crate::peer::frames::{self, CANCEL, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW, NO_ERROR};
use crate::peer::{self, Answer, CHECK, GET, LIST, Peer};
use crate::process::{command, database};
use crate::raw::framed;

/// Asserts that a call beyond a limit is refused, and told when to try again.
fn assert_shed(answer: &Answer) {
    assert_eq!(answer.code(), Some("8"), "{answer:?}");
    // `google.rpc.RetryInfo` travels in it.
    assert!(answer.field("grpc-status-details-bin").is_some(), "{answer:?}");
}

#[test]
fn calls_in_flight_beyond_the_limit_are_shed_and_told_when_to_try_again() {
    let target = Target::start(&["calls=10", "calls_per_address=10"]);
    let [mut busy, mut other] = [(); 2].map(|()| Peer::connect(target.address()));
    let open: Vec<u32> = (0..10).map(|_| busy.begin(&peer::fields(GET))).collect();
    let beyond = busy.call(GET, b"");
    assert_shed(&busy.answer(beyond));
    // It is on the other worker, which has had less than its share.
    let fair = other.call(GET, b"");
    assert_eq!(other.answer(fair).code(), Some("0"));
    for stream in open {
        busy.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(busy.answer(stream).code(), Some("0"));
    }
    let next = other.call(GET, b"");
    assert_eq!(other.answer(next).code(), Some("0"));
    drop((busy, other));
    target.assert_unharmed();
}

#[test]
fn calls_are_in_flight_until_their_answers_are_taken() {
    let mut command = command(&database("movies.json"));
    let target = Target::run(command.args(["--web-origin", "*"]), &["calls=10", "calls_per_address=10"]);
    for (path, content_type) in [
        (GET, "application/grpc"),
        (LIST, "application/grpc"),
        (CHECK, "application/grpc"),
        (GET, "application/grpc-web+proto"),
    ] {
        // The answers are there as a whole, but for their first byte each waits for its window.
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 1)]);
        let mut fields = peer::fields(path);
        fields.last_mut().unwrap().1 = content_type;
        let call = |peer: &mut Peer| {
            let stream = peer.begin(&fields);
            peer.send_frames([Frame::data(stream, framed(b"")).ending()]);
            stream
        };
        let open: Vec<u32> = (0..10).map(|_| call(&mut peer)).collect();
        let beyond = peer.call(path, b"");
        assert_shed(&peer.answer(beyond));
        peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)])]);
        for stream in open {
            assert!(matches!(peer.answer(stream), Answer::Whole { .. }), "{path} {content_type}");
        }
        let next = peer.call(GET, b"");
        assert_eq!(peer.answer(next).code(), Some("0"), "{path} {content_type}");
    }
    target.assert_unharmed();
}

#[test]
fn an_answer_that_is_taken_by_the_byte_does_not_outlast_its_deadline() {
    let target = Target::start(&["deadline=300ms", "unread=1s", "idle=10m"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 1)]);
    let stream = peer.call(GET, b"\n\x24267eedb8-0f5d-42d5-8f43-72426b9fb3e6");
    while let Some(frame) = peer.read() {
        assert!(!frame.ends_stream(), "the answer is whole");
        if frame.kind == frames::DATA {
            thread::sleep(Duration::from_millis(200));
            peer.send_frames([Frame::window_update(stream, 1)]);
        }
    }
    target.assert_unharmed();
}

/// Asserts that a list gets a place once the service has seen that another was given up.
fn assert_list_is_given_away(peer: &mut Peer) {
    let answers = std::iter::repeat_with(|| {
        let next = peer.call(LIST, b"");
        peer.answer(next)
    });
    let answer = answers.take(1_000).find(|answer| answer.code() != Some("8"));
    assert_eq!(answer.as_ref().and_then(Answer::code), Some("0"));
}

#[test]
fn lists_beyond_the_limit_are_shed_and_other_calls_are_not() {
    let target = Target::large(&["lists=5", "lists_per_address=5"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let open: Vec<u32> = (0..5).map(|_| peer.call(LIST, b"")).collect();
    let beyond = peer.call(LIST, b"");
    assert_shed(&peer.answer(beyond));
    super::ordinary_call(target.address());
    // One that is given up makes place for another.
    peer.send_frames([Frame::reset(open[0], 8)]);
    peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), Frame::window_update(0, 1 << 30)]);
    assert_list_is_given_away(&mut peer);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn one_address_takes_half_of_the_lists_and_leaves_the_rest_to_others() {
    let target = Target::large(&["lists=4"]);
    let closed = [(INITIAL_WINDOW_SIZE, 0)];
    // Each on a connection of its own, so that it is not the connection that counts.
    let stalled: Vec<Peer> = (0..2)
        .map(|_| {
            let mut peer = Peer::connect_with(target.address(), &closed);
            peer.call(LIST, b"");
            peer.settle();
            peer
        })
        .collect();
    let mut greedy = Peer::connect(target.address());
    let beyond = greedy.call(LIST, b"");
    assert_shed(&greedy.answer(beyond));
    let mut other = Peer::connect_from(OTHER_ADDRESS, target.address());
    let list = other.call(LIST, b"");
    assert_eq!(other.answer(list).code(), Some("0"));
    drop((stalled, greedy, other));
    target.assert_unharmed();
}

#[test]
fn one_address_takes_half_of_the_calls_and_leaves_the_rest_to_others() {
    let target = Target::start(&["calls=20"]);
    let mut greedy = Peer::connect(target.address());
    for _ in 0..10 {
        greedy.begin(&peer::fields(GET));
    }
    let beyond = greedy.call(GET, b"");
    assert_shed(&greedy.answer(beyond));
    // It is on either worker.
    for _ in 0..2 {
        let mut other = Peer::connect_from(OTHER_ADDRESS, target.address());
        let open: Vec<u32> = (0..9).map(|_| other.begin(&peer::fields(GET))).collect();
        for stream in open {
            other.send_frames([Frame::data(stream, framed(b"")).ending()]);
            assert_eq!(other.answer(stream).code(), Some("0"));
        }
    }
    drop(greedy);
    target.assert_unharmed();
}

#[test]
fn an_operator_behind_a_proxy_gives_one_address_all_of_the_lists_and_calls() {
    let target = Target::large(&["lists=4", "lists_per_address=4", "calls=4", "calls_per_address=4"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for _ in 0..4 {
        peer.call(LIST, b"");
    }
    let beyond = peer.call(LIST, b"");
    assert_shed(&peer.answer(beyond));
    // Each of them waits for its window, so none was refused.
    peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), Frame::window_update(0, 1 << 30)]);
    for number in 0..4 {
        assert_eq!(peer.answer(1 + 2 * number).code(), Some("0"));
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_watch_that_its_peer_resets_gives_its_place_away_although_nothing_changes() {
    let target = Target::start(&["lists=1"]);
    let mut peer = Peer::connect(target.address());
    let watch = peer.call("/movie.catalog.v1.MovieCatalog/WatchMovies", b"");
    // It has said where it begins, and waits for changes.
    while peer.read_politely().is_some_and(|frame| frame.kind != frames::DATA) {}
    peer.send_frames([Frame::reset(watch, CANCEL)]);
    assert_list_is_given_away(&mut peer);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn requests_that_nobody_reads_use_up_no_window() {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    let mut fields = peer::fields(GET);
    fields.last_mut().unwrap().1 = "text/plain";
    // As much at a time as may be sent ahead of the first settings; six times the window of the connection in all.
    for _ in 0..64 {
        let stream = peer.begin(&fields);
        peer.send_frames([(); 3].map(|()| Frame::data(stream, [0; 16 * 1024])));
        let answer = peer.answer(stream);
        assert_eq!(answer.field(":status"), Some("415"), "{answer:?}");
    }
    let next = peer.call(GET, b"");
    assert_eq!(peer.answer(next).code(), Some("0"));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn windows_above_the_maximum_of_http_2_are_that_maximum() {
    // The window of a connection is four times that of a stream.
    for (limit, expected) in [("window=600000000", 600_000_000), ("window=9000000000", MAX_WINDOW)] {
        let target = Target::start(&[limit]);
        let mut peer = Peer::connect(target.address());
        let stream_window = peer.read_setting(INITIAL_WINDOW_SIZE);
        assert_eq!(stream_window, Some(expected), "{limit}");
        let update = std::iter::from_fn(|| peer.read()).find(|frame| frame.kind == frames::WINDOW_UPDATE);
        // Until then, it is 65,535 bytes (RFC 9113, section 6.9.2).
        assert_eq!(update.unwrap().payload, (MAX_WINDOW - 65_535).to_be_bytes(), "{limit}");
    }
}

#[test]
fn a_call_ends_with_the_deadline_of_the_service_although_its_request_does_not() {
    let target = Target::start(&["deadline=300ms"]);
    let mut peer = Peer::connect(target.address());
    for path in [GET, LIST] {
        // Longer than the limit, so it changes nothing.
        let stream = peer.begin(&[peer::fields(path).as_slice(), &[("grpc-timeout", "1H")]].concat());
        peer.send_frames([Frame::data(stream, b"\0\0\0")]);
        let answer = peer.answer(stream);
        assert_eq!(answer.code(), Some("4"), "{path}: {answer:?}");
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn nothing_is_kept_of_a_reflection_call_after_its_deadline() {
    let target = Target::start(&["deadline=300ms"]);
    for version in ["v1", "v1alpha"] {
        let mut peer = Peer::connect(target.address());
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let stream = peer.begin(&peer::fields(&path));
        let answer = peer.answer(stream);
        assert_eq!(answer.code(), Some("4"), "{answer:?}");
        // Nobody reads the request any more (RFC 9113, section 8.1).
        assert_eq!(peer.answer(stream), Answer::Reset(NO_ERROR), "{version}");
    }
    target.assert_unharmed();
}

#[test]
fn a_list_ends_with_its_deadline_although_it_is_not_read_to_its_end() {
    let target = Target::large(&["deadline=300ms", "unread=10m"]);
    for window in [0, 65_535] {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, window)]);
        let stream = peer.call(LIST, b"");
        // Nothing opens the windows, so the list cannot end otherwise.
        let last = std::iter::from_fn(|| peer.read()).find(|frame| {
            frame.stream == stream && (frame.ends_stream() || frame.kind == frames::RST_STREAM)
        });
        let last = last.expect("the stream ends, not the connection");
        if last.ends_stream() {
            let fields = peer::hpack::decode(&last.payload);
            assert!(fields.contains(&("grpc-status".into(), "4".into())), "{fields:?}");
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_message_at_the_limit_is_taken_and_a_longer_one_is_not() {
    let target = Target::start(&["message=1024"]);
    let mut peer = Peer::connect(target.address());
    // Three bytes for the tag and the length of the id, then the id.
    for (tag, length, code) in [(b"\n\xfd\x07", 1_021, "0"), (b"\n\xfe\x07", 1_022, "8")] {
        let stream = peer.call(GET, &[tag.as_slice(), &vec![b'x'; length]].concat());
        assert_eq!(peer.answer(stream).code(), Some(code), "an id of {length} bytes");
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn the_last_word_arrives_although_the_peer_goes_on_sending() {
    let target = Target::start(&["linger=10s"]);
    let mut peer = Peer::connect(target.address());
    // Against the rules, and a lot more behind it: closed at once, a socket would drop what it has said.
    peer.send_frames([Frame::data(1, "data of a stream that was never opened")]);
    peer.send(&Frame::ping(7).encode().repeat(20_000));
    peer.finish();
    assert!(peer.ended().is_some_and(|code| code != NO_ERROR));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_connection_that_ended_waits_for_its_peer_only_so_long() {
    let target = Target::start(&["linger=300ms"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames([Frame::data(1, "data of a stream that was never opened")]);
    assert!(peer.ended().is_some_and(|code| code != NO_ERROR));
    // The peer keeps its end.
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}
