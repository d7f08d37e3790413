//! Statuses of calls that the transport refuses.

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::{debug, error};

use crate::access::Denial;
use crate::servicer::status::{DOMAIN, RETRY_DELAY};
use crate::text::Escaped;

/// Reason for which the transport refuses a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A limit on calls or lists in flight is reached; the text names it.
    #[error("too many {0} at a time; try again in a second")]
    Busy(&'static str),
    /// The caller's deadline or the limit `deadline` has passed.
    #[error("the deadline of the call has passed")]
    DeadlineExceeded,
    /// The service is stopping, and the call did not end within the grace period.
    #[error("the service is stopping; retry on another instance or in one second")]
    Stopping,
    /// The header `grpc-timeout` is malformed.
    #[error(
        "the header `grpc-timeout` is malformed, expected at most eight digits and one of H, M, S, m, u, n"
    )]
    MalformedTimeout,
    /// A request message exceeds the limit on its size.
    #[error("the message is too large, expected at most {max_bytes} bytes")]
    MessageTooLarge {
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The encoding of the request is not supported.
    #[error("the header `grpc-encoding` names an encoding that is not supported, expected gzip or identity")]
    UnsupportedEncoding,
    /// The request cannot be decoded.
    #[error("the request cannot be decoded, expected one message of the method's type")]
    MalformedRequest,
    /// The RPC does not exist, is not in the table of RPCs, or is turned off; a caller cannot distinguish these.
    #[error("this service has no RPC with the path `{}`", Escaped(.0))]
    NoSuchRpc(String),
    /// The caller has no valid credentials, or its role does not allow the call.
    #[error(transparent)]
    Denial(#[from] Denial),
    /// An internal error of the service.
    #[error("internal error of the service; the request is not at fault")]
    Internal,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason) = match &refusal {
            Refusal::Busy(_) => (Code::ResourceExhausted, "SERVICE_BUSY"),
            Refusal::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            Refusal::Stopping => (Code::Unavailable, "SERVICE_STOPPING"),
            Refusal::MalformedTimeout => (Code::Internal, "TIMEOUT_MALFORMED"),
            Refusal::MessageTooLarge { .. } => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            Refusal::UnsupportedEncoding => (Code::Unimplemented, "ENCODING_UNSUPPORTED"),
            Refusal::MalformedRequest => (Code::Internal, "REQUEST_MALFORMED"),
            Refusal::NoSuchRpc(_) => return Status::unimplemented(refusal.to_string()),
            Refusal::Denial(denied) => match denied {
                Denial::NoCredentials(_) => (Code::Unauthenticated, "CREDENTIALS_MISSING"),
                Denial::BadCredentials | Denial::UnknownToken => {
                    (Code::Unauthenticated, "CREDENTIALS_UNKNOWN")
                }
                Denial::UnknownCertificate(_) | Denial::RoleTooLow(_) => {
                    (Code::PermissionDenied, "ROLE_TOO_LOW")
                }
                Denial::ReadOnly | Denial::WriteFromAnySite => (Code::PermissionDenied, "ANONYMOUS_WRITE"),
            },
            Refusal::Internal => (Code::Internal, "SERVICE_FAILED"),
        };
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if matches!(refusal, Refusal::Busy(_) | Refusal::Stopping) {
            details.set_retry_info(Some(RETRY_DELAY));
        }
        Status::with_error_details(code, refusal.to_string(), details)
    }
}

/// The response to a request over HTTP/1.1 that needs HTTP/2 (RFC 9110, section 15.6.6). Closes the connection.
pub(crate) fn http_version_not_supported(hint: &str) -> Response<Body> {
    let text = format!("This port serves gRPC over HTTP/2; {hint}.\n");
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the status code in the headers or trailers of a response.
pub(crate) fn status_code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Replaces an internal status that a library produced, and logs the original: its message exposes implementation
/// details. Returns the replacement.
pub(crate) fn hide_internals(headers: &mut HeaderMap) -> Option<Refusal> {
    let code = status_code(headers).filter(|code| matches!(code, Code::Internal | Code::Unknown))?;
    if headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers);
    let message = status.as_ref().map_or("", Status::message);
    let refusal = if code == Code::Internal {
        // In this service, only request decoding returns INTERNAL without details.
        debug!("a request cannot be decoded: {message}");
        Refusal::MalformedRequest
    } else {
        error!("a call failed: {message}");
        Refusal::Internal
    };
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE] {
        headers.remove(name);
    }
    // Messages of refusals always fit into a header.
    let _ = Status::from(refusal.clone()).add_header(headers);
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_reason_and_a_retry_delay_if_a_retry_can_help() {
        let status = Status::from(Refusal::Busy("lists"));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "SERVICE_BUSY");
        assert_eq!(details.error_info().unwrap().domain, DOMAIN);
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_DELAY));
        assert!(Status::from(Refusal::DeadlineExceeded).get_error_details().retry_info().is_none());
    }

    #[test]
    fn the_internal_error_of_a_library_is_replaced() {
        let mut headers = HeaderMap::new();
        Status::internal("failed to decode Protobuf message: MovieID.id").add_header(&mut headers).unwrap();
        assert_eq!(hide_internals(&mut headers), Some(Refusal::MalformedRequest));
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(status.message(), Refusal::MalformedRequest.to_string());
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "REQUEST_MALFORMED");
    }

    #[test]
    fn a_refusal_is_not_replaced() {
        let mut headers = HeaderMap::new();
        Status::from(Refusal::MalformedTimeout).add_header(&mut headers).unwrap();
        let before = headers.clone();
        assert_eq!(hide_internals(&mut headers), None);
        assert_eq!(headers, before);
    }
}
