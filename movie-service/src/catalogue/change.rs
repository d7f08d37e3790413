//! Changes to a catalogue.

use crate::catalogue::encoding::frame::{InvalidMovie, MovieView};
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::HistoryPoint;
use crate::text::Escaped;

/// One change to the movies.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Adds a movie, at the end of the listing order.
    Insert(MovieView<'a>),
    /// Replaces the movie that has the same id; it keeps its position in the listing order.
    Update(MovieView<'a>),
    /// Adds the movie, or replaces the one that has the same id.
    Put(MovieView<'a>),
    /// Removes the movie that has this id.
    Delete(&'a str),
}

impl Change<'_> {
    /// Returns the id of the movie.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Insert(movie) | Self::Update(movie) | Self::Put(movie) => movie.id,
            Self::Delete(id) => id,
        }
    }
}

/// A change as a store committed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedChange {
    /// The history point after this change.
    pub point: HistoryPoint,
    /// The id of the movie.
    pub id: Box<str>,
    /// The movie after the change; `None` if it was removed.
    pub record: Option<Record>,
}

impl CommittedChange {
    /// Returns the change of a movie that comes directly after `point`.
    #[must_use]
    pub fn after(point: HistoryPoint, id: &str, record: Option<Record>) -> Self {
        let bytes = record.as_ref().map(|record| &**record.bytes());
        Self { point: point.next(id, bytes), id: id.into(), record }
    }
}

/// Error of applying committed changes. No change was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// They do not continue the history of the catalogue.
    #[error("the changes do not continue the history of the catalogue")]
    HistoryChanged,
    /// A change does not fit the movies.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Error of adding, changing or removing a movie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The movie is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidMovie),
    /// A movie with this id already exists.
    #[error("`{}` has the id `{}` already, expected every id once", Escaped(title), Escaped(id))]
    Exists {
        /// The id.
        id: String,
        /// The title of the existing movie.
        title: String,
    },
    /// No movie has this id.
    #[error("no movie has the id `{}`", Escaped(.0))]
    NotFound(String),
    /// The maximum number of segments is reached.
    #[error("the catalogue is full, expected at most 33 million segments")]
    Full,
}
