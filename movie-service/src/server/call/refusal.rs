//! Statuses of calls that the transport refuses.

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::{debug, error};

use crate::access::Denial;
use crate::servicer::status::{DOMAIN, RETRY_DELAY};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Reason for which the transport refuses a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many calls, or too many lists, are in flight.
    #[error("the service is busy: too many {0} at a time; try again in a second")]
    Busy(&'static str),
    /// The call took too long, by the caller's limit or ours.
    #[error("the call took longer than it may")]
    Late,
    /// The service stops, and the call was not done in time.
    #[error("the service is stopping; try another one, or again in a second")]
    Stopping,
    /// The header `grpc-timeout` cannot be read.
    #[error(
        "the header `grpc-timeout` is malformed, expected at most eight digits and one of H, M, S, m, u, n"
    )]
    Timeout,
    /// A request message is larger than it may be.
    #[error("the message is too large, expected at most {most} bytes")]
    TooLarge {
        /// The limit, in bytes.
        most: usize,
    },
    /// The request is compressed in a way that is not supported.
    #[error("the header `grpc-encoding` names an encoding that is not supported, expected gzip or identity")]
    Encoding,
    /// The request cannot be decoded.
    #[error("the request cannot be read, expected one message of the method's type")]
    Malformed,
    /// The caller may not do this, or does not say who it is.
    #[error(transparent)]
    Denial(#[from] Denial),
    /// Something is wrong here.
    #[error("the service failed; this is not the caller's fault")]
    Internal,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, reason) = match &refusal {
            Refusal::Busy(_) => (Code::ResourceExhausted, "SERVICE_BUSY"),
            Refusal::Late => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            Refusal::Stopping => (Code::Unavailable, "SERVICE_STOPPING"),
            Refusal::Timeout => (Code::Internal, "TIMEOUT_MALFORMED"),
            Refusal::TooLarge { .. } => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            Refusal::Encoding => (Code::Unimplemented, "ENCODING_UNSUPPORTED"),
            Refusal::Malformed => (Code::Internal, "REQUEST_MALFORMED"),
            Refusal::Denial(denied) => match denied {
                // Same status as the generated code, so that a hidden RPC cannot be told from a missing one.
                Denial::NoSuchRpc => return Status::unimplemented(""),
                Denial::NoCredentials(_) => (Code::Unauthenticated, "CREDENTIALS_MISSING"),
                Denial::BadCredentials | Denial::UnknownToken => {
                    (Code::Unauthenticated, "CREDENTIALS_UNKNOWN")
                }
                Denial::UnknownCertificate(_) | Denial::RoleTooLow(_) => {
                    (Code::PermissionDenied, "ROLE_TOO_LOW")
                }
                Denial::ReadOnly => (Code::PermissionDenied, "ANONYMOUS_WRITE"),
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

/// Answers a request that HTTP/1.1 is the wrong protocol for (RFC 9110, section 15.6.6); the connection closes after.
pub(crate) fn signpost(hint: &str) -> Response<Body> {
    let text = format!("This port speaks gRPC, which takes HTTP/2; {hint}.\n");
    let mut response = Response::new(Body::new(text));
    *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the status in the headers or trailers of a response.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Replaces an internal status that a library produced, and logs the original: its message exposes implementation
/// details. Returns the replacement.
pub(crate) fn hide_internals(headers: &mut HeaderMap) -> Option<Refusal> {
    let code = code(headers).filter(|code| matches!(code, Code::Internal | Code::Unknown))?;
    if headers.contains_key(GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers);
    let hidden = status.as_ref().map_or("", Status::message);
    let refusal = if code == Code::Internal {
        // In this service, only request decoding returns INTERNAL without details.
        debug!("a request cannot be read: {hidden}");
        Refusal::Malformed
    } else {
        error!("a call failed: {hidden}");
        Refusal::Internal
    };
    for name in [GRPC_STATUS, GRPC_MESSAGE] {
        headers.remove(name);
    }
    // Every message of a refusal fits a header.
    let _ = Status::from(refusal.clone()).add_header(headers);
    Some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_reason_and_says_when_to_try_again() {
        let status = Status::from(Refusal::Busy("lists"));
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "SERVICE_BUSY");
        assert_eq!(details.error_info().unwrap().domain, DOMAIN);
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_DELAY));
        assert!(Status::from(Refusal::Late).get_error_details().retry_info().is_none());
    }

    #[test]
    fn what_a_library_says_of_a_failure_is_hidden() {
        let mut headers = HeaderMap::new();
        Status::internal("failed to decode Protobuf message: MovieID.id").add_header(&mut headers).unwrap();
        assert_eq!(hide_internals(&mut headers), Some(Refusal::Malformed));
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(status.message(), Refusal::Malformed.to_string());
        assert_eq!(status.get_error_details().error_info().unwrap().reason, "REQUEST_MALFORMED");
    }

    #[test]
    fn what_was_made_for_callers_stays() {
        let mut headers = HeaderMap::new();
        Status::from(Refusal::Timeout).add_header(&mut headers).unwrap();
        let before = headers.clone();
        assert_eq!(hide_internals(&mut headers), None);
        assert_eq!(headers, before);
    }
}
