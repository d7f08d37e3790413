//! The list of the course as an array, and watches as lines and events.

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{get, json, send, writable};
use crate::support::http1::exchange;
use crate::support::process::Service;

/// A response that is read line by line while it goes on.
struct Lines(BufReader<TcpStream>);

impl Lines {
    /// Sends a request, and reads the head of its response.
    async fn open(service: &Service, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(service.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = Self(BufReader::new(stream));
        assert_eq!(lines.line().await, "HTTP/1.1 200 OK");
        while !lines.line().await.is_empty() {}
        lines
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(std::time::Duration::from_secs(30), self.0.read_line(&mut line));
        read.await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    /// Returns the next line that begins with `start`, without it; passes over the sizes of chunks.
    async fn next(&mut self, start: &str) -> String {
        loop {
            if let Some(rest) = self.line().await.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }
}

#[tokio::test]
async fn the_list_of_the_course_is_an_array() {
    let service = Service::start("films.json");
    let response = get(&service, "/v1/course/movies").await;
    assert_eq!(response.header("content-type"), Some("application/json"));
    let movies = json(&response);
    let movies = movies.as_array().unwrap();
    assert_eq!(movies.len(), 17_470);
    assert!(movies.iter().all(|movie| movie["title"].is_string() && movie["id"].is_string()));

    let head = "GET /v1/course/movies HTTP/1.1\r\naccept: application/x-ndjson";
    let lines = exchange(service.address, head, b"").await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let parsed: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&parsed, movies);
    let pretty = get(&service, "/v1/course/movies?pretty").await;
    assert_eq!(json(&pretty).as_array(), Some(movies));
}

#[tokio::test]
async fn a_stream_has_the_media_type_that_the_caller_prefers() {
    let service = Service::start("movies.json");
    let (array, lines) = ("application/json", "application/x-ndjson");
    for (accept, expected) in [
        ("*/*", array),
        ("application/*, text/html", array),
        ("text/html", array),
        (lines, lines),
        ("Application/X-NDJSON, */*", lines),
        ("application/x-ndjson;q=0", array),
        ("application/x-ndjson;q=0.5, application/json", array),
        ("application/x-ndjson;version=1;q=0.5, application/json;q=0.1", lines),
        ("application/x-ndjson;q=0.5, */*;q=0.6", array),
    ] {
        let head = format!("GET /v1/course/movies HTTP/1.1\r\naccept: {accept}");
        let response = exchange(service.address, &head, b"").await;
        assert_eq!(response.header("content-type"), Some(expected), "{accept}");
        assert_eq!(response.header("vary"), Some("accept, accept-encoding, origin"));
    }
}

#[tokio::test]
async fn the_list_of_an_empty_catalogue_is_an_empty_array() {
    let (service, _dir) = writable();
    assert_eq!(get(&service, "/v1/course/movies").await.text(), "[]\n");
}

#[tokio::test]
async fn changes_come_as_lines_while_the_watch_goes_on() {
    let (service, _dir) = writable();
    let mut watch = Lines::open(&service, "/v1/movies:watch", "").await;
    let caught_up: Value = serde_json::from_str(&format!("{{{}", watch.next("{").await)).unwrap();
    assert_eq!(caught_up["caughtUp"], true);
    send(&service, "POST /v1/movies", &[], r#"{"id": "7", "title": "Seven"}"#).await;
    let change: Value = serde_json::from_str(&format!("{{{}", watch.next("{").await)).unwrap();
    assert_eq!(change["upserted"]["title"], "Seven");
    assert!(change["resumeToken"].is_string());
}

#[tokio::test]
async fn a_browser_resumes_its_events_where_they_were_cut() {
    const EVENTS: &str = "accept: text/event-stream\r\n";
    let (service, _dir) = writable();
    send(&service, "POST /v1/movies", &[], r#"{"id": "1", "title": "One"}"#).await;
    let mut watch = Lines::open(&service, "/v1/movies:watch?fullCopy=true", EVENTS).await;
    // The movies of a copy have no id, since a copy cannot be resumed.
    let mut before_the_copy = watch.line().await;
    while !before_the_copy.starts_with("data: ") {
        assert!(!before_the_copy.starts_with("id: "), "{before_the_copy}");
        before_the_copy = watch.line().await;
    }
    assert!(before_the_copy.contains("\"One\""), "{before_the_copy}");
    let caught_up = watch.next("id: ").await;
    assert!(watch.next("data: ").await.contains("caughtUp"));
    drop(watch);

    // Without an id yet, some clients send the header without a value.
    let headers = format!("{EVENTS}last-event-id: \r\n");
    let mut watch = Lines::open(&service, "/v1/movies:watch?fullCopy=true", &headers).await;
    assert!(watch.next("data: ").await.contains("\"One\""), "the copy starts again");
    drop(watch);

    send(&service, "POST /v1/movies", &[], r#"{"id": "2", "title": "Two"}"#).await;
    // The browser repeats the address, too.
    let headers = format!("{EVENTS}last-event-id: {caught_up}\r\n");
    let mut watch = Lines::open(&service, "/v1/movies:watch?fullCopy=true", &headers).await;
    assert_ne!(watch.next("id: ").await, caught_up);
    let change = watch.next("data: ").await;
    assert!(change.contains("\"Two\"") && !change.contains("\"One\""), "{change}");
}

#[tokio::test]
async fn a_watch_that_cannot_begin_has_the_status_of_its_error() {
    let (service, _dir) = writable();
    for (path, status) in
        [("/v1/movies:watch?fromRevision=99", "400"), ("/v1/movies:watch?resumeToken=x", "400")]
    {
        let response = get(&service, path).await;
        assert_eq!(response.status(), status, "{response:?}");
        assert!(json(&response)["error"]["details"][0]["reason"].is_string());
    }
}

#[tokio::test]
async fn a_stream_that_fails_says_so_at_its_end() {
    let (mut service, _dir) = writable();
    let mut lines = Lines::open(&service, "/v1/movies:watch", "").await;
    let mut events = Lines::open(&service, "/v1/movies:watch", "accept: text/event-stream\r\n").await;
    lines.next("{").await;
    events.next("data: ").await;
    service.signal("TERM");
    let error: Value = serde_json::from_str(&format!("{{{}", lines.next("{").await)).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["status"]), (&json!(503), &json!("UNAVAILABLE")));
    assert_eq!(events.next("event: ").await, "error");
    let data: Value = serde_json::from_str(&events.next("data: ").await).unwrap();
    assert_eq!(data, error);
    assert!(service.wait().await.success());
}
