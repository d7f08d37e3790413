//! Changes to a catalogue, and their validation.

use std::fmt;

use crate::catalogue::encoding::frame::{MAX_MESSAGE, Movie};
use crate::catalogue::encoding::record::Record;
use crate::catalogue::history::HistoryPoint;

/// One change to the movies.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Adds a movie, at the end of the listing order.
    Insert(Movie<'a>),
    /// Replaces the movie that has the same id; it keeps its place in the listing order.
    Update(Movie<'a>),
    /// Adds or replaces, whichever fits.
    Put(Movie<'a>),
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
pub struct Committed {
    /// The history with this change.
    pub point: HistoryPoint,
    /// The id of the movie.
    pub id: Box<str>,
    /// The movie after the change; `None` if it was removed.
    pub record: Option<Record>,
}

impl Committed {
    /// Returns the change of a movie that follows a point.
    #[must_use]
    pub fn after(point: HistoryPoint, id: &str, record: Option<Record>) -> Self {
        let bytes = record.as_ref().map(|record| &**record.bytes());
        Self { point: point.next(id, bytes), id: id.into(), record }
    }
}

/// Why committed changes could not be applied; none of them was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// They do not continue the history of the catalogue.
    #[error("the changes do not continue the history of the catalogue")]
    HistoryChanged,
    /// One does not fit the movies.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Why a movie could not be added, changed or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The id is empty.
    #[error("`id` is missing or empty, expected text that no other movie has")]
    NoId,
    /// The title is empty.
    #[error("`title` is missing or empty, expected the name of the movie")]
    NoTitle,
    /// The movie does not fit a message.
    #[error("the movie takes up to {0} bytes, expected at most {MAX_MESSAGE} (what gRPC clients accept)")]
    TooLarge(usize),
    /// There is a movie with this id already.
    #[error("`{}` has the id `{}` already, expected every id once", Quoted(title), Quoted(id))]
    Exists {
        /// The id.
        id: String,
        /// The title of the movie that has it.
        title: String,
    },
    /// No movie has this id.
    #[error("no movie has the id `{}`", Quoted(.0))]
    NotFound(String),
    /// No further segment can be addressed.
    #[error("the catalogue is full, expected at most 33 million segments")]
    Full,
}

/// Refuses what no catalogue may hold.
pub(super) fn check(movie: &Movie<'_>) -> Result<(), ChangeError> {
    if movie.id.is_empty() {
        return Err(ChangeError::NoId);
    }
    if movie.title.is_empty() {
        return Err(ChangeError::NoTitle);
    }
    if movie.max_message_len() > MAX_MESSAGE {
        return Err(ChangeError::TooLarge(movie.max_message_len()));
    }
    Ok(())
}

/// Text of any length and kind, fit for a line of an error: escaped and shortened.
#[derive(Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(80) {
            write!(f, "{}", character.escape_debug())?;
        }
        if rest.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}
