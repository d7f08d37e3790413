//! Conversion of errors to gRPC statuses, with details of `google.rpc` (AIP-193).

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorInfo, FieldViolation, ResourceInfo, RetryInfo, StatusExt};

use crate::movie::Violation;
use crate::servicer::error::{CallError, listed_ids};
use crate::store::WriteError;

/// Domain of the reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "movie-service";

/// Retry delay sent with temporary errors.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Resource type of a movie (AIP-123).
const MOVIE_TYPE: &str = "movie.catalog.v1.Movie";

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        let number = |name: &str, number: u64| HashMap::from([(name.to_owned(), number.to_string())]);
        let (code, reason, metadata, details) = match error {
            CallError::Missing(ids) => {
                let more = if ids.len() > 1 { number("missing", ids.len() as u64) } else { HashMap::new() };
                let resources = listed_ids(&ids).iter().map(|id| resource(id)).collect();
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
                (Code::OutOfRange, "REVISION_COMPACTED", number("oldest_revision", oldest.number()), vec![])
            }
            CallError::HistoryChanged { .. } => (Code::OutOfRange, "HISTORY_CHANGED", HashMap::new(), vec![]),
            CallError::RevisionUnknown { revision, .. } => {
                (Code::OutOfRange, "REVISION_UNKNOWN", number("revision", revision.number()), vec![])
            }
            CallError::TooSlow { resume } => {
                (Code::Aborted, "WATCHER_TOO_SLOW", number("resume_revision", resume.number()), vec![])
            }
            CallError::UnknownService { .. } => (Code::NotFound, "SERVICE_UNKNOWN", HashMap::new(), vec![]),
            CallError::SearchOff => (Code::Unimplemented, "SEARCH_OFF", HashMap::new(), vec![]),
            CallError::Busy => {
                let retry = RetryInfo::new(Some(RETRY_DELAY)).into();
                (Code::ResourceExhausted, "SERVICE_BUSY", HashMap::new(), vec![retry])
            }
            CallError::Stopping => {
                let retry = RetryInfo::new(Some(RETRY_DELAY)).into();
                (Code::Unavailable, "SERVICE_STOPPING", HashMap::new(), vec![retry])
            }
            CallError::Write(error) => {
                let (code, reason, details) = write_error(error);
                (code, reason, HashMap::new(), details)
            }
        };
        let mut all = vec![ErrorDetail::from(ErrorInfo::new(reason, DOMAIN, metadata))];
        all.extend(details);
        Self::with_error_details_vec(code, message, all)
    }
}

/// Returns the code, the reason and the details of a failed write.
fn write_error(error: WriteError) -> (Code, &'static str, Vec<ErrorDetail>) {
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
        WriteError::Unavailable(_) | WriteError::StoreFileGone => {
            (Code::Unavailable, "STORE_UNAVAILABLE", vec![RetryInfo::new(Some(RETRY_DELAY)).into()])
        }
        WriteError::StoreReadOnly => {
            (Code::Unavailable, "STORE_READ_ONLY", vec![RetryInfo::new(Some(RETRY_DELAY)).into()])
        }
        WriteError::OutcomeUnknown => {
            (Code::Unavailable, "OUTCOME_UNKNOWN", vec![RetryInfo::new(Some(RETRY_DELAY)).into()])
        }
        WriteError::Rejected => (Code::Internal, "SERVICE_FAILED", vec![]),
    }
}

fn resource(id: &str) -> ErrorDetail {
    // An invalid id may have any length.
    let id = id.chars().take(crate::movie::MAX_ID_CHARS).collect::<String>();
    ResourceInfo::new(MOVIE_TYPE, id, "", "").into()
}

fn bad_request(violations: Vec<Violation>) -> ErrorDetail {
    let violations = violations
        .into_iter()
        .map(|Violation { field, description }| FieldViolation::new(field, description));
    tonic_types::BadRequest::new(violations.collect::<Vec<_>>()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn as_many_missing_ids_are_listed_as_fit_the_headers_that_clients_accept() {
        for (id, min_listed) in
            [("720d006c-3a57-4b6a-b18f-9b713b073f3c", 15), (&"x".repeat(128), 5), (&"😀".repeat(128), 1)]
        {
            let status = Status::from(CallError::Missing(vec![id.to_owned(); 1_000]));
            let listed = status.get_error_details_vec().len() - 1;
            assert!(listed >= min_listed, "{listed}");
            assert!(status.message().ends_with(&format!("and {} more", 1_000 - listed)), "{status}");
            let mut headers = HeaderMap::new();
            status.add_header(&mut headers).unwrap();
            // As HTTP/2 counts them (RFC 9113, section 6.5.2).
            let size: usize =
                headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
            assert!(size < 8_000, "{size}");
        }
    }

    #[test]
    fn the_status_of_a_failed_store_says_whether_the_outcome_is_known_and_when_to_retry() {
        for (error, reason) in [
            (WriteError::Unavailable("its disk is full".into()), "STORE_UNAVAILABLE"),
            (WriteError::StoreFileGone, "STORE_UNAVAILABLE"),
            (WriteError::StoreReadOnly, "STORE_READ_ONLY"),
            (WriteError::OutcomeUnknown, "OUTCOME_UNKNOWN"),
        ] {
            let status = Status::from(CallError::Write(error.clone()));
            assert_eq!((status.code(), status.message()), (Code::Unavailable, error.to_string().as_str()));
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_DELAY));
        }
    }
}
