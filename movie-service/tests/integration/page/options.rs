//! Options that the page depends on.

use movie_proto::{MovieData, MovieId};
use prost::Message;

use super::{asset, request, send, start};
use crate::support::databases::database;
use crate::support::http1::{Response, exchange};
use crate::support::messages::framed;
use crate::support::process::{Service, bare_command, command, outcome};

#[tokio::test]
async fn without_http_there_is_no_page() {
    let mut service = start(&["--http", "off"]);
    for path in ["/", &format!("/{}", asset(".js"))] {
        assert_eq!(request(&service, "GET", path, &[]).await.status(), "505", "{path}");
    }
    let log = service.end().await.concat();
    assert!(!log.contains("the page"), "{log}");

    // Pages of this origin may call by gRPC-Web, but are not served.
    let service = start(&["--http", "off", "--web-origin", "http://localhost"]);
    assert_eq!(request(&service, "GET", "/", &["origin: http://localhost"]).await.status(), "505");
}

#[tokio::test]
async fn the_page_of_the_service_calls_it_without_an_option() {
    let service = start(&[]);
    let address = service.address;
    let id = MovieId { id: "267eedb8-0f5d-42d5-8f43-72426b9fb3e6".into() };
    let message = framed(&id.encode_to_vec());
    let head = format!(
        "POST /Movie/GetMovieByID HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nconnection: close\r\n\
         content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\ncontent-length: {}\r\n\r\n",
        message.len()
    );
    let response = Response::new(&send(&service, &[head.as_bytes(), &message].concat()).await);
    assert_eq!(response.status(), "200", "{response:?}");
    let message = &response.body[5..];
    let end = message.windows(5).position(|part| part == b"\x80\0\0\0\x0f").unwrap();
    assert_eq!(MovieData::decode(&message[..end]).unwrap().title, "Creed");
}

#[tokio::test]
async fn posters_are_loaded_only_from_origins_that_are_listed() {
    for (arguments, variable, listed) in [
        (&["--poster-origin", "https://posters.example"][..], "", "https://posters.example"),
        (
            &[
                "--poster-origin",
                "HTTPS://A.example:443/,https://b.example",
                "--poster-origin",
                "http://c.example:8080",
            ],
            "",
            "https://a.example https://b.example http://c.example:8080",
        ),
        (&[], "https://a.example, https://b.example,", "https://a.example https://b.example"),
    ] {
        let mut command = command(&database("movies.json"));
        let service = Service::run(command.args(arguments).env("MOVIE_POSTER_ORIGIN", variable));
        let document = exchange(service.address, "GET / HTTP/1.1", b"").await;
        let element = format!(r#"<meta name="poster-origins" content="{listed}">"#);
        assert!(document.text().contains(&element), "{document:?}");
        let policy = document.header("content-security-policy").unwrap();
        assert!(policy.contains(&format!("; img-src 'self' {listed}; ")), "{policy}");
        let etag = document.header("etag").unwrap();
        let usual = exchange(start(&[]).address, "GET / HTTP/1.1", b"").await;
        assert_ne!(Some(etag), usual.header("etag"));
    }
}

#[test]
fn an_invalid_origin_of_posters_is_a_one_line_error_with_an_example() {
    for (origin, part) in [
        ("*", "would tell any site"),
        ("https://posters.example/w500", "no path"),
        ("posters.example", "http:// or https://"),
        ("https://[::1]", "IPv6"),
        ("https://posters.example; script-src *", "http:// or https://"),
    ] {
        let (status, _, stderr) = outcome(bare_command().args(["--poster-origin", origin]));
        assert!(!status.success(), "{origin}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for part in ["error: ", "--poster-origin", part, "https://posters.example"] {
            assert!(stderr.contains(part), "{part} is missing: {stderr}");
        }
    }
}

#[test]
fn the_log_says_where_the_page_is() {
    let mut service = start(&[]);
    let expected =
        format!("INFO the page is at http://{}/, and gRPC and JSON use the same port\n", service.address);
    let line = service.log_line();
    assert!(line.ends_with(&expected), "{line}");

    let mut command = bare_command();
    command.args(["--listen", "0.0.0.0:0", "--database"]).arg(database("movies.json"));
    let mut service = Service::run(&mut command);
    let expected = format!("INFO the page is at http://localhost:{}/, and gRPC", service.address.port());
    let line = service.log_line();
    assert!(line.contains(&expected), "{line}");
}
