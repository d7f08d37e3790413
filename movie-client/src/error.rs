//! Errors of calls.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorDetails, StatusExt};

use crate::address::InvalidAddress;
use crate::channel::NotGrpc;

/// Longest part of a service's message that is shown, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// The error of a call. Its text is one line for people; its fields are for programs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is invalid.
    #[error("{0}")]
    Config(String),
    /// An address is invalid.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// No service responds at the address. The call was not sent.
    #[error("no movie service at {address}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// The reason, for example an error of the operating system.
        reason: String,
    },
    /// The certificate of the service is not trusted. The call was not sent.
    #[error("the certificate of {address} is not trusted: {reason}")]
    UntrustedCertificate {
        /// The address.
        address: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// Only one of client and server uses TLS. The call was not processed.
    #[error("{}", tls_mismatch(address, *server_uses_tls))]
    TlsMismatch {
        /// The address.
        address: String,
        /// Whether it is the server that uses TLS.
        server_uses_tls: bool,
    },
    /// The server at the address does not use HTTP/2, which gRPC needs. The call was not processed.
    #[error("{address} is not a gRPC service: {reason}")]
    NotGrpc {
        /// The address.
        address: String,
        /// Which protocol the server uses, as far as known.
        reason: String,
    },
    /// The service cannot process the call now, or the connection was lost.
    #[error("{address} is unavailable: {message}")]
    Unavailable {
        /// The address.
        address: String,
        /// Message of the service or of the operating system.
        message: String,
    },
    /// The service lost its store during a write. The outcome is unknown.
    #[error("the outcome of the write at {address} is unknown: {message}")]
    OutcomeUnknown {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The deadline of the call expired.
    #[error("{address} did not respond within {}", seconds(*.after))]
    DeadlineExceeded {
        /// The address.
        address: String,
        /// The deadline.
        after: Duration,
    },
    /// No movie has the id, or one of the ids.
    #[error("{message}")]
    NotFound {
        /// Message of the service.
        message: String,
        /// The unknown ids, as far as the service lists them.
        ids: Vec<String>,
    },
    /// Another movie has the id.
    #[error("{message}")]
    AlreadyExists {
        /// Message of the service.
        message: String,
    },
    /// The request has invalid fields.
    #[error("{message}")]
    Invalid {
        /// Message of the service.
        message: String,
        /// All invalid fields.
        fields: Vec<InvalidField>,
    },
    /// The movie has changed since its etag was read.
    #[error("{message}")]
    Conflict {
        /// Message of the service.
        message: String,
    },
    /// The catalogue is read-only.
    #[error("{message}")]
    ReadOnly {
        /// Message of the service.
        message: String,
    },
    /// The service no longer has the revision of the list.
    #[error("the page token has expired: the list has changed too much since its first page")]
    PageTokenExpired,
    /// The service no longer has the changes since the revision.
    #[error("the service no longer has the changes since that revision{}", oldest.map(|oldest| format!("; the oldest is {oldest}")).unwrap_or_default())]
    RevisionCompacted {
        /// Oldest revision from which a watch can resume.
        oldest: Option<u64>,
    },
    /// The store has another history than the watched one, for example after a restore or a failover that lost
    /// changes.
    #[error(
        "the store has another history than before, for example after a restore or a failover that lost changes"
    )]
    HistoryChanged,
    /// The catalogue has not reached the revision.
    #[error("the catalogue has not reached that revision{}", newest.map(|newest| format!("; it is at {newest}")).unwrap_or_default())]
    RevisionUnknown {
        /// Current revision of the catalogue.
        newest: Option<u64>,
    },
    /// The watcher read the changes too slowly.
    #[error("the watcher reads the changes too slowly")]
    WatcherTooSlow,
    /// The caller has no valid credentials.
    #[error("{address} did not authenticate the caller: {message}")]
    Unauthenticated {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The caller lacks the permission.
    #[error("{address} denied permission: {message}")]
    PermissionDenied {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The service accepts no writes, because it has no list of callers.
    #[error("{address} denied permission: {message}")]
    AnonymousWrite {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The service, or the quota of this caller, has no capacity for the call.
    #[error("{address} is busy: {message}")]
    ResourceExhausted {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The request or its response is too large.
    #[error("the message is too large for {address}: {message}")]
    TooLarge {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// The service was started without search.
    #[error("search is off at {address}")]
    SearchOff {
        /// The address.
        address: String,
    },
    /// The service does not implement the call.
    #[error("{address} does not implement this call{}{message}", if message.is_empty() { "" } else { ": " })]
    Unimplemented {
        /// The address.
        address: String,
        /// Message of the service.
        message: String,
    },
    /// Any other error of the service, or of another server at the address.
    #[error("the call to {address} failed: {code:?}: {message}")]
    Failed {
        /// The address.
        address: String,
        /// The gRPC status code.
        code: Code,
        /// Message of the service.
        message: String,
    },
}

/// An invalid field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Path of the field, such as `movie.rating`.
    pub field: String,
    /// What is wrong with the field.
    pub description: String,
}

impl Error {
    /// Returns whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unavailable { .. }
                | Self::DeadlineExceeded { .. }
                | Self::ResourceExhausted { .. }
        )
    }

    /// Converts the status of a call to `address` with this deadline.
    pub(crate) fn from_status(status: &Status, address: &str, deadline: Duration) -> Self {
        let address = address.to_owned();
        if was_not_sent(status) {
            return Self::Unreachable { address, reason: root_cause(status) };
        }
        // tonic also enforces the deadline, and may be the first to do so.
        if error_chain(status).any(<dyn StdError>::is::<tonic::TimeoutExpired>) {
            return Self::DeadlineExceeded { address, after: deadline };
        }
        if let Some(page) = not_grpc(status) {
            return Self::from_http_response(page, address);
        }
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| info.reason.as_str());
        let message = escape_for_display(status.message());
        match (status.code(), reason) {
            (Code::Unavailable, "OUTCOME_UNKNOWN") => Self::OutcomeUnknown { address, message },
            _ if is_connection_lost(status) => Self::Unavailable { address, message: root_cause(status) },
            (Code::Unavailable, _) => Self::Unavailable { address, message },
            (Code::DeadlineExceeded, _) => Self::DeadlineExceeded { address, after: deadline },
            (Code::NotFound, _) => Self::NotFound { message, ids: missing_ids(status) },
            (Code::AlreadyExists, _) => Self::AlreadyExists { message },
            (Code::InvalidArgument, _) => Self::Invalid { message, fields: invalid_fields(&details) },
            (Code::Aborted, "ETAG_STALE") => Self::Conflict { message },
            (Code::FailedPrecondition, "CATALOG_READ_ONLY") => Self::ReadOnly { message },
            (Code::OutOfRange, "PAGE_TOKEN_EXPIRED") => Self::PageTokenExpired,
            (Code::OutOfRange, "HISTORY_CHANGED") => Self::HistoryChanged,
            (Code::OutOfRange, "REVISION_COMPACTED") => {
                Self::RevisionCompacted { oldest: metadata_number(&details, "oldest_revision") }
            }
            (Code::OutOfRange, "REVISION_UNKNOWN") => {
                Self::RevisionUnknown { newest: metadata_number(&details, "revision") }
            }
            (Code::Aborted, "WATCHER_TOO_SLOW") => Self::WatcherTooSlow,
            (Code::Unauthenticated, _) => Self::Unauthenticated { address, message },
            (Code::PermissionDenied, "ANONYMOUS_WRITE") => Self::AnonymousWrite { address, message },
            (Code::PermissionDenied, _) => Self::PermissionDenied { address, message },
            (Code::ResourceExhausted, "BATCH_TOO_LARGE" | "MESSAGE_TOO_LARGE") => {
                Self::TooLarge { address, message }
            }
            (Code::ResourceExhausted, _) => Self::ResourceExhausted { address, message },
            (Code::Unimplemented, "SEARCH_OFF") => Self::SearchOff { address },
            (Code::Unimplemented, _) => Self::Unimplemented { address, message },
            (code, _) => Self::Failed { address, code, message },
        }
    }

    /// Converts an HTTP response of another server at `address`, such as a proxy without a backend.
    fn from_http_response(page: &NotGrpc, address: String) -> Self {
        match (page.code(), page.to_string()) {
            (Code::Unavailable, message) => Self::Unavailable { address, message },
            (Code::Unauthenticated, message) => Self::Unauthenticated { address, message },
            (Code::PermissionDenied, message) => Self::PermissionDenied { address, message },
            // Not `Unimplemented`, which means a gRPC service without this call.
            (code, message) => Self::Failed { address, code, message },
        }
    }
}

/// Returns whether the call was not sent, because the connection was lost before.
pub(crate) fn was_not_sent(status: &Status) -> bool {
    error_chain(status).any(<dyn StdError>::is::<tonic::ConnectError>)
}

/// Returns whether the connection was lost, in contrast to an error of the service.
pub(crate) fn is_connection_lost(status: &Status) -> bool {
    // A status from the service has no source. RST_STREAM and GOAWAY have one of these codes.
    matches!(status.code(), Code::Unknown | Code::Internal | Code::Unavailable | Code::Cancelled)
        && status.source().is_some()
        && not_grpc(status).is_none()
}

/// Returns the HTTP response that was not gRPC, if it caused the error.
fn not_grpc(status: &Status) -> Option<&NotGrpc> {
    error_chain(status).find_map(<dyn StdError>::downcast_ref)
}

/// Returns the innermost cause. The outer ones only say "transport error".
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    escape_for_display(&error_chain(error).last().unwrap_or(error).to_string())
}

fn error_chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let source =
        |error: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> { (*error).source() };
    std::iter::successors(Some(error), source)
}

/// Escapes and shortens text from a peer for one line of a terminal.
pub(crate) fn escape_for_display(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MAX_MESSAGE_CHARS) {
        if is_terminal_unsafe(character) {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Returns whether a terminal may interpret this character instead of displaying it. These are control characters,
/// and explicit directional characters, by which text can imitate other text
/// (<https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings>).
pub(crate) fn is_terminal_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn missing_ids(status: &Status) -> Vec<String> {
    let name = |detail| {
        let ErrorDetail::ResourceInfo(resource) = detail else { return None };
        Some(resource.resource_name)
    };
    status.get_error_details_vec().into_iter().filter_map(name).collect()
}

fn invalid_fields(details: &ErrorDetails) -> Vec<InvalidField> {
    let violations =
        details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    let field = |violation: &tonic_types::FieldViolation| InvalidField {
        field: escape_for_display(&violation.field),
        description: escape_for_display(&violation.description),
    };
    violations.iter().map(field).collect()
}

fn metadata_number(details: &ErrorDetails, name: &str) -> Option<u64> {
    details.error_info()?.metadata.get(name)?.parse().ok()
}

fn tls_mismatch(address: &str, server_uses_tls: bool) -> String {
    if server_uses_tls {
        format!("{address} uses TLS, but the client does not")
    } else {
        format!("{address} does not use TLS, but the client does")
    }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("{seconds} second{}", if time == Duration::from_secs(1) { "" } else { "s" })
}
