//! Requests that are not those of gRPC, or not of this service.

use super::Target;
use crate::peer::frames::Frame;
use crate::peer::{self, Answer, GET, LIST, Peer};
use crate::raw::framed;

/// `MovieID { id: "1" }`.
const MESSAGE: &[u8] = b"\n\x011";

/// Makes a call of these fields, then a good one on the same connection; returns the answer of the first.
fn answer(target: &Target, fields: &[(&str, &str)]) -> Answer {
    let mut peer = Peer::connect(target.address());
    let stream = peer.begin(fields);
    peer.send_frames([Frame::data(stream, framed(MESSAGE)).ending()]);
    let answer = peer.answer(stream);
    let stream = peer.call(GET, MESSAGE);
    assert_eq!(peer.answer(stream).code(), Some("0"), "after {fields:?}");
    answer
}

/// Returns the fields of a good call, but for one.
fn fields_with<'a>(name: &'a str, value: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let rest = peer::fields(GET).into_iter().filter(|field| field.0 != name);
    let changed = value.map(|value| (name, value));
    // Those with a colon have to be in front.
    let (front, back) = if name.starts_with(':') { (changed, None) } else { (None, changed) };
    front.into_iter().chain(rest).chain(back).collect()
}

#[test]
fn a_method_other_than_post_gets_405() {
    let target = Target::start(&[]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = answer(&target, &fields_with(":method", Some(method)));
        assert_eq!(answer.field(":status"), Some("405"), "{method}: {answer:?}");
    }
    target.assert_unharmed();
}

#[test]
fn an_unknown_path_is_unimplemented() {
    let target = Target::start(&[]);
    let long = format!("/Movie/{}", "x".repeat(4_000));
    for path in ["/", "/Movie", "/Movie/", "/Movie/GetMovieByID/", "/movie/getmoviebyid", "/../Movie", &long]
    {
        let answer = answer(&target, &fields_with(":path", Some(path)));
        assert_eq!((answer.field(":status"), answer.code()), (Some("200"), Some("12")), "{path}");
    }
    target.assert_unharmed();
}

#[test]
fn a_content_type_other_than_grpc_gets_415() {
    let target = Target::start(&[]);
    for kind in [None, Some(""), Some("text/plain"), Some("application/json"), Some("application/grpcx")] {
        let answer = answer(&target, &fields_with("content-type", kind));
        assert_eq!(answer.field(":status"), Some("415"), "{kind:?}: {answer:?}");
    }
    for kind in ["application/grpc+proto", "application/grpc;charset=utf-8"] {
        let answer = answer(&target, &fields_with("content-type", Some(kind)));
        assert_eq!(answer.code(), Some("0"), "{kind}: {answer:?}");
    }
    target.assert_unharmed();
}

#[test]
fn malformed_fields_cost_at_most_their_call() {
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
        // Some are against the rules, some are not; all have an end.
        peer.answer(stream);
        drop(peer);
        target.assert_unharmed();
    }
}

#[test]
fn a_grpc_timeout_that_is_none_is_refused_and_named() {
    let target = Target::start(&[]);
    for timeout in ["", "soon", "1", "S", "-1S", "1.5S", "123456789S", "1s", "10 S", "0x1S", "+1S"] {
        let answer = answer(&target, &fields_with("grpc-timeout", Some(timeout)));
        assert_eq!(answer.code(), Some("13"), "{timeout:?}: {answer:?}");
        assert!(answer.field("grpc-message").is_some_and(|message| message.contains("grpc-timeout")));
    }
    target.assert_unharmed();
}

#[test]
fn the_longest_grpc_timeouts_overflow_nothing() {
    let target = Target::start(&[]);
    for timeout in ["99999999H", "99999999M", "99999999S", "99999999n"] {
        let answer = answer(&target, &fields_with("grpc-timeout", Some(timeout)));
        assert_eq!(answer.code(), Some("0"), "{timeout}: {answer:?}");
    }
    target.assert_unharmed();
}

#[test]
fn a_call_whose_time_is_up_ends_although_its_request_does_not() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for timeout in ["0n", "1n", "0S", "50m"] {
            let mut peer = Peer::connect(target.address());
            let stream = peer.begin(&[peer::fields(path).as_slice(), &[("grpc-timeout", timeout)]].concat());
            let answer = peer.answer(stream);
            assert_eq!(answer.code(), Some("4"), "{path}, {timeout}: {answer:?}");
        }
    }
    target.assert_unharmed();
}
