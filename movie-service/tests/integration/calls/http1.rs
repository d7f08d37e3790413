//! Callers that speak HTTP/1.1.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::databases::database;
use crate::support::http1::{exchange, rest};
use crate::support::process::{Service, command};

fn with_web() -> Service {
    Service::run(command(&database("movies.json")).args(["--web-origin", "*"]))
}

#[tokio::test]
async fn with_json_off_a_browser_is_told_that_this_is_a_grpc_service() {
    let service = Service::run(command(&database("movies.json")).args(["--http", "off"]));
    for (head, body) in [
        ("GET / HTTP/1.1", &b""[..]),
        ("POST /Movie/GetMovieByID HTTP/1.1", &[0; 1024]),
        ("GET / HTTP/1.0", b""),
    ] {
        let response = exchange(service.address, head, body).await;
        assert_eq!(response.status(), "505", "{head}: {response:?}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        for word in ["gRPC", "HTTP/2", "--http on"] {
            assert!(response.text().contains(word), "{word} is missing: {response:?}");
        }
        assert_eq!(response.text().lines().count(), 1);
    }
}

#[tokio::test]
async fn calls_in_grpc_over_http_1_1_are_refused_with_a_reason() {
    let service = Service::start("movies.json");
    let head = "POST /Movie/GetMovieByID HTTP/1.1\r\ncontent-type: application/grpc";
    let response = exchange(service.address, head, b"").await;
    assert_eq!(response.status(), "505", "{response:?}");
    assert!(response.text().contains("gRPC-Web"), "{response:?}");
}

#[tokio::test]
async fn a_request_head_that_never_ends_is_cut_off() {
    for web in [&[][..], &["--http", "off"]] {
        let mut command = command(&database("movies.json"));
        let service = Service::run(command.args(web).env("MOVIE_LIMITS", "handshake=300ms,idle=300ms"));
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        stream.write_all(b"POST /Movie/GetMovieByID HTTP/1.1\r\nhost: loc").await.unwrap();
        let rest = rest(&mut stream).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", rest.escape_ascii());
    }
}

#[tokio::test]
async fn an_idle_keep_alive_connection_does_not_delay_shutdown() {
    let mut service = with_web();
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let request = "OPTIONS / HTTP/1.1\r\nhost: localhost\r\norigin: http://a\r\naccess-control-request-method: POST\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    service.signal("TERM");
    rest(&mut stream).await;
    assert!(service.wait().await.success());
}
