//! Error messages, hints and exit codes.

use std::io;

use super::field_flags::flag_for;
use crate::{Error, InvalidField};

/// Result of a command. The values are exit codes, on which scripts depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Done = 0,
    /// No movie has the id, or one of the ids.
    NotFound = 1,
    /// The command line is invalid. clap uses this exit code, too.
    UsageError = 2,
    /// The service rejects the request: a field is invalid, the id exists, the movie has changed, or the catalogue is
    /// read-only.
    Refused = 3,
    /// The service reports that it is not serving.
    NotServing = 4,
    /// The service is unreachable or unavailable.
    Unavailable = 5,
    /// The deadline expired.
    DeadlineExceeded = 6,
    /// The caller is not authenticated, or lacks the permission.
    NotAllowed = 7,
    /// Any other failure.
    Failed = 8,
    /// More than half of the rows of an import were rejected.
    MostRowsRejected = 9,
    /// The watch cannot resume: the history has changed, the changes were compacted, or the revision is unknown.
    CannotResume = 10,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

/// An invalid command line that clap accepts.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A rejected row that ends a strict import.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RejectedRow(pub String);

/// Advice about an error, attached as its context.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Hint(pub String);

/// Returns the exit code for an error.
#[must_use]
pub fn exit(error: &anyhow::Error) -> Exit {
    // A closed pipe is not a failure: the reader has seen enough.
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_pipe)) {
        return Exit::Done;
    }
    if error.is::<UsageError>() {
        return Exit::UsageError;
    }
    if error.is::<RejectedRow>() {
        return Exit::Refused;
    }
    match error.downcast_ref::<Error>() {
        Some(Error::NotFound { .. }) => Exit::NotFound,
        Some(
            Error::AlreadyExists { .. }
            | Error::Invalid { .. }
            | Error::Conflict { .. }
            | Error::ReadOnly { .. }
            | Error::PageTokenExpired
            | Error::WatcherTooSlow
            | Error::TooLarge { .. },
        ) => Exit::Refused,
        Some(
            Error::Unreachable { .. }
            | Error::UntrustedCertificate { .. }
            | Error::TlsMismatch { .. }
            | Error::NotGrpc { .. }
            | Error::ResourceExhausted { .. }
            | Error::Unavailable { .. }
            | Error::OutcomeUnknown { .. },
        ) => Exit::Unavailable,
        Some(Error::HistoryChanged | Error::RevisionCompacted { .. } | Error::RevisionUnknown { .. }) => {
            Exit::CannotResume
        }
        Some(Error::DeadlineExceeded { .. }) => Exit::DeadlineExceeded,
        Some(
            Error::Unauthenticated { .. } | Error::PermissionDenied { .. } | Error::AnonymousWrite { .. },
        ) => Exit::NotAllowed,
        Some(Error::Config(_) | Error::Address(_)) => Exit::UsageError,
        None | Some(Error::SearchOff { .. } | Error::Unimplemented { .. } | Error::Failed { .. }) => {
            Exit::Failed
        }
    }
}

/// Returns the message for an error, with a hint on a second line if one is known.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    if let Some(hint) = error.downcast_ref::<Hint>() {
        let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
        return format!("error: {}\n  {hint}", causes.join(": "));
    }
    match error.downcast_ref::<Error>() {
        Some(Error::Invalid { fields, .. }) if !fields.is_empty() => {
            let fields: Vec<_> = fields.iter().map(invalid_value).collect();
            format!("error: {}", fields.join("; "))
        }
        error_of_call => match error_of_call.and_then(hint_for) {
            Some(hint) => format!("error: {error:#}\n  {hint}"),
            None => format!("error: {error:#}"),
        },
    }
}

/// Describes an invalid field by the name of the flag that sets it, because the caller has not seen the request.
fn invalid_value(InvalidField { field, description }: &InvalidField) -> String {
    match flag_for(field) {
        Some(flag) => format!("invalid value for {flag}: {description}"),
        None => format!("{field}: {description}"),
    }
}

fn hint_for(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Unreachable { .. } => {
            "start one with `movie-service`, or `cargo run -p movie-service` in its sources, or give another address with --address HOST:PORT; --verbose shows each step"
        }
        Error::UntrustedCertificate { .. } => "give the certificate of its authority with --tls-ca FILE",
        Error::TlsMismatch { server_uses_tls: true, .. } => {
            "add --tls, or --tls-ca FILE if the system does not trust the authority of its certificate"
        }
        Error::TlsMismatch { server_uses_tls: false, .. } => {
            "write http:// instead of https://, and leave out --tls, --tls-ca, --client-cert and their variables"
        }
        Error::NotGrpc { .. } => "give the address of a movie service with --address HOST:PORT",
        Error::ResourceExhausted { .. } => {
            "make fewer calls at a time; --tries sets the number of automatic attempts"
        }
        Error::Unavailable { .. } => "try again later; --tries sets the number of automatic attempts",
        Error::DeadlineExceeded { .. } => "--verbose shows each step; --timeout extends the deadline",
        Error::OutcomeUnknown { .. } => "get the movie to check whether it was changed",
        Error::AlreadyExists { .. } => "use `update` to change the movie, or omit the id to generate one",
        Error::Conflict { .. } => "`get` prints the current movie with its etag",
        Error::ReadOnly { .. } => {
            "cargo run -p movie-service -- --database sqlite:movies.db --listen 127.0.0.1:3001 --allow-anonymous-writes"
        }
        Error::PageTokenExpired => "list or search again",
        Error::HistoryChanged | Error::RevisionCompacted { .. } => {
            "use `watch --copy`, which begins with all movies and requests another copy when necessary"
        }
        Error::RevisionUnknown { .. } => {
            "if the store was restored, use `watch --copy`; otherwise the revision belongs to another service"
        }
        Error::Unauthenticated { .. } => {
            "give a token with MOVIE_TOKEN or --token, or a certificate with --client-cert and --client-key"
        }
        Error::PermissionDenied { .. } => "use a token whose role has this permission",
        Error::AnonymousWrite { .. } => {
            "only the operator of the service can change this; a token alone does not help"
        }
        Error::TooLarge { .. } => "request less data per call",
        Error::SearchOff { .. } => {
            "only the operator of the service can turn it on; `list` filters the movies"
        }
        Error::Unimplemented { .. } => {
            "the server may implement only the course's contract: `get ID`, and `list` without a filter or an order"
        }
        Error::Config(_)
        | Error::Address(_)
        | Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::Failed { .. }
        | Error::WatcherTooSlow => return None,
    })
}
