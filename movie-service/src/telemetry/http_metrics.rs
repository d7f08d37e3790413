//! Metrics of requests over HTTP that are not in gRPC.

use http::StatusCode;
use metrics::Counter;
use metrics::{counter, describe_counter};

const REQUESTS: &str = "movie_service_http_requests_total";
const REFUSALS: &str = "movie_service_http_refusals_total";

/// The statuses of requests that are for no call.
const REFUSAL_STATUSES: [(StatusCode, &str); 8] = [
    (StatusCode::BAD_REQUEST, "400"),
    (StatusCode::FORBIDDEN, "403"),
    (StatusCode::NOT_FOUND, "404"),
    (StatusCode::METHOD_NOT_ALLOWED, "405"),
    (StatusCode::PRECONDITION_FAILED, "412"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "415"),
    (StatusCode::MISDIRECTED_REQUEST, "421"),
    (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "505"),
];

/// The classes of statuses, from the class of 200.
const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Kind of a request that is not in gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRequest {
    /// A call in gRPC-Web.
    GrpcWeb,
    /// A call in JSON, or a request for the contract.
    Json,
    /// A file of the page.
    Page,
    /// A health check at `/healthz`.
    Health,
    /// A question of a browser whether a page may call (CORS).
    Preflight,
}

/// The metrics of requests that are not in gRPC.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    /// For each [`HttpRequest`], for each of [`STATUS_CLASSES`].
    requests: [[Counter; STATUS_CLASSES.len()]; 5],
    /// For each of [`REFUSAL_STATUSES`].
    refusals: [Counter; REFUSAL_STATUSES.len()],
}

impl HttpMetrics {
    /// Registers the metrics with the recorder of this thread.
    pub(super) fn registered() -> Self {
        describe_counter!(REQUESTS, "Requests over HTTP that are not in gRPC, by kind and class of status");
        describe_counter!(REFUSALS, "Requests over HTTP that were refused before a call began, by status");
        Self {
            requests: ["grpc_web", "json", "page", "health", "preflight"].map(|kind| {
                STATUS_CLASSES.map(|status| counter!(REQUESTS, "kind" => kind, "status" => status))
            }),
            refusals: REFUSAL_STATUSES.map(|(_, status)| counter!(REFUSALS, "status" => status)),
        }
    }

    /// Counts a request whose response begins.
    pub(super) fn responded(&self, request: HttpRequest, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).checked_sub(2);
        if let Some(counter) = class.and_then(|class| self.requests[request as usize].get(class)) {
            counter.increment(1);
        }
    }

    /// Counts a request that ended before a call began.
    pub(super) fn refused(&self, status: StatusCode) {
        let index = REFUSAL_STATUSES.iter().position(|(known, _)| *known == status);
        debug_assert!(index.is_some(), "{status} has no counter");
        if let Some(index) = index {
            self.refusals[index].increment(1);
        }
    }
}
