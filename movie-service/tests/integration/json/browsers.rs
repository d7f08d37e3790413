//! Pages of browsers: `Origin` and `Host`.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::json;
use crate::support::databases::database;
use crate::support::http1::{Response, exchange, rest};
use crate::support::process::{Service, command};

const SITE: &str = "https://films.example";

fn start(arguments: &[&str]) -> Service {
    Service::run(command(&database("movies.json")).args(arguments))
}

/// Requests the catalogue with this `Host` and, if it is not empty, this `Origin`.
async fn request(service: &Service, host: &str, origin: &str) -> Response {
    let origin = if origin.is_empty() { String::new() } else { format!("origin: {origin}\r\n") };
    let request = format!("GET /v1/catalog HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{origin}\r\n");
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    Response::new(&rest(&mut stream).await)
}

#[tokio::test]
async fn a_page_of_the_service_itself_may_call_and_one_of_another_site_may_not() {
    let service = start(&[]);
    let address = service.address.to_string();
    for (host, origin, status) in [
        (address.as_str(), "", "200"),
        (&address, &format!("http://{address}"), "200"),
        ("localhost:3001", "http://localhost:3001", "200"),
        ("[::1]:3001", "http://[::1]:3001", "200"),
        (&address, "http://localhost:3001", "403"),
        (&address, &format!("https://{address}"), "403"),
        (&address, SITE, "403"),
        (&address, "null", "403"),
        // A name that a stranger lets point to the loopback interface.
        ("evil.example:3001", "http://evil.example:3001", "421"),
        ("evil.example", "", "421"),
        ("localhost.evil.example", "", "421"),
        ("", "", "421"),
    ] {
        let response = request(&service, host, origin).await;
        assert_eq!(response.status(), status, "{host} {origin}: {response:?}");
        if status != "200" {
            let message = json(&response)["error"]["message"].as_str().unwrap().to_owned();
            // No option lets a page without an origin call.
            assert_eq!(message.contains("--web-origin"), origin != "null", "{message}");
            assert_eq!(message.contains("Origin: null"), origin == "null", "{message}");
        }
    }
}

#[tokio::test]
async fn a_listed_site_may_call_and_its_host_is_served() {
    let service = start(&["--web-origin", SITE]);
    let response = request(&service, "localhost", SITE).await;
    assert_eq!((response.status(), response.header("access-control-allow-origin")), ("200", Some(SITE)));
    assert!(response.header("access-control-expose-headers").unwrap().contains("etag"));
    assert_eq!(request(&service, "films.example", "").await.status(), "200");
    let head = format!(
        "OPTIONS /v1/movies/7 HTTP/1.1\r\norigin: {SITE}\r\naccess-control-request-method: PATCH\r\n\
         access-control-request-headers: if-match"
    );
    let preflight = exchange(service.address, &head, b"").await;
    assert_eq!(preflight.status(), "200", "{preflight:?}");
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("patch"));
}

#[tokio::test]
async fn any_site_may_read_but_not_write_without_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = std::ffi::OsString::from("sqlite:");
    path.push(dir.path().join("movies.db"));
    let service =
        Service::run(command(path.as_ref()).args(["--allow-anonymous-writes", "--web-origin", "*"]));
    let send = async |origin: &str| {
        let head = format!("POST /v1/movies HTTP/1.1\r\ncontent-type: application/json\r\norigin: {origin}");
        exchange(service.address, &head, br#"{"title": "a"}"#).await
    };
    let read = request(&service, "localhost", SITE).await;
    assert_eq!((read.status(), read.header("access-control-allow-origin")), ("200", Some("*")));
    assert!(json(&read).get("canWrite").is_none(), "{read:?}");
    let written = send(SITE).await;
    assert_eq!(written.status(), "403", "{written:?}");
    assert_eq!(send("null").await.status(), "403");
    assert_eq!(request(&service, "localhost", "null").await.status(), "403");
    assert_eq!(send("http://localhost").await.status(), "201");
}
