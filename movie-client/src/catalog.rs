//! What calls take and give, beside movies.

use movie_proto::catalog::v1::{self, import_movies_response::Rejection};
use prost::Message;

use crate::movie::unsigned;
use crate::{Filter, Movie};

/// Movies in one message of an import, and about as many bytes at most.
const IMPORTED_AT_ONCE: usize = 500;
const IMPORTED_BYTES: usize = 1 << 20;

/// What to list, in which order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Which movies; all by default.
    pub filter: Filter,
    /// Fields separated by commas, each may be followed by " desc": `year desc, title`. Empty for the catalogue's order.
    pub order_by: String,
    /// How many movies one call asks for, up to 1,000, which 0 stands for.
    pub page_size: u32,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The movies.
    pub movies: Vec<Movie>,
    /// How many movies the whole list has.
    pub total: u64,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many were added.
    pub created: u64,
    /// How many were there and differed.
    pub updated: u64,
    /// How many were there alike.
    pub unchanged: u64,
    /// How many could not be taken.
    pub rejected: u64,
    /// The first that could not be taken.
    pub rejections: Vec<Rejected>,
}

/// A movie that could not be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number in the import, from 0.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The catalogue as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// The number of the last change.
    pub revision: u64,
    /// How many movies there are.
    pub movie_count: u64,
    /// Where the movies are kept: `json`, `sqlite` or `postgres`.
    pub store: String,
    /// Whether movies cannot be changed.
    pub read_only: bool,
    /// The version of the service.
    pub version: String,
}

/// Whether a service can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Serving,
    /// It cannot.
    NotServing,
    /// There is no such service.
    Unknown,
}

impl From<v1::ImportMoviesResponse> for Imported {
    fn from(answer: v1::ImportMoviesResponse) -> Self {
        let rejected = |Rejection { index, id, reason }| Rejected { index: unsigned(index), id, reason };
        Self {
            created: unsigned(answer.created),
            updated: unsigned(answer.updated),
            unchanged: unsigned(answer.unchanged),
            rejected: unsigned(answer.rejected),
            rejections: answer.rejections.into_iter().map(rejected).collect(),
        }
    }
}

impl From<v1::Catalog> for Catalog {
    fn from(found: v1::Catalog) -> Self {
        Self {
            revision: unsigned(found.revision),
            movie_count: unsigned(found.movie_count),
            store: found.store,
            read_only: found.read_only,
            version: found.version,
        }
    }
}

/// Cuts an import into messages of a good size.
pub(crate) fn messages(movies: impl IntoIterator<Item = Movie>) -> Vec<v1::ImportMoviesRequest> {
    let mut messages = Vec::new();
    let (mut message, mut size) = (v1::ImportMoviesRequest::default(), 0);
    for movie in movies.into_iter().map(v1::Movie::from) {
        size += movie.encoded_len();
        message.movies.push(movie);
        if size >= IMPORTED_BYTES || message.movies.len() == IMPORTED_AT_ONCE {
            messages.push(std::mem::take(&mut message));
            size = 0;
        }
    }
    if !message.movies.is_empty() {
        messages.push(message);
    }
    messages
}
