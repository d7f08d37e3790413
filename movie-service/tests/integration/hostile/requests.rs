//! Requests that are not gRPC, or not for an RPC of this service.

use crate::support::messages::framed;
use crate::support::peer::frames::Frame;
use crate::support::peer::{self, GET, LIST, Peer, Response};
use crate::support::target::Target;

/// `MovieID { id: "1" }`.
const MESSAGE: &[u8] = b"\n\x011";

/// Makes a call with these header fields, then a valid one on the same connection; returns the first response.
fn response(target: &Target, fields: &[(&str, &str)]) -> Response {
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(fields);
    peer.send_frames([Frame::data(stream, framed(MESSAGE)).ending()]);
    let response = peer.response(stream);
    let stream = peer.call(GET, MESSAGE);
    assert_eq!(peer.response(stream).code(), Some("0"), "after {fields:?}");
    response
}

/// Returns the header fields of a valid call, with one replaced or removed.
fn fields_with<'a>(name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let rest = peer::fields(GET).into_iter().filter(|field| field.0 != name);
    let changed = value.map(|value| (name, value));
    // Pseudo-header fields come first.
    let (front, back) = if name.starts_with(':') { (changed, None) } else { (None, changed) };
    front.into_iter().chain(rest).chain(back).collect()
}

#[test]
fn a_method_other_than_post_gets_405() {
    let target = Target::start(&[]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let response = response(&target, &fields_with(":method", Some(method)));
        assert_eq!(response.field(":status"), Some("405"), "{method}: {response:?}");
    }
    target.assert_unharmed();
}

#[test]
fn an_unknown_path_is_unimplemented() {
    let target = Target::start(&[]);
    let long = format!("/Movie/{}", "x".repeat(4_000));
    for path in ["/", "/Movie", "/Movie/", "/Movie/GetMovieByID/", "/movie/getmoviebyid", "/../Movie", &long]
    {
        let response = response(&target, &fields_with(":path", Some(path)));
        assert_eq!((response.field(":status"), response.code()), (Some("200"), Some("12")), "{path}");
    }
    target.assert_unharmed();
}

#[test]
fn a_content_type_other_than_grpc_gets_415() {
    let target = Target::start(&[]);
    for kind in [None, Some(""), Some("text/plain"), Some("application/json"), Some("application/grpcx")] {
        let response = response(&target, &fields_with("content-type", kind));
        assert_eq!(response.field(":status"), Some("415"), "{kind:?}: {response:?}");
    }
    for kind in ["application/grpc+proto", "application/grpc;charset=utf-8"] {
        let response = response(&target, &fields_with("content-type", Some(kind)));
        assert_eq!(response.code(), Some("0"), "{kind}: {response:?}");
    }
    target.assert_unharmed();
}

#[test]
fn malformed_header_fields_end_at_most_their_call() {
    let target = Target::start(&[]);
    for (name, value) in [
        ("Upper-Case", "1"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("content-length", "1"),
        ("content-length", "99999999999999999999"),
        (":unknown", "1"),
        ("", "1"),
        ("a b", "1"),
        ("a", "1\r\nb: 2"),
    ] {
        let mut peer = Peer::connect(target.address());
        let stream = peer.begin(&[peer::fields(GET).as_slice(), &[(name, value)]].concat());
        peer.send_frames([Frame::data(stream, framed(MESSAGE)).ending()]);
        // Some are valid, some are not; each call ends.
        peer.response(stream);
        drop(peer);
        target.assert_unharmed();
    }
}

#[test]
fn an_invalid_grpc_timeout_is_refused_by_name() {
    let target = Target::start(&[]);
    for timeout in ["", "soon", "1", "S", "-1S", "1.5S", "123456789S", "1s", "10 S", "0x1S", "+1S"] {
        let response = response(&target, &fields_with("grpc-timeout", Some(timeout)));
        assert_eq!(response.code(), Some("13"), "{timeout:?}: {response:?}");
        assert!(response.field("grpc-message").is_some_and(|message| message.contains("grpc-timeout")));
    }
    target.assert_unharmed();
}

#[test]
fn the_longest_grpc_timeouts_are_accepted() {
    let target = Target::start(&[]);
    for timeout in ["99999999H", "99999999M", "99999999S", "99999999n"] {
        let response = response(&target, &fields_with("grpc-timeout", Some(timeout)));
        assert_eq!(response.code(), Some("0"), "{timeout}: {response:?}");
    }
    target.assert_unharmed();
}

#[test]
fn a_call_whose_request_does_not_end_ends_at_the_deadline_of_the_caller() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for timeout in ["0n", "1n", "0S", "50m"] {
            let mut peer = Peer::connect(target.address());
            let stream = peer.begin(&[peer::fields(path).as_slice(), &[("grpc-timeout", timeout)]].concat());
            let response = peer.response(stream);
            assert_eq!(response.code(), Some("4"), "{path}, {timeout}: {response:?}");
        }
    }
    target.assert_unharmed();
}
