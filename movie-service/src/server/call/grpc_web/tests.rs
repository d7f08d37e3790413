use std::sync::Arc;

use http::header::ACCEPT;
use http::{StatusCode, request};
use http_body_util::{BodyExt, Full};
use movie_proto::MovieId;
use movie_proto::movie_server::MovieServer;
use prost::Message;

use super::*;
use crate::catalogue::{Catalogue, Change, MovieView, Snapshot};
use crate::found::FoundPrinter;
use crate::server::limits::Limits;
use crate::servicer::course::MovieServicer;

const GET: &str = "/Movie/GetMovieByID";
const LIST: &str = "/Movie/GetListMovies";

/// The trailers of a successful call, as the last frame of a gRPC-Web body.
const OK: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

fn movies() -> MovieServer<MovieServicer> {
    let movie = |id| Change::Insert(MovieView { title: "t", id, ..MovieView::default() });
    let movies = Snapshot::default().with([movie("1"), movie("2")]).unwrap();
    let servicer = MovieServicer::new(Arc::new(Catalogue::new(movies)), FoundPrinter::quiet());
    MovieServer::new(servicer).max_decoding_message_size(Limits::default().message)
}

fn call(path: &str) -> request::Builder {
    Request::post(path).header(CONTENT_TYPE, "application/grpc-web+proto")
}

/// Sends a request; returns the response and its collected body.
async fn send(request: request::Builder, body: impl Into<Bytes>) -> (Response<()>, Bytes) {
    let request = request.body(Full::new(body.into())).unwrap();
    assert!(is_call(&request));
    let (parts, body) = super::call(request, movies()).await.into_parts();
    (Response::from_parts(parts, ()), body.collect().await.unwrap().to_bytes())
}

/// Returns the message with a prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

#[tokio::test]
async fn a_call_is_answered_with_its_trailers_in_the_body() {
    let (response, body) = send(call(GET), framed(b"\x0a\x012")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc-web+proto");
    assert_eq!(body, [&framed(b"\x0a\x01t\x22\x012"), OK].concat());
}

#[tokio::test]
async fn a_list_is_sent_as_messages_and_then_trailers() {
    let (_, body) = send(call(LIST), framed(b"")).await;
    assert_eq!(body, [&framed(b"\x0a\x01t\x22\x011"), &framed(b"\x0a\x01t\x22\x012"), OK].concat());
}

#[tokio::test]
async fn text_calls_use_base64_in_both_directions() {
    let text = "application/grpc-web-text";
    let request = Request::post(GET).header(CONTENT_TYPE, text).header(ACCEPT, text);
    // A frame with the message `\x0a\x012`; padded.
    let (response, body) = send(request, "AAAAAAMKATI=").await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc-web-text+proto");
    // A frame with the message, then one with the trailers, padded each.
    assert_eq!(body, "AAAAAAYKAXQiATI=gAAAAA9ncnBjLXN0YXR1czowDQo=");
}

#[tokio::test]
async fn the_size_limit_applies_to_the_decoded_message() {
    let text = "application/grpc-web-text";
    // Beside the id, the message has a tag of one byte and a length of three.
    for (message, status) in [(Limits::default().message, "0"), (Limits::default().message + 1, "11")] {
        let frame = framed(&MovieId { id: "i".repeat(message - 4) }.encode_to_vec());
        assert_eq!(frame.len(), 5 + message);
        let request = Request::post(GET).header(CONTENT_TYPE, text);
        let (response, body) = send(request, base64(&frame)).await;
        let in_body = format!("grpc-status:{status}\r\n");
        let told = response.headers().get("grpc-status").is_some_and(|value| value == status)
            || body.windows(in_body.len()).any(|part| part == in_body.as_bytes());
        assert!(told, "{message} bytes: {response:?} {body:?}");
    }
}

#[tokio::test]
async fn invalid_base64_is_an_error() {
    for text in ["AAAAAAMKAT", "AAAA*AMKATI="] {
        let request = Request::post(GET).header(CONTENT_TYPE, "application/grpc-web-text");
        let (response, body) = send(request, text).await;
        assert_eq!(response.headers()["grpc-status"], "13", "{text}: {response:?} {body:?}");
    }
}

/// Returns bytes as base64 (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS[bits as usize & 63]);
    let group = |bytes: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*bytes.get(at).unwrap_or(&0)));
        let digits = [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)];
        (0..4).map(move |at| if at <= bytes.len() { digits[at] } else { '=' }).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[tokio::test]
async fn a_trailers_only_error_reaches_the_page() {
    let (response, body) = send(call("/Movie/Nope"), framed(b"")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc-web+proto");
    assert_eq!(response.headers()["grpc-status"], "12");
    assert_eq!(body, "");
}

#[tokio::test]
async fn other_methods_and_encodings_are_refused() {
    let request = Request::get(GET).header(CONTENT_TYPE, "application/grpc-web");
    assert_eq!(send(request, "").await.0.status(), StatusCode::METHOD_NOT_ALLOWED);
    let request = Request::post(GET).header(CONTENT_TYPE, "application/grpc-web+json");
    let (response, _) = send(request, "{}").await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[test]
fn other_requests_are_not_calls() {
    for request in
        [Request::post(GET).header(CONTENT_TYPE, "application/grpc"), Request::post(GET), Request::get("/")]
    {
        assert!(!is_call(&request.body(()).unwrap()));
    }
}
