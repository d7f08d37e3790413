//! HTTP responses that are not gRPC, such as the error page of a proxy without a backend.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use tonic::Code;
use tonic::body::Body;
use tonic::transport;

use crate::error::escape_for_display;

/// Failure of a request below gRPC.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResponseError {
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// The response is not gRPC.
    #[error("{0}")]
    NotGrpc(#[source] NotGrpc),
}

/// An HTTP response that is not gRPC.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTP {status}{} instead of a gRPC response", content_type.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default())]
pub(crate) struct NotGrpc {
    status: StatusCode,
    content_type: Option<String>,
}

impl NotGrpc {
    /// Returns the gRPC status code for the HTTP status
    /// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).
    pub(crate) fn code(&self) -> Code {
        match self.status {
            StatusCode::BAD_REQUEST => Code::Internal,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::Unimplemented,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
            _ => Code::Unknown,
        }
    }
}

/// Replaces a response that is not gRPC by the error [`NotGrpc`]. tonic would decode its body as messages.
pub(super) fn reject(
    response: Result<Response<Body>, transport::Error>,
) -> Result<Response<Body>, ResponseError> {
    let response = response?;
    if is_grpc(response.status(), response.headers()) {
        return Ok(response);
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type =
        content_type.map(|value| escape_for_display(&String::from_utf8_lossy(value.as_bytes())));
    Err(ResponseError::NotGrpc(NotGrpc { status: response.status(), content_type }))
}

/// Returns whether a response is gRPC. A response with a gRPC status counts, because proxies rewrite other headers.
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let rest = content_type.as_ref().and_then(|kind| kind.strip_prefix(b"application/grpc"));
    // `application/grpc-web` is another protocol.
    let is_grpc_type = rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')));
    headers.contains_key("grpc-status") || (status == StatusCode::OK && is_grpc_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())])
    }

    #[test]
    fn a_response_is_grpc_by_its_status_and_type_or_by_its_grpc_status() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
            assert!(is_grpc(StatusCode::OK, &headers(kind)), "{kind}");
            assert!(!is_grpc(StatusCode::BAD_GATEWAY, &headers(kind)), "{kind}");
        }
        for kind in ["text/html", "application/grpc-web", "application/json", ""] {
            assert!(!is_grpc(StatusCode::OK, &headers(kind)), "{kind}");
        }
        assert!(!is_grpc(StatusCode::OK, &HeaderMap::new()));
        let mut rewritten = headers("text/html");
        rewritten.insert("grpc-status", 14.into());
        assert!(is_grpc(StatusCode::SERVICE_UNAVAILABLE, &rewritten));
    }
}
