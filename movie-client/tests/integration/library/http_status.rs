//! HTTP responses that are not gRPC, such as the error pages of a proxy in front of the service.

use std::future::Future;
use std::net::SocketAddr;

use movie_client::{Code, Error, Event, Field, Health, Query, Start};
use movie_proto::catalog::v1::{self, watch_movies_response};
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::scripted::{HttpResponse, RecordedCall, ScriptedServer, Step};
use crate::support::{client, in_time, movie, next};

/// Error page of nginx without a backend.
const NGINX_502_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway\
                    </h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// HTTP statuses that mean `UNAVAILABLE`.
const UNAVAILABLE_STATUSES: [u16; 4] = [429, 502, 503, 504];

fn html(status: u16) -> Step {
    Step::HttpResponse(HttpResponse { status, content_type: Some("text/html"), body: NGINX_502_PAGE })
}

fn bare(status: u16) -> Step {
    Step::HttpResponse(HttpResponse { status, content_type: None, body: "" })
}

/// Starts a server that sends each of the `pages` once, and then responds with these steps.
async fn behind(pages: impl Into<Vec<Step>>, then: Vec<Step>) -> ScriptedServer {
    let pages = pages.into();
    ScriptedServer::start(move |call: &RecordedCall| match pages.get(call.number) {
        Some(page) => vec![page.clone()],
        None => then.clone(),
    })
    .await
}

/// Returns the error of every call at an address, by name.
async fn failures(address: SocketAddr) -> Vec<(&'static str, Error)> {
    async fn failed<T>(call: impl Future<Output = Result<T, Error>>) -> Error {
        in_time(call).await.err().expect("the call succeeded")
    }
    // Each call has a client of its own, because the retry budget is limited.
    let client = || client([address]);
    let list = async || client().list(Query::default()).next().await.unwrap();
    let ids = tokio_stream::iter(["a".to_owned()]);
    vec![
        ("get", failed(client().get("a")).await),
        ("batch", failed(client().batch(["a"])).await),
        ("lookup", failed(client().lookup(ids)).await),
        ("first_page", failed(client().first_page(Query::default())).await),
        ("list", failed(list()).await),
        ("create", failed(client().create(movie("a", "A"))).await),
        ("update", failed(client().update(movie("a", "A"), &[Field::Title])).await),
        ("put", failed(client().put(movie("a", "A"))).await),
        ("delete", failed(client().delete("a", None)).await),
        ("import", failed(client().import([movie("a", "A")])).await),
        ("watch", failed(client().watch(Start::Now)).await),
        ("catalog", failed(client().catalog()).await),
        ("health", failed(client().health("")).await),
        ("course_get", failed(client().course_get("a")).await),
        ("course_list", failed(client().course_list()).await),
    ]
}

/// Returns the error for a gRPC status code.
fn meaning(code: Code, address: String, message: String) -> Error {
    match (code, address) {
        (Code::Unavailable, address) => Error::Unavailable { address, message },
        (Code::Unauthenticated, address) => Error::Unauthenticated { address, message },
        (Code::PermissionDenied, address) => Error::PermissionDenied { address, message },
        (code, address) => Error::Failed { address, code, message },
    }
}

#[tokio::test]
async fn every_call_maps_http_statuses_as_grpc_specifies() {
    let codes = [
        (429, "429 Too Many Requests", Code::Unavailable),
        (502, "502 Bad Gateway", Code::Unavailable),
        (503, "503 Service Unavailable", Code::Unavailable),
        (504, "504 Gateway Timeout", Code::Unavailable),
        (401, "401 Unauthorized", Code::Unauthenticated),
        (403, "403 Forbidden", Code::PermissionDenied),
        (400, "400 Bad Request", Code::Internal),
        (404, "404 Not Found", Code::Unimplemented),
        (200, "200 OK", Code::Unknown),
        (301, "301 Moved Permanently", Code::Unknown),
        (415, "415 Unsupported Media Type", Code::Unknown),
        (500, "500 Internal Server Error", Code::Unknown),
    ];
    for (status, name, code) in codes {
        for (page, kind) in [(html(status), " (text/html)"), (bare(status), "")] {
            let service = ScriptedServer::always([page]).await;
            let message = format!("HTTP {name}{kind} instead of a gRPC response");
            let expected = meaning(code, service.address.to_string(), message);
            for (call, error) in failures(service.address).await {
                assert_eq!(error, expected, "{call}");
                assert!(error.to_string().contains(&service.address.to_string()), "{call}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn an_idempotent_call_is_retried_while_a_proxy_has_no_backend() {
    let found = vec![Step::message(&v1::Movie { id: "a".into(), ..v1::Movie::default() })];
    for status in UNAVAILABLE_STATUSES {
        let service = behind([html(status), bare(status)], found.clone()).await;
        assert_eq!(client([service.address]).get("a").await.unwrap(), movie("a", ""));
        assert_eq!(service.calls().len(), 3);
        // The connection to the proxy stays open.
        assert_eq!(service.connections(), 1);
    }
    let service = behind([html(502)], found).await;
    client([service.address]).create(movie("a", "")).await.unwrap();
    let requests: Vec<v1::CreateMovieRequest> = service.calls().iter().map(RecordedCall::message).collect();
    assert!(requests.len() == 2 && requests[0] == requests[1], "{requests:?}");

    let serving = HealthCheckResponse { status: ServingStatus::Serving.into() };
    let service = behind([html(503)], vec![Step::message(&serving)]).await;
    assert_eq!(client([service.address]).health("").await.unwrap(), Health::Serving);
}

#[tokio::test]
async fn a_call_that_is_rejected_by_a_proxy_or_not_idempotent_is_made_once() {
    for status in [200, 400, 401, 403, 404, 500] {
        let service = ScriptedServer::always([html(status)]).await;
        client([service.address]).get("a").await.unwrap_err();
        assert_eq!(service.calls().len(), 1, "{status}");
    }
    let service = ScriptedServer::always([html(502)]).await;
    client([service.address]).delete("a", None).await.unwrap_err();
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn a_watch_resumes_when_a_proxy_has_a_backend_again() {
    fn deleted(revision: i64) -> Step {
        let event = watch_movies_response::Event::DeletedId(revision.to_string());
        Step::message(&v1::WatchMoviesResponse { revision, event: Some(event), resume_token: String::new() })
    }
    let service = ScriptedServer::start(|call| match call.number {
        0 => vec![deleted(101), Step::Disconnect],
        // More often than the maximum number of attempts.
        number @ 1..=20 => vec![html(UNAVAILABLE_STATUSES[number % 4])],
        _ => vec![deleted(102), Step::Hang],
    })
    .await;
    let mut changes = client([service.address]).watch(Start::After(100)).await.unwrap();
    for revision in [101, 102] {
        assert_eq!(next(&mut changes).await.unwrap().event, Event::Deleted(revision.to_string()));
    }
}
