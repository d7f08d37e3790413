//! Why a call failed, for people and for programs.

use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetail, ErrorDetails, StatusExt};

use crate::address::InvalidAddress;
use crate::channel::NotGrpc;

/// As much of what a service says as is shown.
const MOST_CHARACTERS: usize = 500;

/// Why a call failed. Each is shown as one line for people; what a program may want to know of it is in its fields.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(String),
    /// An address makes no sense.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// Nobody answers at the address. The call has not left.
    #[error("no movie service at {address}: {reason}")]
    Unreachable {
        /// The address.
        address: String,
        /// Why, such as what the operating system says.
        reason: String,
    },
    /// The certificate of the service cannot be trusted. The call has not left.
    #[error("the certificate of {address} cannot be trusted: {reason}")]
    Untrusted {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The service is there but not for this call, or the connection was cut.
    #[error("{address} cannot answer now: {message}")]
    Unavailable {
        /// The address.
        address: String,
        /// What the service or the operating system says.
        message: String,
    },
    /// The store was lost while it took a write, which may be done or not.
    #[error("{address} does not know whether the write was done: {message}")]
    OutcomeUnknown {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// The call took too long.
    #[error("{address} gave no answer within {}", seconds(*.after))]
    DeadlineExceeded {
        /// The address.
        address: String,
        /// How long it had.
        after: Duration,
    },
    /// No movie has the id, or some of the ids.
    #[error("{message}")]
    NotFound {
        /// What the service says.
        message: String,
        /// The ids, as far as the service names them.
        ids: Vec<String>,
    },
    /// Another movie has the id.
    #[error("{message}")]
    AlreadyExists {
        /// What the service says.
        message: String,
    },
    /// Fields of the request are wrong.
    #[error("{message}")]
    Invalid {
        /// What the service says.
        message: String,
        /// All fields that are wrong.
        fields: Vec<InvalidField>,
    },
    /// The movie has changed since its etag was read.
    #[error("{message}")]
    Conflict {
        /// What the service says.
        message: String,
    },
    /// The store cannot be written.
    #[error("{message}")]
    ReadOnly {
        /// What the service says.
        message: String,
    },
    /// The service no longer has the revision of the list that is read page by page.
    #[error("the list has changed too much to go on with it")]
    ListExpired,
    /// The service no longer keeps the changes since that revision.
    #[error("changes since that revision are no longer kept{}", oldest.map(|oldest| format!("; the oldest is {oldest}")).unwrap_or_default())]
    Compacted {
        /// The oldest revision that can be resumed from.
        oldest: Option<u64>,
    },
    /// The store no longer continues the history that was followed: it was replaced, as by a restore or a failover that
    /// lost changes.
    #[error(
        "the store was replaced by one with another history, as after a restore or a failover that lost changes"
    )]
    HistoryChanged,
    /// The catalogue has not come to that revision.
    #[error("the catalogue has not come to that revision{}", newest.map(|newest| format!("; it is at {newest}")).unwrap_or_default())]
    RevisionUnknown {
        /// The revision of the catalogue.
        newest: Option<u64>,
    },
    /// The changes came faster than they were read.
    #[error("changes come faster than they are read")]
    TooSlow,
    /// The caller has not said who it is, or is not known.
    #[error("{address} does not know the caller: {message}")]
    Unauthenticated {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// The caller may not do this.
    #[error("{address} does not allow it: {message}")]
    PermissionDenied {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// There are too many calls for the service, or for this caller, at the moment.
    #[error("{address} is busy: {message}")]
    Busy {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// The request or its answer is too large.
    #[error("{address} refuses so much: {message}")]
    TooMuch {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// The service does not have the call.
    #[error("{address} does not have this call: {message}")]
    Unimplemented {
        /// The address.
        address: String,
        /// What the service says.
        message: String,
    },
    /// Anything else: a fault of the service, or of what is at the address instead of it.
    #[error("the call to {address} failed: {code:?}: {message}")]
    Failed {
        /// The address.
        address: String,
        /// The gRPC status code.
        code: Code,
        /// What the service says.
        message: String,
    },
}

/// A field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// Its path, such as `movie.rating`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Error {
    /// Returns whether the same call may go well later, without anything being changed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Unavailable { .. }
                | Self::DeadlineExceeded { .. }
                | Self::Busy { .. }
        )
    }

    /// Reads the status of a call to `address` that had so long.
    pub(crate) fn of(status: &Status, address: &str, deadline: Duration) -> Self {
        let address = address.to_owned();
        if never_left(status) {
            return Self::Unreachable { address, reason: root_cause(status) };
        }
        // tonic keeps to the deadline as well, and may be the first to.
        if chain(status).any(<dyn StdError>::is::<tonic::TimeoutExpired>) {
            return Self::DeadlineExceeded { address, after: deadline };
        }
        if let Some(page) = not_grpc(status) {
            return Self::of_page(page, address);
        }
        let details = status.get_error_details();
        let reason = details.error_info().map_or("", |info| info.reason.as_str());
        let message = shown(status.message());
        match (status.code(), reason) {
            (Code::Unavailable, "OUTCOME_UNKNOWN") => Self::OutcomeUnknown { address, message },
            _ if is_cut(status) => Self::Unavailable { address, message: root_cause(status) },
            (Code::Unavailable, _) => Self::Unavailable { address, message },
            (Code::DeadlineExceeded, _) => Self::DeadlineExceeded { address, after: deadline },
            (Code::NotFound, _) => Self::NotFound { message, ids: missing(status) },
            (Code::AlreadyExists, _) => Self::AlreadyExists { message },
            (Code::InvalidArgument, _) => Self::Invalid { message, fields: fields(&details) },
            (Code::Aborted, "ETAG_STALE") => Self::Conflict { message },
            (Code::FailedPrecondition, "CATALOG_READ_ONLY") => Self::ReadOnly { message },
            (Code::OutOfRange, "PAGE_TOKEN_EXPIRED") => Self::ListExpired,
            (Code::OutOfRange, "HISTORY_CHANGED") => Self::HistoryChanged,
            (Code::OutOfRange, "REVISION_COMPACTED") => {
                Self::Compacted { oldest: number(&details, "oldest_revision") }
            }
            (Code::OutOfRange, "REVISION_UNKNOWN") => {
                Self::RevisionUnknown { newest: number(&details, "revision") }
            }
            (Code::Aborted, "WATCHER_TOO_SLOW") => Self::TooSlow,
            (Code::Unauthenticated, _) => Self::Unauthenticated { address, message },
            (Code::PermissionDenied, _) => Self::PermissionDenied { address, message },
            (Code::ResourceExhausted, "BATCH_TOO_LARGE" | "MESSAGE_TOO_LARGE") => {
                Self::TooMuch { address, message }
            }
            (Code::ResourceExhausted, _) => Self::Busy { address, message },
            (Code::Unimplemented, _) => Self::Unimplemented { address, message },
            (code, _) => Self::Failed { address, code, message },
        }
    }

    /// Reads what is at `address` instead of the service, such as a proxy whose service is gone.
    fn of_page(page: &NotGrpc, address: String) -> Self {
        match (page.code(), page.to_string()) {
            (Code::Unavailable, message) => Self::Unavailable { address, message },
            (Code::Unauthenticated, message) => Self::Unauthenticated { address, message },
            (Code::PermissionDenied, message) => Self::PermissionDenied { address, message },
            // Not `Unimplemented`, which says that a service without this call is there.
            (code, message) => Self::Failed { address, code, message },
        }
    }
}

/// Returns whether a call has not left: the connection was gone.
pub(crate) fn never_left(status: &Status) -> bool {
    chain(status).any(<dyn StdError>::is::<tonic::ConnectError>)
}

/// Returns whether it is the connection that broke, and not the service that refused.
pub(crate) fn is_cut(status: &Status) -> bool {
    // What comes from the service has no source; h2 says RST_STREAM and GOAWAY as codes of their own.
    matches!(status.code(), Code::Unknown | Code::Internal | Code::Unavailable | Code::Cancelled)
        && status.source().is_some()
        && not_grpc(status).is_none()
}

/// Returns the response that was not gRPC, if that is why a call failed.
fn not_grpc(status: &Status) -> Option<&NotGrpc> {
    chain(status).find_map(<dyn StdError>::downcast_ref)
}

/// Returns what is at the bottom of an error: the layers above it say no more than "transport error".
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    shown(&chain(error).last().unwrap_or(error).to_string())
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let source =
        |error: &&'a (dyn StdError + 'static)| -> Option<&'a (dyn StdError + 'static)> { (*error).source() };
    std::iter::successors(Some(error), source)
}

/// Makes what a peer says fit for one line of a terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(MOST_CHARACTERS) {
        if moves(character) {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a terminal may do something else than show the character in its place: control characters, and those that
/// turn the direction of writing, by which text can pass for another (<https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings>).
pub(crate) fn moves(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn missing(status: &Status) -> Vec<String> {
    let named = |detail| {
        let ErrorDetail::ResourceInfo(resource) = detail else { return None };
        Some(resource.resource_name)
    };
    status.get_error_details_vec().into_iter().filter_map(named).collect()
}

fn fields(details: &ErrorDetails) -> Vec<InvalidField> {
    let violations =
        details.bad_request().map(|request| request.field_violations.as_slice()).unwrap_or_default();
    let field = |violation: &tonic_types::FieldViolation| InvalidField {
        field: shown(&violation.field),
        description: shown(&violation.description),
    };
    violations.iter().map(field).collect()
}

fn number(details: &ErrorDetails, name: &str) -> Option<u64> {
    details.error_info()?.metadata.get(name)?.parse().ok()
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("{seconds} second{}", if time == Duration::from_secs(1) { "" } else { "s" })
}
