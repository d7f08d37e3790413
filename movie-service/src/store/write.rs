//! What can be asked of a store, and what comes of it.

use std::str::FromStr;

use movie_proto::catalog::v1::Movie;

use crate::movie::Violation;

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Adds a movie.
    Create {
        /// The movie; if it has no id, one is made.
        movie: Movie,
        /// Names the request, so that it can be repeated; empty if it cannot.
        request_id: String,
    },
    /// Changes a movie.
    Update {
        /// The movie; if it has an etag, that of the movie that is there has to be the same.
        movie: Movie,
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

/// What came of something that was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// The movie as it is now.
    Movie(Box<Movie>),
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
    /// How many were there alike.
    pub unchanged: u64,
    /// Those that could not be taken: number, id and what is wrong.
    pub rejected: Vec<(usize, String, String)>,
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The request is not what it should be.
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
    /// The store is not one to write to.
    #[error(
        "the movies are in a JSON file, which the service does not write; start it with --database sqlite:PATH"
    )]
    ReadOnly,
    /// The store takes nothing for now.
    #[error(
        "the store takes no writes for now, nothing was changed: {0}; reads go on, try again in a second"
    )]
    Unavailable(String),
    /// The store went away while it took the write.
    #[error(
        "the store was lost while it took the write, which may be done or not; read before you try again"
    )]
    Unknown,
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
