//! The limits on calls, lists, deadlines, windows and lingering connections.

use std::thread;
use std::time::Duration;

use crate::support::databases::database;
use crate::support::messages::framed;
use crate::support::peer::frames::{self, CANCEL, Frame, INITIAL_WINDOW_SIZE, MAX_WINDOW, NO_ERROR};
use crate::support::peer::{self, CHECK, GET, LIST, Peer, Response};
use crate::support::process::command;
use crate::support::target::{OTHER_ADDRESS, Target, ordinary_call};

/// Asserts that a call is refused with `RESOURCE_EXHAUSTED` and a retry delay.
fn assert_shed(response: &Response) {
    assert_eq!(response.code(), Some("8"), "{response:?}");
    // It contains a `google.rpc.RetryInfo`.
    assert!(response.field("grpc-status-details-bin").is_some(), "{response:?}");
}

#[test]
fn calls_beyond_the_limit_are_shed_with_a_retry_delay() {
    let target = Target::start(&["calls=10", "calls_per_address=10"]);
    let [mut busy, mut other] = [(); 2].map(|()| Peer::connect(target.address()));
    let open: Vec<u32> = (0..10).map(|_| busy.begin(&peer::fields(GET))).collect();
    let beyond = busy.call(GET, b"");
    assert_shed(&busy.response(beyond));
    // This connection is on the other worker, which can always use its share.
    let fair = other.call(GET, b"");
    assert_eq!(other.response(fair).code(), Some("0"));
    for stream in open {
        busy.send_frames([Frame::data(stream, framed(b"")).ending()]);
        assert_eq!(busy.response(stream).code(), Some("0"));
    }
    let next = other.call(GET, b"");
    assert_eq!(other.response(next).code(), Some("0"));
    drop((busy, other));
    target.assert_unharmed();
}

#[test]
fn calls_are_in_flight_until_their_responses_are_read() {
    let mut command = command(&database("movies.json"));
    let target = Target::run(command.args(["--web-origin", "*"]), &["calls=10", "calls_per_address=10"]);
    for (path, content_type) in [
        (GET, "application/grpc"),
        (LIST, "application/grpc"),
        (CHECK, "application/grpc"),
        (GET, "application/grpc-web+proto"),
    ] {
        // The window lets one byte of each response through.
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
        assert_shed(&peer.response(beyond));
        peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)])]);
        for stream in open {
            assert!(matches!(peer.response(stream), Response::Complete { .. }), "{path} {content_type}");
        }
        let next = peer.call(GET, b"");
        assert_eq!(peer.response(next).code(), Some("0"), "{path} {content_type}");
    }
    target.assert_unharmed();
}

#[test]
fn a_response_that_is_read_byte_by_byte_does_not_outlast_its_deadline() {
    let target = Target::start(&["deadline=300ms", "unread=1s", "idle=10m"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 1)]);
    let stream = peer.call(GET, b"\n\x24267eedb8-0f5d-42d5-8f43-72426b9fb3e6");
    while let Some(frame) = peer.read() {
        assert!(!frame.ends_stream(), "the response is complete");
        if frame.kind == frames::DATA {
            thread::sleep(Duration::from_millis(200));
            peer.send_frames([Frame::window_update(stream, 1)]);
        }
    }
    target.assert_unharmed();
}

/// Asserts that a list is accepted once the service has noticed that another was cancelled.
fn assert_accepts_list_again(peer: &mut Peer) {
    let responses = std::iter::repeat_with(|| {
        let next = peer.call(LIST, b"");
        peer.response(next)
    });
    let response = responses.take(1_000).find(|response| response.code() != Some("8"));
    assert_eq!(response.as_ref().and_then(Response::code), Some("0"));
}

#[test]
fn lists_beyond_the_limit_are_shed_and_other_calls_are_not() {
    let target = Target::large(&["lists=5", "lists_per_address=5"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    let open: Vec<u32> = (0..5).map(|_| peer.call(LIST, b"")).collect();
    let beyond = peer.call(LIST, b"");
    assert_shed(&peer.response(beyond));
    ordinary_call(target.address());
    // A cancelled list no longer counts.
    peer.send_frames([Frame::reset(open[0], 8)]);
    peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), Frame::window_update(0, 1 << 30)]);
    assert_accepts_list_again(&mut peer);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn one_address_gets_at_most_half_of_the_lists() {
    let target = Target::large(&["lists=4"]);
    let closed = [(INITIAL_WINDOW_SIZE, 0)];
    // Each on its own connection: the limit counts addresses, not connections.
    let stalled: Vec<Peer> = (0..2)
        .map(|_| {
            let mut peer = Peer::connect_with(target.address(), &closed);
            peer.call(LIST, b"");
            peer.wait_until_processed();
            peer
        })
        .collect();
    let mut greedy = Peer::connect(target.address());
    let beyond = greedy.call(LIST, b"");
    assert_shed(&greedy.response(beyond));
    let mut other = Peer::connect_from(OTHER_ADDRESS, target.address());
    let list = other.call(LIST, b"");
    assert_eq!(other.response(list).code(), Some("0"));
    drop((stalled, greedy, other));
    target.assert_unharmed();
}

#[test]
fn one_address_gets_at_most_half_of_the_calls() {
    let target = Target::start(&["calls=20"]);
    let mut greedy = Peer::connect(target.address());
    for _ in 0..10 {
        greedy.begin(&peer::fields(GET));
    }
    let beyond = greedy.call(GET, b"");
    assert_shed(&greedy.response(beyond));
    // One connection on each worker.
    for _ in 0..2 {
        let mut other = Peer::connect_from(OTHER_ADDRESS, target.address());
        let open: Vec<u32> = (0..9).map(|_| other.begin(&peer::fields(GET))).collect();
        for stream in open {
            other.send_frames([Frame::data(stream, framed(b"")).ending()]);
            assert_eq!(other.response(stream).code(), Some("0"));
        }
    }
    drop(greedy);
    target.assert_unharmed();
}

#[test]
fn one_address_can_be_allowed_all_lists_and_calls() {
    let target = Target::large(&["lists=4", "lists_per_address=4", "calls=4", "calls_per_address=4"]);
    let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, 0)]);
    for _ in 0..4 {
        peer.call(LIST, b"");
    }
    let beyond = peer.call(LIST, b"");
    assert_shed(&peer.response(beyond));
    // All lists wait for their windows, so none was refused.
    peer.send_frames([Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), Frame::window_update(0, 1 << 30)]);
    for number in 0..4 {
        assert_eq!(peer.response(1 + 2 * number).code(), Some("0"));
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_watch_that_its_peer_resets_no_longer_counts_although_nothing_changes() {
    let target = Target::start(&["lists=1"]);
    let mut peer = Peer::connect(target.address());
    let watch = peer.call("/movie.catalog.v1.MovieCatalog/WatchMovies", b"");
    // The first message says where the watch begins; then it waits for changes.
    while peer.read_and_respond().is_some_and(|frame| frame.kind != frames::DATA) {}
    peer.send_frames([Frame::reset(watch, CANCEL)]);
    assert_accepts_list_again(&mut peer);
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn requests_that_are_not_read_use_up_no_window() {
    let target = Target::start(&[]);
    let mut peer = Peer::connect(target.address());
    let mut fields = peer::fields(GET);
    fields.last_mut().unwrap().1 = "text/plain";
    // At most the initial window at a time, and six times the window of the connection in total.
    for _ in 0..64 {
        let stream = peer.begin(&fields);
        peer.send_frames([(); 3].map(|()| Frame::data(stream, [0; 16 * 1024])));
        let response = peer.response(stream);
        assert_eq!(response.field(":status"), Some("415"), "{response:?}");
    }
    let next = peer.call(GET, b"");
    assert_eq!(peer.response(next).code(), Some("0"));
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
fn a_call_whose_request_does_not_end_ends_at_the_deadline_of_the_service() {
    let target = Target::start(&["deadline=300ms"]);
    let mut peer = Peer::connect(target.address());
    for path in [GET, LIST] {
        // Longer than the limit, so it has no effect.
        let stream = peer.begin(&[peer::fields(path).as_slice(), &[("grpc-timeout", "1H")]].concat());
        peer.send_frames([Frame::data(stream, b"\0\0\0")]);
        let response = peer.response(stream);
        assert_eq!(response.code(), Some("4"), "{path}: {response:?}");
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_reflection_call_is_reset_after_its_deadline() {
    let target = Target::start(&["deadline=300ms"]);
    for version in ["v1", "v1alpha"] {
        let mut peer = Peer::connect(target.address());
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let stream = peer.begin(&peer::fields(&path));
        let response = peer.response(stream);
        assert_eq!(response.code(), Some("4"), "{response:?}");
        // The request is not read any more (RFC 9113, section 8.1).
        assert_eq!(peer.response(stream), Response::Reset(NO_ERROR), "{version}");
    }
    target.assert_unharmed();
}

#[test]
fn a_list_that_is_not_read_ends_at_its_deadline() {
    let target = Target::large(&["deadline=300ms", "unread=10m"]);
    for window in [0, 65_535] {
        let mut peer = Peer::connect_with(target.address(), &[(INITIAL_WINDOW_SIZE, window)]);
        let stream = peer.call(LIST, b"");
        // The windows stay closed, so the list cannot be completed.
        let last = std::iter::from_fn(|| peer.read()).find(|frame| {
            frame.stream == stream && (frame.ends_stream() || frame.kind == frames::RST_STREAM)
        });
        let last = last.expect("the connection is closed, not only the stream");
        if last.ends_stream() {
            let fields = peer::hpack::decode(&last.payload);
            assert!(fields.contains(&("grpc-status".into(), "4".into())), "{fields:?}");
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_message_at_the_limit_is_accepted_and_a_longer_one_is_not() {
    let target = Target::start(&["message=1024"]);
    let mut peer = Peer::connect(target.address());
    // Three bytes for the tag and the length of the id, then the id.
    for (tag, length, code) in [(b"\n\xfd\x07", 1_021, "0"), (b"\n\xfe\x07", 1_022, "8")] {
        let stream = peer.call(GET, &[tag.as_slice(), &vec![b'x'; length]].concat());
        assert_eq!(peer.response(stream).code(), Some(code), "an id of {length} bytes");
    }
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn goaway_arrives_although_the_peer_continues_to_send() {
    let target = Target::start(&["linger=10s"]);
    let mut peer = Peer::connect(target.address());
    // An error, and much data behind it: a socket that is closed with unread data discards the GOAWAY.
    peer.send_frames([Frame::data(1, "data of a stream that was never opened")]);
    peer.send(&Frame::ping(7).encode().repeat(20_000));
    peer.shut_down_writing();
    assert!(peer.read_until_closed().is_some_and(|code| code != NO_ERROR));
    drop(peer);
    target.assert_unharmed();
}

#[test]
fn a_closed_connection_lingers_only_as_long_as_the_limit() {
    let target = Target::start(&["linger=300ms"]);
    let mut peer = Peer::connect(target.address());
    peer.send_frames([Frame::data(1, "data of a stream that was never opened")]);
    assert!(peer.read_until_closed().is_some_and(|code| code != NO_ERROR));
    // The peer keeps its socket open.
    target.assert_disconnects_all();
    drop(peer);
    target.assert_unharmed();
}
