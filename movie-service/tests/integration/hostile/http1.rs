//! Requests over HTTP/1.1 and in JSON.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::target::{Target, allow_many_sockets, peak, reset_peak};

/// Upper bound of the wait for a response or the end of a connection, so that a test does not hang.
const TIMEOUT: Duration = Duration::from_mins(1);

const GET: &str = "GET /v1/catalog HTTP/1.1\r\nHost: localhost\r\n";
const POST: &str = "POST /v1/movies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
const IMPORT: &str =
    "POST /v1/movies:import HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n";

fn connect(target: &Target) -> TcpStream {
    let stream = TcpStream::connect(target.address()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Reads until the service closes the connection, which it must do in time.
fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        // The service may close a connection before it has read all.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}: {}", rest.escape_ascii()),
    }
    String::from_utf8_lossy(&rest).into_owned()
}

/// Sends bytes, and returns all that the service sends until it closes the connection.
fn exchange(target: &Target, bytes: &[u8]) -> String {
    let mut stream = connect(target);
    // The service may answer, and close, before it has read all.
    let _ = stream.write_all(bytes);
    rest(&mut stream)
}

/// Asserts that the service closes a connection on which bytes come one by one.
fn assert_cut_off(target: &Target, start: &str) {
    let mut stream = connect(target);
    stream.write_all(start.as_bytes()).unwrap();
    let ended = (0..500).any(|_| {
        thread::sleep(Duration::from_millis(40));
        stream.write_all(b"1").is_err()
    });
    assert!(ended, "the service waits for all of {start:?}");
}

#[test]
fn slow_heads_and_slow_bodies_are_cut_off() {
    let target = Target::start(&["handshake=1s", "deadline=1s", "idle=1s"]);
    assert_cut_off(&target, "GET /v1/catalog HTTP/1.1\r\nX: ");
    assert_cut_off(&target, &format!("{POST}Content-Length: 100000\r\n\r\n\""));
    assert_cut_off(&target, &format!("{IMPORT}Content-Length: 100000\r\n\r\n\""));
    target.assert_unharmed();
}

/// Returns spaces, compressed with gzip: a file may have many members (RFC 1952, section 2.2), here the same one.
fn gzip_bomb(unpacked_mib: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![b' '; 1024 * 1024]).unwrap();
    encoder.finish().unwrap().repeat(unpacked_mib)
}

#[test]
fn requests_that_two_parsers_could_read_differently_are_refused() {
    let target = Target::start(&["idle=1s"]);
    for head in [
        format!("{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{{}}"),
        format!("{POST}Content-Length: +5\r\n\r\n{{}}"),
        format!("{POST}Content-Length: 5, 5x\r\n\r\n{{}}"),
        format!("{POST}Transfer-Encoding: chunked, identity\r\n\r\n{{}}"),
        format!("{POST}Transfer-Encoding: xchunked\r\n\r\n{{}}"),
        format!("{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        format!("{GET} folded: x\r\n\r\n"),
        "GET /v1/catalog HTTP/1.1 \r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /v1/cat\0alog HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET  /v1/catalog HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("{GET}X: a\0b\r\n\r\n"),
        format!("{GET}Host: localhost\r\n\r\n"),
        "GET /v1/catalog HTTP/1.1\r\n\r\n".to_owned(),
    ] {
        let response = exchange(&target, head.as_bytes());
        assert!(response.starts_with("HTTP/1.1 400 "), "{head:?}: {response}");
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{head:?}: {response}");
    }
    // The coding that is not known is not undone, so that the body is not JSON.
    let head = format!("{POST}Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n40\r\n");
    let coded = [head.as_bytes(), &gzip_bomb(1)[..64], b"\r\n0\r\n\r\n"].concat();
    let response = exchange(&target, &coded);
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    // A line may end without a carriage return (RFC 9112, section 2.2), but a carriage return alone ends none.
    let response = exchange(&target, b"GET /v1/catalog HTTP/1.1\nHost: localhost\nConnection: close\n\n");
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.matches("HTTP/1.1 ").count() == 1,
        "{response}"
    );
    let response = exchange(&target, format!("{GET}X: a\rGET /healthz HTTP/1.1\r\n\r\n").as_bytes());
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    // With both, the length is ignored (RFC 9112, section 6.3), and the connection closed: what follows is no request.
    let both = format!(
        "{POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    );
    let response = exchange(&target, both.as_bytes());
    assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    target.assert_unharmed();
}

#[test]
fn chunks_that_are_invalid_or_endless_are_refused() {
    let target = Target::start(&["deadline=2s", "idle=2s"]);
    for chunks in [
        "x\r\n".to_owned(),
        "ffffffffffffffffff\r\n{}".to_owned(),
        "-1\r\n".to_owned(),
        "2\r\n{}0\r\n\r\n".to_owned(),
        "2\n{}\r\n0\r\n\r\n".to_owned(),
        "2;a=b\n{}\r\n0\r\n\r\n".to_owned(),
        "2\r\n{}\n0\r\n\r\n".to_owned(),
        format!("1;{}\r\n", "x".repeat(100_000)),
        format!("0\r\n{}\r\n", "x: y\r\n".repeat(20_000)),
    ] {
        let response = exchange(
            &target,
            format!("{POST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes(),
        );
        assert!(response.starts_with("HTTP/1.1 4"), "{chunks:.30?}: {response}");
    }
    // One byte a chunk of a line that is as long as it may be: each byte is read once.
    let mut stream = connect(&target);
    stream.write_all(format!("{IMPORT}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let _ = stream.write_all("1\r\n1\r\n".repeat(1_000_000).as_bytes());
    drop(stream);
    // Small chunks without an end, in all more than a body may have.
    let mut stream = connect(&target);
    stream.write_all(format!("{POST}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let ended = (0..100_000).any(|_| stream.write_all(chunk.as_bytes()).is_err());
    assert!(ended, "a body without an end is read");
    target.assert_unharmed();
}

#[test]
fn heads_of_64_kib_are_refused() {
    let target = Target::start(&["idle=1s"]);
    for head in [
        format!("{GET}X: {}\r\n\r\n", "a".repeat(64 * 1024)),
        format!("{GET}{}\r\n", "a: b\r\n".repeat(11 * 1024)),
        format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(64 * 1024)),
    ] {
        let response = exchange(&target, head.as_bytes());
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }
    target.assert_unharmed();
}

#[test]
fn errors_of_the_syntax_of_http_close_the_connection() {
    let target = Target::start(&["idle=10m"]);
    for (head, status) in [
        ("GET /v1/ca\u{1}talog HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        (format!("{GET}a b: c\r\n\r\n"), "400"),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(17 * 1024)), "431"),
        (format!("{GET}{}\r\n", "a: b\r\n".repeat(101)), "431"),
    ] {
        let response = exchange(&target, head.as_bytes());
        let (status_and_headers, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(status_and_headers.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(status_and_headers.contains("\r\nconnection: close\r\ncontent-length: 0\r\n"), "{response}");
        assert_eq!(body, "");
    }
    target.assert_unharmed();
}

#[test]
fn unusual_requests_have_a_response() {
    let target = Target::start(&["idle=1s"]);
    for (request, status) in [
        ("patch /v1/movies/7 HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"),
        ("\r\nGET /v1/catalog HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"),
        ("\nGET /v1/catalog HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"),
    ] {
        let response = exchange(&target, request.as_bytes());
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {response}");
    }
    target.assert_unharmed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let target = Target::start(&["idle=1s"]);
    let path = |number: usize| format!("GET /v1/movies/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let requests: String = (0..2_000).map(path).collect();
    let response = exchange(&target, requests.as_bytes());
    let mut position = 0;
    for number in 0..2_000 {
        let name = format!("\"resourceName\":\"{number}\"");
        position +=
            response[position..].find(&name).unwrap_or_else(|| panic!("{number} is not answered in order"));
    }
    target.assert_unharmed();
}

#[test]
fn a_bomb_of_gzip_and_paths_with_tricks_are_refused() {
    let target = Target::start(&["idle=1s"]);
    let bomb = gzip_bomb(1024);
    let before = reset_peak(&target.service);
    for (encoding, status) in [("gzip", "415"), ("identity", "400")] {
        let head = format!(
            "{POST}Connection: close\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        let response = exchange(&target, &[head.as_bytes(), &bomb].concat());
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    let grown = peak(&target.service) - before;
    assert!(grown < 16 * 1024, "the bomb costs {grown} KiB");
    for path in [
        "/v1/movies/%00",
        "/v1/movies/%2e%2e%2fadmin",
        "/v1/movies/..%2F..%2Fetc%2Fpasswd",
        "/v1/movies/..%5c..%5cx",
        "/v1/movies/%252e%252e",
        "/v1/movies/%ff",
        "/v1/movies/%c0%ae%c0%ae",
        "http://localhost/../v1/catalog",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let response = exchange(&target, head.as_bytes());
        assert!(
            response.starts_with("HTTP/1.1 404 ") || response.starts_with("HTTP/1.1 400 "),
            "{path}: {response}"
        );
    }
    target.assert_unharmed();
}

#[test]
fn a_thousand_idle_connections_cost_little_and_are_closed() {
    allow_many_sockets();
    let target =
        Target::start(&["idle=3s", "handshake=3s", "connections=2000", "connections_per_address=2000"]);
    let mut peers: Vec<TcpStream> = (0..1_000)
        .map(|_| {
            let mut stream = connect(&target);
            stream.write_all(format!("{GET}\r\n").as_bytes()).unwrap();
            stream
        })
        .collect();
    target.assert_costs_at_most(1_000 * 40);
    for peer in &mut peers {
        assert!(rest(peer).starts_with("HTTP/1.1 200 "));
    }
    drop(peers);
    target.assert_unharmed();
}

#[test]
fn readers_that_do_not_read_cost_little_and_are_disconnected() {
    let target = Target::large(&["unread=3s", "idle=10m", "connections_per_address=1000"]);
    let streams = [
        ("/v1/course/movies", "application/json"),
        ("/v1/course/movies", "application/x-ndjson"),
        ("/v1/movies:watch?fullCopy=true", "application/x-ndjson"),
        ("/v1/movies:watch?fullCopy=true", "text/event-stream"),
    ];
    let peers: Vec<TcpStream> = (0..12)
        .map(|number| {
            let mut stream = connect(&target);
            let (path, accept) = streams[number % streams.len()];
            let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    target.assert_costs_at_most(12 * 400);
    target.assert_disconnects_all();
    drop(peers);
    target.assert_unharmed();
}
