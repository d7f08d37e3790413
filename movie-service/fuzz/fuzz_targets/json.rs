//! Any request in JSON gets a response: one in valid JSON or without a body, and one that says what was expected if it is
//! refused. No request is an internal error of the service.

#![no_main]

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use movie_service::catalogue::{Catalogue, Change, MovieView};
use movie_service::server::in_process::InProcessServer;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

const METHODS: [Method; 6] =
    [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];

static SERVER: LazyLock<InProcessServer> = LazyLock::new(|| {
    let catalogue = Catalogue::default();
    let movie = MovieView { title: "Creed", rating: 7.25, director: "Ryan Coogler", id: "7", ..MovieView::default() };
    catalogue.apply([Change::Insert(movie)]).expect("every id is new");
    InProcessServer::new(Arc::new(catalogue)).expect("the services can be made")
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));

// The input is the number of a method, and after it the path and query, a line end, and the body.
fuzz_target!(|input: &[u8]| {
    let [method, rest @ ..] = input else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (target, body) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let Ok(uri) = Uri::try_from(target) else { return };
    // A watch does not end.
    if uri.path() == "/v1/movies:watch" {
        return;
    }
    let request = Request::builder()
        .method(METHODS[usize::from(*method) % METHODS.len()].clone())
        .uri(uri)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .expect("the parts are valid");
    let (status, body) = RUNTIME.block_on(async {
        let (parts, body) = SERVER.call_json(request).await.into_parts();
        let body = body.collect().await.expect("the stream of the list does not fail");
        (parts.status, body.to_bytes())
    });
    assert!(status.as_u16() < 500 || status.as_u16() == 501, "{status}");
    if body.is_empty() {
        return;
    }
    let json: Value = serde_json::from_slice(&body).expect("valid JSON");
    if !status.is_success() {
        let message = json["error"]["message"].as_str();
        assert!(message.is_some_and(|message| !message.is_empty()), "{json}");
    }
});
