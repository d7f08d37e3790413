//! gRPC-Web, over HTTP/1.1 and HTTP/2.

use movie_proto::{Empty, MovieData, MovieId};
use prost::Message;

use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};
use crate::support::http1::{Response, exchange};
use crate::support::messages::framed;
use crate::support::process::{Service, command, outcome};

const GET: &str = "/Movie/GetMovieByID";
const LIST: &str = "/Movie/GetListMovies";
const SITE: &str = "http://localhost:8080";
const ID: &str = "267eedb8-0f5d-42d5-8f43-72426b9fb3e6";

/// The trailers of a successful call, as a frame.
const OK: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

fn start() -> Service {
    Service::run(command(&database("movies.json")).args(["--web-origin", SITE]))
}

fn get() -> Vec<u8> {
    framed(&MovieId { id: ID.into() }.encode_to_vec())
}

/// Makes a call over HTTP/1.1 with an `Origin`.
async fn call(service: &Service, path: &str, origin: &str, message: &[u8]) -> Response {
    let head = format!(
        "POST {path} HTTP/1.1\r\norigin: {origin}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1"
    );
    exchange(service.address, &head, message).await
}

/// Returns the movies in a response body, whose last frame must be the trailers of a successful call.
fn movies(body: &[u8]) -> Vec<MovieData> {
    let mut frames = body.strip_suffix(OK).unwrap_or_else(|| panic!("no trailers: {}", body.escape_ascii()));
    let mut movies = Vec::new();
    while let Some((prefix, rest)) = frames.split_first_chunk::<5>() {
        let [0, length @ ..] = *prefix else { panic!("not a message: {}", frames.escape_ascii()) };
        let (message, rest) = rest.split_at(u32::from_be_bytes(length) as usize);
        movies.push(MovieData::decode(message).unwrap());
        frames = rest;
    }
    movies
}

#[tokio::test]
async fn a_page_gets_a_movie_and_the_list_over_http_1_1() {
    let service = start();
    let response = call(&service, GET, SITE, &get()).await;
    assert_eq!(response.status(), "200", "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(response.header("access-control-allow-origin"), Some(SITE));
    assert_eq!(
        response.header("access-control-expose-headers"),
        Some(
            "grpc-status,grpc-message,grpc-status-details-bin,grpc-encoding,grpc-accept-encoding,etag,location,retry-after"
        )
    );
    let [movie] = &*movies(&response.body) else { panic!("not one movie: {response:?}") };
    assert_eq!(movie.title, "Creed");

    let listed = movies(&call(&service, LIST, SITE, &framed(b"")).await.body);
    let mut expected = service.stub().await.get_list_movies(Empty {}).await.unwrap().into_inner();
    for movie in &listed {
        assert_eq!(expected.message().await.unwrap().as_ref(), Some(movie));
    }
    assert_eq!(expected.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_page_gets_the_same_over_http_2() {
    let service = start();
    let mut peer = Client::connect(service.address).await;
    for (path, message, count) in [(GET, get(), 1), (LIST, framed(b""), 7)] {
        let mut over_2 = Call::new(path, b"").frames(&[&message]);
        over_2.headers = vec![("content-type", "application/grpc-web+proto"), ("origin", SITE)];
        let over_2 = peer.call(&over_2).await.unwrap();
        assert_eq!(movies(&over_2.body).len(), count);
        assert_eq!((over_2.status, over_2.trailers), (200, None));
        assert_eq!(over_2.headers["access-control-allow-origin"], SITE);
        assert_eq!(over_2.body, call(&service, path, SITE, &message).await.body);
    }
}

#[tokio::test]
async fn grpc_web_text_is_base64() {
    let service = start();
    let text = "application/grpc-web-text";
    let head = format!("POST {GET} HTTP/1.1\r\ncontent-type: {text}\r\naccept: {text}");
    // A message with the id `1`, which no movie has.
    let response = exchange(service.address, &head, b"AAAAAAMKATE=").await;
    assert_eq!(response.header("content-type"), Some("application/grpc-web-text+proto"));
    // An empty message, and the trailers.
    assert_eq!(response.text(), "AAAAAAA=gAAAAA9ncnBjLXN0YXR1czowDQo=");
}

#[tokio::test]
async fn errors_reach_the_page() {
    let service = start();
    let large = framed(&MovieId { id: "i".repeat(256 * 1024) }.encode_to_vec());
    for (path, message, status) in
        [("/Movie/Nope", framed(b""), "12"), (GET, framed(b"\x0a\x01\xff"), "13"), (GET, large, "8")]
    {
        let response = call(&service, path, SITE, &message).await;
        assert_eq!(response.status(), "200", "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/grpc-web+proto"));
        assert_eq!(response.header("access-control-allow-origin"), Some(SITE));
        let in_body = format!("grpc-status:{status}\r\n");
        let has_status = response.header("grpc-status") == Some(status)
            || response.body.windows(in_body.len()).any(|part| part == in_body.as_bytes());
        assert!(has_status, "{status}: {response:?}");
    }
}

#[tokio::test]
async fn a_call_over_http_1_1_ends_with_its_deadline() {
    // No other timer of the connection expires for minutes.
    let mut command = command(&database("movies.json"));
    command.env("MOVIE_LIMITS", "idle=1h,unread=1h,age=10h,deadline=1h");
    let service = Service::run(command.args(["--web-origin", SITE]));
    let watch = "/grpc.health.v1.Health/Watch HTTP/1.1\r\ngrpc-timeout: 300m";
    let head = format!(
        "POST {watch}\r\norigin: {SITE}\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1"
    );
    let response = exchange(service.address, &head, &framed(b"")).await;
    let body = String::from_utf8_lossy(&response.body);
    assert!(body.contains("grpc-status:4\r\n"), "{body}");
}

#[tokio::test]
async fn a_preflight_is_allowed_to_pages_of_the_origin_and_refused_to_others() {
    let service = start();
    let preflight = async |origin: &str| {
        let head = format!(
            "OPTIONS {GET} HTTP/1.1\r\norigin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type,x-grpc-web"
        );
        exchange(service.address, &head, b"").await
    };
    let allowed = preflight(SITE).await;
    assert_eq!(allowed.status(), "200");
    assert_eq!(allowed.header("access-control-allow-origin"), Some(SITE));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("get,head,post,patch,delete"));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("content-type,x-grpc-web"));
    for origin in ["http://localhost:8081", "https://localhost:8080", "null"] {
        for refused in [preflight(origin).await, call(&service, GET, origin, &get()).await] {
            assert_eq!(refused.status(), "403", "{origin}: {refused:?}");
            assert!(!refused.head.contains("access-control-"), "{origin}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn without_an_option_only_pages_of_the_service_itself_may_call() {
    let service = Service::start("movies.json");
    // The host of the requests of these tests is `localhost`.
    assert_eq!(call(&service, GET, "http://localhost", &get()).await.status(), "200");
    assert_eq!(call(&service, GET, SITE, &get()).await.status(), "403");
}

#[tokio::test]
async fn grpc_web_can_be_turned_off() {
    let service = Service::run(command(&database("movies.json")).args(["--http", "off"]));
    let mut peer = Client::connect(service.address).await;
    let mut over_2 = Call::new(GET, b"");
    over_2.headers = vec![("content-type", "application/grpc-web+proto"), ("origin", "http://localhost")];
    assert_eq!(peer.call(&over_2).await.unwrap().status, 415);
    assert_eq!(call(&service, GET, SITE, &get()).await.status(), "505");
}

#[test]
fn an_invalid_origin_is_a_one_line_error_with_an_example() {
    let (status, _, stderr) =
        outcome(command(&database("movies.json")).args(["--web-origin", "localhost:8080"]));
    assert!(!status.success());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for part in ["error: ", "localhost:8080", "--web-origin", "http://localhost:8080"] {
        assert!(stderr.contains(part), "{part} is missing: {stderr}");
    }
}
