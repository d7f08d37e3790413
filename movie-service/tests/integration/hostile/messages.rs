//! Messages that are none, or not what they say.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzEncoder;
use movie_proto::MovieId;
use tonic::Code;

use super::{Target, block_on, forget_peak, ordinary_call, peak};
use crate::peer::frames::Frame;
use crate::peer::{self, Answer, GET, LIST, Peer};
use crate::process::{Service, command};
use crate::raw::framed;

const IMPORT: &str = "/movie.catalog.v1.MovieCatalog/ImportMovies";
const LOOKUP: &str = "/movie.catalog.v1.MovieCatalog/LookupMovies";

/// Words that tell how the service is made.
const INTERNALS: [&str; 8] = ["prost", "protobuf message", "tonic", "rust", "::", ".rs", "hyper", "movieid"];

/// Sends a request body after such fields; returns the answer.
fn answer_with(target: &Target, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Answer {
    answer_from(target.address(), path, extra, body)
}

fn answer_from(address: SocketAddr, path: &str, extra: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut peer = Peer::connect(address);
    let stream = peer.begin(&[peer::fields(path).as_slice(), extra].concat());
    let mut frames: Vec<_> = body.chunks(16 * 1024).map(|chunk| Frame::data(stream, chunk)).collect();
    frames.push(Frame::data(stream, []).ending());
    peer.send_frames(frames);
    peer.answer(stream)
}

fn answer(target: &Target, path: &str, body: &[u8]) -> Answer {
    answer_with(target, path, &[], body)
}

fn assert_refused(answer: &Answer, code: &str, what: &str) {
    assert_eq!(answer.code(), Some(code), "{what}: {answer:?}");
    let message = answer.field("grpc-message").unwrap_or_default().replace("%20", " ").to_lowercase();
    assert!(!message.is_empty(), "{what}: no word of why");
    for word in INTERNALS {
        assert!(!message.contains(word), "{what}: {word:?} is told: {message}");
    }
}

#[test]
fn bad_protobuf_is_internal_and_tells_no_internals() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for (what, message) in [
            ("a field that is cut off", b"\n\x05ab".as_slice()),
            ("a wire type that does not exist", b"\x0f"),
            ("a field with the number 0", b"\x02\0"),
            ("a length that does not end", b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            ("a group that does not end", b"\x13"),
        ] {
            assert_refused(&answer(&target, path, &framed(message)), "13", what);
        }
    }
    assert_refused(&answer(&target, GET, &framed(b"\x08\x01")), "13", "a number where text belongs");
    for (what, message) in [
        ("a byte that is never in UTF-8", b"\n\x01\xff".as_slice()),
        ("half a character", b"\n\x01\xc3"),
        ("a surrogate", b"\n\x03\xed\xa0\x80"),
        ("a character in too many bytes", b"\n\x02\xc0\x80"),
    ] {
        assert_refused(&answer(&target, GET, &framed(message)), "13", what);
    }
    target.assert_unharmed();
}

#[test]
fn groups_in_groups_exhaust_no_stack() {
    let target = Target::start(&[]);
    // Of field 2, each inside the one before.
    let groups = framed(&vec![0x13; 60 * 1024]);
    for path in [GET, LIST] {
        assert_refused(&answer(&target, path, &groups), "13", "groups in groups");
    }
    target.assert_unharmed();
}

#[test]
fn a_message_that_is_cut_off_is_internal() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for (what, body) in [
            ("no message", b"".as_slice()),
            ("half a prefix", b"\0\0\0"),
            ("a prefix alone", b"\0\0\0\0\x03"),
            ("less than the prefix says", b"\0\0\0\0\x09\n\x01"),
            ("a flag that does not exist", b"\x02\0\0\0\0"),
        ] {
            assert_refused(&answer(&target, path, body), "13", what);
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_prefix_that_claims_gigabytes_is_refused_before_they_come() {
    let target = Target::start(&[]);
    for path in [GET, LIST] {
        for claim in [64 * 1024 + 1, 4 << 20, u32::MAX] {
            let prefix = [&[0], claim.to_be_bytes().as_slice()].concat();
            let mut peer = Peer::connect(target.address());
            let stream = peer.begin(&peer::fields(path));
            peer.send_frames([Frame::data(stream, prefix)]);
            assert_refused(&peer.answer(stream), "8", &format!("{claim} bytes"));
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_call_with_more_than_its_message_is_refused_or_answered_and_ends() {
    let target = Target::start(&[]);
    let one = framed(b"\n\x011");
    let many = one.repeat(1_000);
    for body in [[&one, b"\0\0".as_slice()].concat(), many, vec![0; 60 * 1024]] {
        let answer = answer(&target, GET, &body);
        assert!(answer.code().is_some(), "{answer:?}");
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
fn the_longest_id_that_is_taken_is_answered() {
    let target = Target::start(&[]);
    let id = "x".repeat(64 * 1024 - 4);
    let movie = block_on(async { target.service.stub().await.get_movie_by_id(MovieId { id }).await });
    assert_eq!(movie.unwrap().into_inner(), movie_proto::MovieData::default());
}

#[test]
fn a_request_that_is_compressed_in_another_way_is_unimplemented_and_told_what_is_taken() {
    let target = Target::start(&[]);
    let bomb = compressed(&gzip_bomb(60 * 1024));
    for path in [GET, LIST] {
        for encoding in ["deflate", "zstd", "snappy", "unheard-of"] {
            let answer = answer_with(&target, path, &[("grpc-encoding", encoding)], &bomb);
            assert_refused(&answer, "12", encoding);
            let taken = answer.field("grpc-accept-encoding");
            assert!(taken.is_some_and(|taken| !taken.contains(encoding)), "{encoding}: {answer:?}");
        }
        assert_refused(&answer(&target, path, &bomb), "13", "compressed without a word of how");
    }
    target.assert_unharmed();
}

/// Starts a service whose store takes writes, and whose memory shows what its calls use.
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
    // Two bytes each; decoded they would take 400 bytes each.
    let movies = compressed(&gzip_of(&b"\n\0".repeat(2_000_000)));
    let before = forget_peak(&service);
    let answer = answer_from(service.address, IMPORT, &[("grpc-encoding", "gzip")], &movies);
    assert_refused(&answer, "3", "2,000,000 movies");
    let used = peak(&service) - before;
    assert!(used <= 16 * 1024, "{used} KiB");
    ordinary_call(service.address);
}

#[test]
fn a_gzip_bomb_is_refused_and_unpacked_no_further_than_a_message_may_be_long() {
    let dir = tempfile::tempdir().unwrap();
    let service = writable_service(dir.path());
    // It would unpack to 9 MiB. Messages may have 64 KiB, those of an import 4 MiB.
    let bomb = compressed(&gzip_bomb(60 * 1024));
    let gzip = [("grpc-encoding", "gzip")];
    // What the first call sets up stays.
    answer_from(service.address, GET, &gzip, &bomb);
    for (path, cost) in [(GET, 4), (LIST, 4), (IMPORT, 8)] {
        let before = forget_peak(&service);
        for _ in 0..10 {
            let answer = answer_from(service.address, path, &gzip, &bomb);
            assert_refused(&answer, "8", path);
        }
        let used = peak(&service) - before;
        assert!(used <= cost * 1024, "{path}: {used} KiB");
    }
    ordinary_call(service.address);
}

#[test]
fn many_messages_that_unpack_to_all_that_is_allowed_keep_nobody_waiting() {
    let target = Target::start(&[]);
    // 64 KiB each.
    let zeros = compressed(&gzip_of(&vec![0; 64 * 1024]));
    let many = zeros.repeat(120 * 1024 / zeros.len());
    let mut peer = Peer::connect(target.address());
    let fields = [peer::fields(LOOKUP).as_slice(), &[("grpc-encoding", "gzip")]].concat();
    let stream = peer.begin(&fields);
    peer.send_frames(many.chunks(16 * 1024).map(|chunk| Frame::data(stream, chunk)));
    target.assert_costs_at_most(4 * 1024);
}

#[test]
fn what_is_no_gzip_is_internal_and_tells_no_internals() {
    let target = Target::start(&[]);
    let gzip = gzip_of(b"\n\x011");
    for (what, message) in [
        ("nothing", &b""[..]),
        ("something else", b"\n\x011"),
        ("a part of it", &gzip[..gzip.len() - 1]),
        ("another sum than its bytes have", &[&gzip[..gzip.len() - 8], &[0; 8]].concat()),
    ] {
        for path in [GET, LIST] {
            let answer = answer_with(&target, path, &[("grpc-encoding", "gzip")], &compressed(message));
            assert_refused(&answer, "13", what);
        }
    }
    target.assert_unharmed();
}

/// Returns a message with its prefix, flagged as compressed.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut framed = framed(message);
    framed[0] = 1;
    framed
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Vec::new();
    GzEncoder::new(bytes, Compression::best()).read_to_end(&mut gzip).unwrap();
    gzip
}

/// Returns `size` bytes of gzip (RFC 1952, RFC 1951) that unpack to 150 times as many zeros.
fn gzip_bomb(size: usize) -> Vec<u8> {
    let mut bits = vec![];
    // The last block, of fixed codes; a zero; then "258 bytes, from one byte back" again and again.
    bits.extend([1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]);
    let repeat = [1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0];
    bits.extend(repeat.into_iter().cycle().take((size - 12) * 8 / repeat.len() * repeat.len()));
    let pack = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    let head = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff";
    head.iter().copied().chain(bits.chunks(8).map(pack)).collect()
}
