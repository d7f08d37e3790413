//! Commands of a store, their outcomes and errors.

use std::str::FromStr;

use crate::catalogue::Record;
use crate::movie::{self, Movie, Violation};

/// A write command.
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
        /// The etag that the movie must have now; empty if that does not matter.
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
        /// Its etag, or nothing if that does not matter.
        etag: String,
        /// Does nothing if it is missing.
        allow_missing: bool,
    },
    /// Adds or replaces movies.
    Import(Vec<Movie>),
}

impl Command {
    /// Validates the command by itself, without the stored movies. Movies of an import are validated by [`valid`].
    pub(super) fn violations(&self) -> Vec<Violation> {
        match self {
            Self::Create { movie, request_id } => {
                let mut violations = movie::violations(movie, "movie");
                if movie.id.is_empty() {
                    violations.retain(|violation| violation.field != "movie.id");
                }
                if movie::is_longer(request_id, movie::MAX_ID_CHARS)
                    || request_id.chars().any(char::is_control)
                {
                    let expected = format!(
                        "expected at most {} characters, none of them a control character",
                        movie::MAX_ID_CHARS
                    );
                    violations.push(Violation::new("request_id", expected));
                }
                violations
            }
            Self::Update { movie, fields, .. } => {
                let mut violations = movie::violations(movie, "movie");
                // Other fields of the message change nothing.
                let is_changed = |path: &str| fields.iter().any(|field| path == field.path());
                violations.retain(|Violation { field, .. }| field == "movie.id" || is_changed(field));
                violations
            }
            Self::Delete { id, .. } if !movie::is_id(id) => {
                vec![Violation::new("id", format!("expected {}", movie::ID))]
            }
            Self::Delete { .. } | Self::Import(_) => Vec::new(),
        }
    }

    /// Returns the idempotency key, if any.
    pub(super) fn request_id(&self) -> Option<&str> {
        match self {
            Self::Create { request_id, .. } if !request_id.is_empty() => Some(request_id),
            Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } | Self::Import(_) => None,
        }
    }

    /// Returns how many movies it writes at most.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Import(movies) => movies.len(),
            Self::Create { .. } | Self::Update { .. } | Self::Delete { .. } => 1,
        }
    }
}

/// Returns the movies that can be written, and the others with what is wrong with them.
pub(super) fn valid(movies: Vec<Movie>) -> (Vec<Movie>, Vec<Rejection>) {
    let (mut valid, mut rejected) = (Vec::with_capacity(movies.len()), Vec::new());
    for (index, movie) in movies.into_iter().enumerate() {
        let violations = movie::violations(&movie, "movie");
        if violations.is_empty() {
            valid.push(movie);
        } else {
            let id = movie.id.chars().take(movie::MAX_ID_CHARS).collect();
            rejected.push(Rejection { index, id, reason: list(&violations) });
        }
    }
    (valid, rejected)
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The movie as it is now.
    Movie(Record),
    /// It is gone.
    Deleted,
    /// What became of each movie.
    Imported(Imported),
}

/// What became of the movies of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many were added.
    pub created: u64,
    /// How many differed from what was there.
    pub updated: u64,
    /// How many were identical already.
    pub unchanged: u64,
    /// Movies that were rejected.
    pub rejected: Vec<Rejection>,
}

/// A movie of an import that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its number in the command, from 0.
    pub index: usize,
    /// Its id, shortened if it is too long.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The command is invalid.
    #[error("{}", list(.0))]
    Invalid(Vec<Violation>),
    /// The request id is that of another request.
    #[error("the request_id was used for another movie; take a new one for each movie")]
    RequestIdReused,
    /// There is no such movie.
    #[error("no movie has the id `{}`", crate::catalogue::Quoted(.0))]
    NotFound(String),
    /// There is such a movie.
    #[error("a movie with the id `{}` is there already", crate::catalogue::Quoted(.0))]
    Exists(String),
    /// The movie is not the one that was read.
    #[error("the movie `{}` has changed since its etag was read; read it again", crate::catalogue::Quoted(.0))]
    Stale(String),
    /// The database is a JSON file.
    #[error(
        "the movies are in a JSON file, which the service does not write; start it with --database sqlite:PATH"
    )]
    ReadOnly,
    /// No host of the store takes writes for now.
    #[error(
        "the store is read-only for now, nothing was changed: the hosts that can be reached take no writes, such as a \
         standby; reads go on, try again in a second"
    )]
    StoreReadOnly,
    /// The database rejected a value.
    #[error("the store refused the write, nothing was changed; this is not the caller's fault")]
    Rejected,
    /// The store takes nothing for now.
    #[error(
        "the store takes no writes for now, nothing was changed: {0}; reads go on, try again in a second"
    )]
    Unavailable(String),
    /// The store went away while it took the write.
    #[error(
        "the store was lost while it took the write, which may be done or not; read before you try again"
    )]
    OutcomeUnknown,
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A field of a movie that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Field {
    Title,
    Rating,
    Director,
    Year,
    Genres,
    RuntimeMinutes,
    Countries,
    Languages,
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 8] = [
        Self::Title,
        Self::Rating,
        Self::Director,
        Self::Year,
        Self::Genres,
        Self::RuntimeMinutes,
        Self::Countries,
        Self::Languages,
    ];

    /// Returns the path of the field in a request.
    fn path(self) -> &'static str {
        match self {
            Self::Title => "movie.title",
            Self::Rating => "movie.rating",
            Self::Director => "movie.director",
            Self::Year => "movie.year",
            Self::Genres => "movie.genres",
            Self::RuntimeMinutes => "movie.runtime_minutes",
            Self::Countries => "movie.countries",
            Self::Languages => "movie.languages",
        }
    }

    /// Returns whether the field has a value in a movie.
    #[must_use]
    pub fn is_set(self, movie: &Movie) -> bool {
        match self {
            Self::Title => !movie.title.is_empty(),
            Self::Rating => movie.rating.is_some(),
            Self::Director => !movie.director.is_empty(),
            Self::Year => movie.year != 0,
            Self::Genres => !movie.genres.is_empty(),
            Self::RuntimeMinutes => movie.runtime_minutes != 0,
            Self::Countries => !movie.countries.is_empty(),
            Self::Languages => !movie.languages.is_empty(),
        }
    }

    /// Copies the value of the field from one movie to another.
    pub fn copy(self, from: &Movie, to: &mut Movie) {
        match self {
            Self::Title => to.title.clone_from(&from.title),
            Self::Rating => to.rating = from.rating,
            Self::Director => to.director.clone_from(&from.director),
            Self::Year => to.year = from.year,
            Self::Genres => to.genres.clone_from(&from.genres),
            Self::RuntimeMinutes => to.runtime_minutes = from.runtime_minutes,
            Self::Countries => to.countries.clone_from(&from.countries),
            Self::Languages => to.languages.clone_from(&from.languages),
        }
    }
}

impl FromStr for Field {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "title" => Self::Title,
            "rating" => Self::Rating,
            "director" => Self::Director,
            "year" => Self::Year,
            "genres" => Self::Genres,
            "runtime_minutes" => Self::RuntimeMinutes,
            "countries" => Self::Countries,
            "languages" => Self::Languages,
            _ => return Err(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(command: &Command) -> Vec<String> {
        command.violations().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_create_needs_a_movie_and_a_request_id_of_printable_characters() {
        let create = |id: &str, title: &str, request_id: &str| Command::Create {
            movie: Movie { id: id.into(), title: title.into(), ..Movie::default() },
            request_id: request_id.into(),
        };
        assert!(fields(&create("", "Creed", "")).is_empty());
        assert_eq!(fields(&create("", "", "a\0b")), ["movie.title", "request_id"]);
        assert_eq!(fields(&create("a\nb", "Creed", &"x".repeat(129))), ["movie.id", "request_id"]);
    }

    #[test]
    fn of_an_update_only_the_fields_that_it_changes_are_checked() {
        let movie = Movie { id: "7".into(), year: 1, rating: Some(11.0), ..Movie::default() };
        let update = |fields| Command::Update {
            movie: movie.clone(),
            etag: String::new(),
            fields,
            allow_missing: false,
        };
        assert_eq!(fields(&update(vec![Field::Year])), ["movie.year"]);
        assert_eq!(fields(&update(vec![Field::Title, Field::Rating])), ["movie.title", "movie.rating"]);
        assert!(fields(&update(vec![Field::Genres])).is_empty());
        let nameless = Movie::default();
        assert_eq!(
            fields(&Command::Update {
                movie: nameless,
                etag: String::new(),
                fields: vec![],
                allow_missing: true
            }),
            ["movie.id"]
        );
    }

    #[test]
    fn a_delete_needs_an_id() {
        let delete = |id: &str| Command::Delete { id: id.into(), etag: String::new(), allow_missing: true };
        assert_eq!(fields(&delete("")), ["id"]);
        assert!(fields(&delete("7")).is_empty());
    }

    #[test]
    fn movies_that_cannot_be_written_are_taken_out_of_an_import_and_keep_their_numbers() {
        let movie = |id: &str, title: &str| Movie { id: id.into(), title: title.into(), ..Movie::default() };
        let (valid, rejected) = valid(vec![movie("1", ""), movie("2", "Creed"), movie("", "Spectre")]);
        assert_eq!(valid, [movie("2", "Creed")]);
        assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [0, 2]);
        assert!(rejected[0].reason.contains("movie.title"), "{rejected:?}");
    }
}
