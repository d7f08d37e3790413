//! What went wrong, what to do about it, and the exit code.

use std::io;

use crate::Error;

/// How a command ended. The numbers are part of the command line: scripts depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// There is no such movie, or not of all ids.
    NoSuchMovie = 1,
    /// The command line is wrong. This is what clap ends with, too.
    WrongCommandLine = 2,
    /// The service refuses to do this: a field is wrong, the id is taken, the movie has changed, the store is read-only.
    Refused = 3,
    /// The service is there and says that it cannot be called.
    NotServing = 4,
    /// The service cannot be reached, or cannot do it now.
    Unavailable = 5,
    /// It took too long.
    OutOfTime = 6,
    /// The caller may not do this, or is not known.
    NotAllowed = 7,
    /// Anything else.
    Failed = 8,
    /// More than half of the rows of an import were rejected.
    MostRejected = 9,
    /// A watch cannot be resumed: the store has another history, no longer keeps the changes since, or has not come to that
    /// revision.
    CannotResume = 10,
    /// Ctrl-C.
    Interrupted = 130,
}

/// What the command line says makes no sense, in a way that clap does not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongCommandLine(pub String);

/// A row of an import cannot be taken, which is to end it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

/// What to do about an error, as its context.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Hint(pub String);

/// Returns how a command ended that failed.
#[must_use]
pub fn exit(error: &anyhow::Error) -> Exit {
    // That nobody reads on is no failure.
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_pipe)) {
        return Exit::Done;
    }
    if error.is::<WrongCommandLine>() {
        return Exit::WrongCommandLine;
    }
    if error.is::<Rejected>() {
        return Exit::Refused;
    }
    match error.downcast_ref::<Error>() {
        Some(Error::NotFound { .. }) => Exit::NoSuchMovie,
        Some(
            Error::AlreadyExists { .. }
            | Error::Invalid { .. }
            | Error::Conflict { .. }
            | Error::ReadOnly { .. }
            | Error::ListExpired
            | Error::TooSlow
            | Error::TooMuch { .. },
        ) => Exit::Refused,
        Some(
            Error::Unreachable { .. }
            | Error::Untrusted { .. }
            | Error::Busy { .. }
            | Error::Unavailable { .. }
            | Error::OutcomeUnknown { .. },
        ) => Exit::Unavailable,
        Some(Error::HistoryChanged | Error::Compacted { .. } | Error::RevisionUnknown { .. }) => {
            Exit::CannotResume
        }
        Some(Error::DeadlineExceeded { .. }) => Exit::OutOfTime,
        Some(Error::Unauthenticated { .. } | Error::PermissionDenied { .. }) => Exit::NotAllowed,
        Some(Error::Config(_) | Error::Address(_)) => Exit::WrongCommandLine,
        None | Some(Error::Unimplemented { .. } | Error::Failed { .. }) => Exit::Failed,
    }
}

/// Returns what to say of a failure: what and where, and in a second line what to do, if there is something.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    if let Some(hint) = error.downcast_ref::<Hint>() {
        let causes: Vec<_> = error.chain().skip(1).map(ToString::to_string).collect();
        return format!("error: {}\n  {hint}", causes.join(": "));
    }
    let text = format!("error: {error:#}");
    match error.downcast_ref::<Error>().and_then(advice) {
        Some(advice) => format!("{text}\n  {advice}"),
        None => text,
    }
}

fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::Unreachable { .. } => {
            "start one with `cargo run -p movie-service`, or name another with --address HOST:PORT; --verbose shows each step"
        }
        Error::Untrusted { .. } => "name the certificate of its authority with --tls-ca FILE",
        Error::Busy { .. } => "try again later, or with fewer calls at a time",
        Error::Unavailable { .. } => "try again later; --tries says how often that is done by itself",
        Error::DeadlineExceeded { .. } => {
            "is it a movie service? --verbose shows each step, --timeout gives it more time"
        }
        Error::OutcomeUnknown { .. } => "read the movie to see whether it was changed",
        Error::AlreadyExists { .. } => "change it with `update`, or leave the id out to get a new one",
        Error::Conflict { .. } => "`get` shows it as it is now, with its etag",
        Error::ListExpired => "list again",
        Error::HistoryChanged | Error::Compacted { .. } => {
            "begin again with `watch --copy`, which gives all movies as they are now and starts over by itself"
        }
        Error::RevisionUnknown { .. } => {
            "if the store was restored, begin again with `watch --copy`; otherwise it is the revision of another service"
        }
        Error::Unauthenticated { .. } => {
            "give a token with MOVIE_TOKEN or --token, or a certificate with --client-cert and --client-key"
        }
        Error::PermissionDenied { .. } => "use a token whose role may do this",
        Error::TooMuch { .. } => "ask for less at a time",
        Error::Unimplemented { .. } => "it may be a service of the course, which can only `get` and `list`",
        Error::Config(_)
        | Error::Address(_)
        | Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::ReadOnly { .. }
        | Error::Failed { .. }
        | Error::TooSlow => return None,
    })
}
