//! Commands of a store, their outcomes and errors.

use uuid::Uuid;

use crate::catalogue::{self, Record};
use crate::movie::{self, Field, MAX_ID_CHARS, Movie, MovieId, ValidMovie, Violation};
use crate::text::Escaped;

/// A write command, as a caller sends it. May be invalid.
#[derive(Clone, Debug)]
pub enum Command {
    /// Adds a movie.
    Create {
        /// The movie; an id is generated if it has none.
        movie: Movie,
        /// Idempotency key (AIP-155); empty for none.
        request_id: String,
    },
    /// Changes a movie.
    Update {
        /// The movie.
        movie: Movie,
        /// The etag that the movie must have now; empty for any.
        etag: String,
        /// The fields to change.
        fields: Vec<Field>,
        /// Adds the movie if it is missing.
        allow_missing: bool,
    },
    /// Removes a movie.
    Delete {
        /// Its id.
        id: String,
        /// The etag that the movie must have now; empty for any.
        etag: String,
        /// Does nothing if it is missing.
        allow_missing: bool,
    },
    /// Adds or replaces movies.
    Import(Vec<Movie>),
}

impl Command {
    /// Validates the command alone, without the stored movies. An import rejects invalid movies one by one.
    ///
    /// # Errors
    ///
    /// All violations.
    pub fn validate(self) -> Result<(ValidCommand, Vec<Rejection>), Vec<Violation>> {
        let command = match self {
            Self::Create { movie, request_id } => create(movie, request_id)?,
            Self::Update { movie, etag, fields, allow_missing } => {
                // Other fields of the message change nothing.
                let is_used = |field| field == Field::Id || fields.contains(&field);
                let violations = movie::violations_of(&movie, is_used);
                if !violations.is_empty() {
                    return Err(violations);
                }
                let id = MovieId::try_from(movie.id.clone()).map_err(|violation| vec![violation])?;
                ValidCommand::Update { id, movie, etag, fields, allow_missing }
            }
            Self::Delete { id, etag, allow_missing } => {
                let id = MovieId::try_from(id).map_err(|violation| vec![violation])?;
                ValidCommand::Delete { id, etag, allow_missing }
            }
            Self::Import(movies) => {
                let (movies, rejected) = import(movies);
                return Ok((ValidCommand::Import(movies), rejected));
            }
        };
        Ok((command, Vec::new()))
    }
}

/// A validated command.
#[derive(Clone, Debug)]
pub enum ValidCommand {
    /// Adds a movie.
    Create {
        /// The movie, with an id.
        movie: ValidMovie,
        /// Makes the command idempotent.
        request: Option<Request>,
    },
    /// Changes a movie.
    Update {
        /// The id of the movie.
        id: MovieId,
        /// The new values of `fields`, which are valid. Other fields may be invalid.
        movie: Movie,
        /// The etag that the movie must have now; empty for any.
        etag: String,
        /// The fields to change.
        fields: Vec<Field>,
        /// Adds the movie if it is missing.
        allow_missing: bool,
    },
    /// Removes a movie.
    Delete {
        /// Its id.
        id: MovieId,
        /// The etag that the movie must have now; empty for any.
        etag: String,
        /// Does nothing if it is missing.
        allow_missing: bool,
    },
    /// Adds or replaces movies.
    Import(Vec<ValidMovie>),
}

/// The idempotency key of a command, with a fingerprint of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The key (AIP-155).
    pub id: String,
    /// A hash of the movie in the request, before an id was generated.
    pub fingerprint: u64,
}

impl ValidCommand {
    /// Returns the idempotency key, if any.
    pub(super) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Create { request, .. } => request.as_ref().map(|request| request.id.as_str()),
            Self::Update { .. } | Self::Delete { .. } | Self::Import(_) => None,
        }
    }

    /// Returns the maximum number of movies that it writes.
    pub(super) fn max_movies(&self) -> usize {
        match self {
            Self::Import(movies) => movies.len(),
            Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } => 1,
        }
    }
}

fn create(movie: Movie, request_id: String) -> Result<ValidCommand, Vec<Violation>> {
    let movie = movie.without_times();
    let fingerprint = (!request_id.is_empty()).then(|| catalogue::fingerprint(&movie));
    // Ids that start with the time are neighbours in the store's index, so a transaction writes few of its pages.
    let id = if movie.id.is_empty() { Uuid::now_v7().to_string() } else { movie.id };
    let movie = ValidMovie::try_from(Movie { id, ..movie });
    // A request id is optional, and follows the rule of an id.
    if !request_id.is_empty() && !MovieId::is_valid(&request_id) {
        let expected =
            format!("expected at most {MAX_ID_CHARS} characters, none of them a control character");
        let mut violations = movie.err().unwrap_or_default();
        violations.push(Violation::new("request_id", expected));
        return Err(violations);
    }
    let request = fingerprint.map(|fingerprint| Request { id: request_id, fingerprint });
    Ok(ValidCommand::Create { movie: movie?, request })
}

/// Splits movies into valid ones, and rejections of the others.
fn import(movies: Vec<Movie>) -> (Vec<ValidMovie>, Vec<Rejection>) {
    let (mut valid, mut rejected) = (Vec::with_capacity(movies.len()), Vec::new());
    for (index, movie) in movies.into_iter().enumerate() {
        let id = movie.id.chars().take(MAX_ID_CHARS).collect();
        match ValidMovie::try_from(movie.without_times()) {
            Ok(movie) => valid.push(movie),
            Err(violations) => rejected.push(Rejection { index, id, reason: Violation::join(&violations) }),
        }
    }
    (valid, rejected)
}

/// The outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The movie as it is now.
    Movie(Record),
    /// The movie was deleted, or was missing and `allow_missing` was set.
    Deleted,
    /// The counts of an import.
    Imported(Imported),
}

/// The outcome of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Number of movies that were added.
    pub created: u64,
    /// Number of movies that replaced different ones.
    pub updated: u64,
    /// Number of movies that were left unchanged, because they were identical.
    pub unchanged: u64,
    /// Movies that were rejected.
    pub rejected: Vec<Rejection>,
}

/// A movie that an import rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its index in the command.
    pub index: usize,
    /// Its id, shortened if it is too long.
    pub id: String,
    /// All its violations.
    pub reason: String,
}

/// Error of a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The command is invalid.
    #[error("{}", Violation::join(.0))]
    Invalid(Vec<Violation>),
    /// The idempotency key belongs to another request.
    #[error("the request_id was used for another movie; use a new one for each movie")]
    RequestIdReused,
    /// No movie has the id.
    #[error("no movie has the id `{}`", Escaped(.0))]
    NotFound(String),
    /// Another movie has the id.
    #[error("a movie with the id `{}` already exists", Escaped(.0))]
    Exists(String),
    /// The movie has changed since its etag was read.
    #[error("the movie `{}` has changed since its etag was read; read it again", Escaped(.0))]
    Stale(String),
    /// The database is a JSON file.
    #[error(
        "the movies are in a JSON file, which the service does not write; start it with `--database sqlite:movies.db \
         --listen 127.0.0.1:3001 --allow-anonymous-writes`, or with --tokens FILE instead of the last flag"
    )]
    ReadOnly,
    /// No reachable host of the store accepts writes.
    #[error(
        "the store is read-only at the moment, nothing was changed: only read-only hosts, such as standbys, can be \
         reached; reads continue, try again in a second"
    )]
    StoreReadOnly,
    /// The database file was deleted, moved away or emptied. A retry does not help, and the caller may be the one who did it.
    #[error(
        "the store accepts no writes, nothing was changed: its database file is gone or empty; reads continue; put \
         the file back, or restart the service to begin with a new one"
    )]
    StoreFileGone,
    /// The database rejected a value.
    #[error("the store refused the write, nothing was changed; this is not the caller's fault")]
    Rejected,
    /// The store accepts no writes at the moment.
    #[error(
        "the store accepts no writes at the moment, nothing was changed: {0}; reads continue, try again in a second"
    )]
    Unavailable(String),
    /// The outcome is unknown: COMMIT failed or timed out, or the store task ended before it returned an outcome.
    #[error(
        "the connection to the store was lost during the commit, the outcome of the write is unknown; read the movie \
         before you try again"
    )]
    OutcomeUnknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(command: Command) -> Vec<String> {
        let violations = command.validate().err().unwrap_or_default();
        violations.into_iter().map(|violation| violation.field).collect()
    }

    fn movie(id: &str, title: &str) -> Movie {
        Movie { id: id.into(), title: title.into(), ..Movie::default() }
    }

    #[test]
    fn a_create_needs_a_movie_and_a_request_id_of_printable_characters() {
        let create = |id, title, request_id: &str| Command::Create {
            movie: movie(id, title),
            request_id: request_id.into(),
        };
        assert!(fields(create("", "Creed", "")).is_empty());
        assert_eq!(fields(create("", "", "a\0b")), ["movie.title", "request_id"]);
        assert_eq!(fields(create("a\nb", "Creed", &"x".repeat(129))), ["movie.id", "request_id"]);
    }

    #[test]
    fn a_create_without_an_id_gets_a_new_one_and_stays_the_same_request() {
        let create = |id: &str, rating| {
            let movie = Movie { rating, ..movie(id, "Creed") };
            match (Command::Create { movie, request_id: "r".into() }).validate() {
                Ok((ValidCommand::Create { movie, request: Some(request) }, _)) => (movie.id(), request),
                other => panic!("{other:?}"),
            }
        };
        let [(id, request), (other_id, same_request)] = [create("", None), create("", None)];
        assert!(Uuid::parse_str(&id).is_ok() && id != other_id);
        assert_eq!(request, same_request);
        for (id, rating) in [("7", None), ("", Some(0.0)), ("", Some(8.5))] {
            assert_ne!(create(id, rating).1, request, "{id} {rating:?}");
        }
    }

    #[test]
    fn only_the_fields_that_an_update_changes_are_validated() {
        let movie = Movie { id: "7".into(), year: 1, rating: Some(11.0), ..Movie::default() };
        let update = |movie: &Movie, fields: &[Field]| Command::Update {
            movie: movie.clone(),
            etag: String::new(),
            fields: fields.into(),
            allow_missing: true,
        };
        assert_eq!(fields(update(&movie, &[Field::Year])), ["movie.year"]);
        assert_eq!(fields(update(&movie, &[Field::Title, Field::Rating])), ["movie.title", "movie.rating"]);
        assert!(fields(update(&movie, &[Field::Genres])).is_empty());
        assert_eq!(fields(update(&Movie::default(), &[])), ["movie.id"]);
    }

    #[test]
    fn a_delete_needs_an_id() {
        let delete = |id: &str| Command::Delete { id: id.into(), etag: String::new(), allow_missing: true };
        assert_eq!(fields(delete("")), ["id"]);
        assert!(fields(delete("7")).is_empty());
    }

    #[test]
    fn invalid_movies_of_an_import_are_rejected_and_keep_their_numbers() {
        let movies = vec![movie("1", ""), movie("2", "Creed"), movie("", "Spectre")];
        let Ok((ValidCommand::Import(valid), rejected)) = Command::Import(movies).validate() else {
            panic!()
        };
        assert_eq!(valid, [ValidMovie::try_from(movie("2", "Creed")).unwrap()]);
        assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [0, 2]);
        assert!(rejected[0].reason.contains("movie.title"), "{rejected:?}");
    }
}
