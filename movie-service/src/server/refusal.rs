//! What a caller is told when a call fails: the one place where failures become gRPC statuses.

use std::collections::HashMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorDetails, ErrorInfo, FieldViolation, ResourceInfo, RetryInfo, StatusExt};
use tracing::{debug, error};

use crate::access::Denied;
use crate::movie::Violation;
use crate::servicer::{CallError, named};
use crate::store::WriteError;

/// The domain of the reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "movie-service";

/// When to try again what was refused for want of room.
const RETRY: Duration = Duration::from_secs(1);

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Why the server does not answer a call.
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
    /// The request is not what the method takes.
    #[error("the request cannot be read, expected one message of the method's type")]
    Malformed,
    /// The caller may not do this, or does not say who it is.
    #[error(transparent)]
    Denied(#[from] Denied),
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
            Refusal::Denied(denied) => match denied {
                // As the generated code says it: the caller learns nothing but that.
                Denied::NoSuchRpc => return Status::unimplemented(""),
                Denied::NoCredentials(_) => (Code::Unauthenticated, "CREDENTIALS_MISSING"),
                Denied::BadCredentials | Denied::UnknownToken => {
                    (Code::Unauthenticated, "CREDENTIALS_UNKNOWN")
                }
                Denied::UnknownCertificate(_) | Denied::RoleTooLow(_) => {
                    (Code::PermissionDenied, "ROLE_TOO_LOW")
                }
                Denied::ReadOnly => (Code::PermissionDenied, "ANONYMOUS_WRITE"),
            },
            Refusal::Internal => (Code::Internal, "SERVICE_FAILED"),
        };
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if matches!(refusal, Refusal::Busy(_) | Refusal::Stopping) {
            details.set_retry_info(Some(RETRY));
        }
        Status::with_error_details(code, refusal.to_string(), details)
    }
}

/// The type of a movie, as a resource (AIP-123).
const MOVIE: &str = "movie.catalog.v1.Movie";

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let number = |name: &str, number: u64| HashMap::from([(name.to_owned(), number.to_string())]);
        let (code, reason, metadata, details) = match error {
            CallError::Missing(ids) => {
                let more = if ids.len() > 1 { number("missing", ids.len() as u64) } else { HashMap::new() };
                let resources = named(&ids).iter().map(|id| resource(id)).collect();
                (Code::NotFound, "MOVIE_NOT_FOUND", more, resources)
            }
            CallError::TooLarge { .. } => {
                (Code::ResourceExhausted, "BATCH_TOO_LARGE", HashMap::new(), vec![])
            }
            CallError::PageTokenInvalid => {
                let token = Violation::new("page_token", "expected the next_page_token of the page before");
                (Code::InvalidArgument, "PAGE_TOKEN_INVALID", HashMap::new(), vec![bad_request(vec![token])])
            }
            CallError::PageTokenExpired => (Code::OutOfRange, "PAGE_TOKEN_EXPIRED", HashMap::new(), vec![]),
            CallError::Compacted { oldest, .. } => {
                (Code::OutOfRange, "REVISION_COMPACTED", number("oldest_revision", oldest), vec![])
            }
            CallError::HistoryChanged { .. } => (Code::OutOfRange, "HISTORY_CHANGED", HashMap::new(), vec![]),
            CallError::RevisionUnknown { revision, .. } => {
                (Code::OutOfRange, "REVISION_UNKNOWN", number("revision", revision), vec![])
            }
            CallError::TooSlow { resume } => {
                (Code::Aborted, "WATCHER_TOO_SLOW", number("resume_revision", resume), vec![])
            }
            CallError::Stopping => return Refusal::Stopping.into(),
            CallError::Write(error) => {
                let (code, reason, details) = written(error);
                (code, reason, HashMap::new(), details)
            }
        };
        let mut all = vec![ErrorDetail::from(ErrorInfo::new(reason, DOMAIN, metadata))];
        all.extend(details);
        Self::with_error_details_vec(code, message, all)
    }
}

/// Returns the code, the reason and the details of a write that was not done.
fn written(error: WriteError) -> (Code, &'static str, Vec<ErrorDetail>) {
    match error {
        WriteError::Invalid(violations) => {
            (Code::InvalidArgument, "INVALID_FIELDS", vec![bad_request(violations)])
        }
        WriteError::RequestIdReused => {
            let expected = Violation::new("request_id", "expected one that was not used for another movie");
            (Code::InvalidArgument, "REQUEST_ID_REUSED", vec![bad_request(vec![expected])])
        }
        WriteError::NotFound(id) => (Code::NotFound, "MOVIE_NOT_FOUND", vec![resource(&id)]),
        WriteError::Exists(id) => (Code::AlreadyExists, "MOVIE_EXISTS", vec![resource(&id)]),
        WriteError::Stale(id) => (Code::Aborted, "ETAG_STALE", vec![resource(&id)]),
        WriteError::ReadOnly => (Code::FailedPrecondition, "CATALOG_READ_ONLY", vec![]),
        WriteError::Unavailable(_) => {
            (Code::Unavailable, "STORE_UNAVAILABLE", vec![RetryInfo::new(Some(RETRY)).into()])
        }
        WriteError::StoreReadOnly => {
            (Code::Unavailable, "STORE_READ_ONLY", vec![RetryInfo::new(Some(RETRY)).into()])
        }
        WriteError::OutcomeUnknown => {
            (Code::Unavailable, "OUTCOME_UNKNOWN", vec![RetryInfo::new(Some(RETRY)).into()])
        }
        WriteError::Rejected => (Code::Internal, "SERVICE_FAILED", vec![]),
    }
}

fn resource(id: &str) -> ErrorDetail {
    // An id that is no id may be of any length.
    let id = id.chars().take(crate::movie::MOST_ID).collect::<String>();
    ResourceInfo::new(MOVIE, id, "", "").into()
}

fn bad_request(violations: Vec<Violation>) -> ErrorDetail {
    let violations = violations
        .into_iter()
        .map(|Violation { field, description }| FieldViolation::new(field, description));
    tonic_types::BadRequest::new(violations.collect::<Vec<_>>()).into()
}

/// Returns the status in the headers or trailers of an answer.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Replaces a status in headers or trailers that was not made for callers: what libraries say of a failure names their
/// own inner parts, and goes to the log instead. Returns what it was replaced by.
pub(super) fn hide_internals(headers: &mut HeaderMap) -> Option<Refusal> {
    let code = code(headers).filter(|code| matches!(code, Code::Internal | Code::Unknown))?;
    if headers.contains_key(GRPC_STATUS_DETAILS) {
        return None;
    }
    let status = Status::from_header_map(headers);
    let hidden = status.as_ref().map_or("", Status::message);
    let refusal = if code == Code::Internal {
        // Nothing here fails in this way but what reads requests.
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
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY));
        assert!(Status::from(Refusal::Late).get_error_details().retry_info().is_none());
    }

    #[test]
    fn ids_that_are_missing_are_named_as_far_as_they_fit_the_headers_that_clients_take() {
        for (id, least) in
            [("720d006c-3a57-4b6a-b18f-9b713b073f3c", 15), (&"x".repeat(128), 5), (&"😀".repeat(128), 1)]
        {
            let status = Status::from(CallError::Missing(vec![id.to_owned(); 1_000]));
            let named = status.get_error_details_vec().len() - 1;
            assert!(named >= least, "{named}");
            assert!(status.message().ends_with(&format!("and {} more", 1_000 - named)), "{status}");
            let mut headers = HeaderMap::new();
            status.add_header(&mut headers).unwrap();
            // As HTTP/2 counts them (RFC 9113, section 6.5.2).
            let size: usize =
                headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            assert!(size < 8_000, "{size}");
        }
    }

    #[test]
    fn a_store_that_fails_says_whether_the_write_may_be_done_and_when_to_try_again() {
        for (error, reason) in [
            (WriteError::Unavailable("its disk is full".into()), "STORE_UNAVAILABLE"),
            (WriteError::StoreReadOnly, "STORE_READ_ONLY"),
            (WriteError::OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ] {
            let status = Status::from(CallError::Write(error.clone()));
            assert_eq!((status.code(), status.message()), (Code::Unavailable, error.to_string().as_str()));
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY));
        }
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
