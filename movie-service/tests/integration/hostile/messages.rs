//! Malformed, truncated, oversized and compressed messages.

use std::net::SocketAddr;
use std::path::Path;

use movie_proto::MovieId;
use tonic::Code;

use crate::support::messages::{framed, framed_gzip, gzip};
use crate::support::peer::frames::Frame;
use crate::support::peer::{self, GET, LIST, Peer, Response};
use crate::support::process::{Service, command};
use crate::support::target::{Target, block_on, ordinary_call, peak, reset_peak};

const IMPORT: &str = "/movie.catalog.v1.MovieCatalog/ImportMovies";
const LOOKUP: &str = "/movie.catalog.v1.MovieCatalog/LookupMovies";

/// Words that reveal the implementation.
const INTERNALS: [&str; 8] = ["prost", "protobuf message", "tonic", "rust", "::", ".rs", "hyper", "movieid"];

/// Makes a call with further header fields and a request body.
fn response_with(target: &Target, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Response {
    response_from(target.address(), path, extra, body)
}

fn response_from(address: SocketAddr, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Response {
    let mut peer = Peer::connect(address);
    let stream = peer.begin(&[peer::fields(path).as_slice(), extra].concat());
    let mut frames: Vec<_> = body.chunks(16 * 1024).map(|chunk| Frame::data(stream, chunk)).collect();
    frames.push(Frame::data(stream, []).ending());
    peer.send_frames(frames);
    peer.response(stream)
}

fn response(target: &Target, path: &str, body: &[u8]) -> Response {
    response_with(target, path, &[], body)
}

fn assert_refused(response: &Response, code: &str, what: &str) {
    assert_eq!(response.code(), Some(code), "{what}: {response:?}");
    let message = response.field("grpc-message").unwrap_or_default().replace("%20", " ").to_lowercase();
    assert!(!message.is_empty(), "{what}: no message");
    for word in INTERNALS {
        assert!(!message.contains(word), "{what}: {word:?} is revealed: {message}");
    }
}

#[test]
fn malformed_protobuf_is_internal_and_reveals_no_implementation() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for (what, message) in [
            ("a field that is cut off", b"\n\x05ab".as_slice()),
            ("a wire type that does not exist", b"\x0f"),
            ("a field with the number 0", b"\x02\0"),
            ("a length that does not end", b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            ("a group that does not end", b"\x13"),
        ] {
            assert_refused(&response(&target, path, &framed(message)), "13", what);
        }
    }
    assert_refused(&response(&target, GET, &framed(b"\x08\x01")), "13", "a number where text belongs");
    for (what, message) in [
        ("a byte that is never in UTF-8", b"\n\x01\xff".as_slice()),
        ("half a character", b"\n\x01\xc3"),
        ("a surrogate", b"\n\x03\xed\xa0\x80"),
        ("a character in too many bytes", b"\n\x02\xc0\x80"),
    ] {
        assert_refused(&response(&target, GET, &framed(message)), "13", what);
    }
    target.assert_unharmed();
}

#[test]
fn deeply_nested_groups_do_not_exhaust_the_stack() {
    let target = Target::start(&[]);
    // Start tags of field 2, each nested in the one before.
    let groups = framed(&vec![0x13; 60 * 1024]);
    for path in [GET, LIST] {
        assert_refused(&response(&target, path, &groups), "13", "groups in groups");
    }
    target.assert_unharmed();
}

#[test]
fn a_truncated_message_is_internal() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for (what, body) in [
            ("no message", b"".as_slice()),
            ("half a prefix", b"\0\0\0"),
            ("a prefix alone", b"\0\0\0\0\x03"),
            ("less than the prefix says", b"\0\0\0\0\x09\n\x01"),
            ("a flag that does not exist", b"\x02\0\0\0\0"),
        ] {
            assert_refused(&response(&target, path, body), "13", what);
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_prefix_that_claims_gigabytes_is_refused_at_once() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for claim in [256 * 1024 + 1, 4 << 20, u32::MAX] {
            let prefix = [&[0], claim.to_be_bytes().as_slice()].concat();
            let mut peer = Peer::connect(target.address());
            let stream = peer.begin(&peer::fields(path));
            peer.send_frames([Frame::data(stream, prefix)]);
            assert_refused(&peer.response(stream), "8", &format!("{claim} bytes"));
        }
    }
    target.assert_unharmed();
}

/// A peer that sends only the prefix of a message costs no memory for the message.
#[test]
fn messages_that_are_announced_and_never_sent_cost_little() {
    let target = Target::start(&[]);
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::connect(target.address())).collect();
    for peer in &mut peers {
        for _ in 0..100 {
            let stream = peer.begin(&peer::fields(IMPORT));
            peer.send_frames([Frame::data(stream, b"\0\0\x40\0\0x")]);
        }
    }
    target.assert_costs_at_most(100 * 1024);
}

#[test]
fn a_call_with_data_after_its_message_ends() {
    let target = Target::start(&[]);
    let one = framed(b"\n\x011");
    let many = one.repeat(1_000);
    for body in [[&one, b"\0\0".as_slice()].concat(), many, vec![0; 60 * 1024]] {
        let response = response(&target, GET, &body);
        assert!(response.code().is_some(), "{response:?}");
    }
    target.assert_unharmed();
}

#[test]
fn an_id_of_a_mebibyte_is_refused_and_not_echoed() {
    let target = Target::start(&[]);
    let status = block_on(async {
        let mut stub = target.service.stub().await;
        stub.get_movie_by_id(MovieId { id: "x".repeat(1 << 20) }).await.unwrap_err()
    });
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().len() < 1_000 && !status.message().contains("xxx"), "{status}");
    target.assert_unharmed();
}

#[test]
fn the_longest_id_is_accepted() {
    let target = Target::start(&[]);
    let id = "x".repeat(256 * 1024 - 4);
    let movie = block_on(async { target.service.stub().await.get_movie_by_id(MovieId { id }).await });
    assert_eq!(movie.unwrap().into_inner(), movie_proto::MovieData::default());
}

#[test]
fn an_unsupported_encoding_is_unimplemented_and_the_supported_ones_are_named() {
    let target = Target::start(&[]);
    let bomb = framed_gzip(&gzip_bomb(60 * 1024));
    for path in [GET, LIST] {
        for encoding in ["deflate", "zstd", "snappy", "unheard-of"] {
            let response = response_with(&target, path, &[("grpc-encoding", encoding)], &bomb);
            assert_refused(&response, "12", encoding);
            let supported = response.field("grpc-accept-encoding");
            assert!(supported.is_some_and(|names| !names.contains(encoding)), "{encoding}: {response:?}");
        }
        assert_refused(&response(&target, path, &bomb), "13", "compressed, without grpc-encoding");
    }
    target.assert_unharmed();
}

/// Starts a writable service whose allocator returns freed memory at once.
fn writable_service(dir: &Path) -> Service {
    let store = format!("sqlite:{}", dir.join("movies.db").display());
    let mut command = command(Path::new(&store));
    command.arg("--allow-anonymous-writes").env("MIMALLOC_PURGE_DELAY", "0");
    Service::run(&mut command)
}

#[test]
fn a_message_of_millions_of_empty_movies_is_refused_before_it_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let service = writable_service(dir.path());
    // Each takes two bytes, and would take hundreds of bytes decoded.
    let movies = framed_gzip(&gzip(&b"\n\0".repeat(2_000_000)));
    let before = reset_peak(&service);
    let response = response_from(service.address, IMPORT, &[("grpc-encoding", "gzip")], &movies);
    assert_refused(&response, "3", "2,000,000 movies");
    let used = peak(&service) - before;
    assert!(used <= 16 * 1024, "{used} KiB");
    ordinary_call(service.address);
}

#[test]
fn a_gzip_bomb_is_decompressed_only_up_to_the_message_limit() {
    let dir = tempfile::tempdir().unwrap();
    let service = writable_service(dir.path());
    // It decompresses to 9 MiB. Messages are limited to 256 KiB, those of an import to 4 MiB.
    let bomb = framed_gzip(&gzip_bomb(60 * 1024));
    let gzip = [("grpc-encoding", "gzip")];
    // The first call allocates memory that stays in use.
    response_from(service.address, GET, &gzip, &bomb);
    for (path, cost) in [(GET, 4), (LIST, 4), (IMPORT, 8)] {
        let before = reset_peak(&service);
        for _ in 0..10 {
            let response = response_from(service.address, path, &gzip, &bomb);
            assert_refused(&response, "8", path);
        }
        let used = peak(&service) - before;
        assert!(used <= cost * 1024, "{path}: {used} KiB");
    }
    ordinary_call(service.address);
}

#[test]
fn many_messages_that_decompress_to_the_message_limit_do_not_delay_others() {
    let target = Target::start(&[]);
    // Each message decompresses to 256 KiB.
    let zeros = framed_gzip(&gzip(&vec![0; 256 * 1024]));
    let many = zeros.repeat(120 * 1024 / zeros.len());
    let mut peer = Peer::connect(target.address());
    let fields = [peer::fields(LOOKUP).as_slice(), &[("grpc-encoding", "gzip")]].concat();
    let stream = peer.begin(&fields);
    peer.send_frames(many.chunks(16 * 1024).map(|chunk| Frame::data(stream, chunk)));
    target.assert_costs_at_most(4 * 1024);
}

#[test]
fn invalid_gzip_is_internal_and_reveals_no_implementation() {
    let target = Target::start(&[]);
    let gzip = gzip(b"\n\x011");
    for (what, message) in [
        ("nothing", &b""[..]),
        ("something else", b"\n\x011"),
        ("a part of it", &gzip[..gzip.len() - 1]),
        ("another sum than its bytes have", &[&gzip[..gzip.len() - 8], &[0; 8]].concat()),
    ] {
        for path in [GET, LIST] {
            let response = response_with(&target, path, &[("grpc-encoding", "gzip")], &framed_gzip(message));
            assert_refused(&response, "13", what);
        }
    }
    target.assert_unharmed();
}

/// Returns `size` bytes of gzip (RFC 1952, RFC 1951) that decompress to 150 times as many zeros.
fn gzip_bomb(size: usize) -> Vec<u8> {
    let mut bits = vec![];
    // The final block, with fixed Huffman codes: a literal zero, then repeated matches of length 258 and distance 1.
    bits.extend([1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
    let repeat = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    bits.extend(repeat.into_iter().cycle().take((size - 12) * 8 / repeat.len() * repeat.len()));
    let pack = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    let head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff";
    head.iter().copied().chain(bits.chunks(8).map(pack)).collect()
}
