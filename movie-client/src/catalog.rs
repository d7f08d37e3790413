//! Requests and responses of the catalogue's contract, except movies.

use movie_proto::catalog::v1::{self, import_movies_response::Rejection};
use prost::Message;

use crate::movie::unsigned;
use crate::{Filter, Movie};

/// Size at which a message of an import is complete: a number of movies, or a number of bytes.
const IMPORT_MESSAGE_MAX_MOVIES: usize = 500;
const IMPORT_MESSAGE_TARGET_BYTES: usize = 1 << 20;

/// A query for a list of movies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The filter. The default selects all movies.
    pub filter: Filter,
    /// Comma-separated fields, each optionally followed by ` desc`: `year desc, title` (AIP-132). Empty for the
    /// catalogue's order.
    pub order_by: String,
    /// Movies per page, at most 1,000. 0 stands for 1,000.
    pub page_size: u32,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The movies.
    pub movies: Vec<Movie>,
    /// Number of movies in the whole list.
    pub total: u64,
}

/// Result of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Number of added movies.
    pub created: u64,
    /// Number of replaced movies.
    pub updated: u64,
    /// Number of movies that were already stored with the same content.
    pub unchanged: u64,
    /// Number of rejected movies.
    pub rejected: u64,
    /// The first rejected movies.
    pub rejections: Vec<RejectedMovie>,
}

/// A movie that the service rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedMovie {
    /// Index of the movie in the import, from 0.
    pub index: u64,
    /// Id of the movie.
    pub id: String,
    /// Reason of the rejection.
    pub reason: String,
}

/// State of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Revision after the last change.
    pub revision: u64,
    /// Number of movies.
    pub movie_count: u64,
    /// Kind of store: `json`, `sqlite` or `postgres`.
    pub store: String,
    /// Whether the store is read-only.
    pub read_only: bool,
    /// Whether this client may write: the role of its token or certificate allows it, and the store is not read-only. A
    /// service of an earlier version does not say it.
    pub can_write: bool,
    /// Version of the service.
    pub version: String,
}

/// Health of a gRPC service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// The service is serving.
    Serving,
    /// The service is not serving.
    NotServing,
    /// The server does not know the service.
    Unknown,
}

impl From<v1::ImportMoviesResponse> for ImportSummary {
    fn from(response: v1::ImportMoviesResponse) -> Self {
        let rejected = |Rejection { index, id, reason }| RejectedMovie { index: unsigned(index), id, reason };
        Self {
            created: unsigned(response.created),
            updated: unsigned(response.updated),
            unchanged: unsigned(response.unchanged),
            rejected: unsigned(response.rejected),
            rejections: response.rejections.into_iter().map(rejected).collect(),
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
            can_write: found.can_write,
            version: found.version,
        }
    }
}

/// Splits an import into messages.
pub(crate) fn messages(movies: impl IntoIterator<Item = Movie>) -> Vec<v1::ImportMoviesRequest> {
    let mut messages = Vec::new();
    let (mut message, mut size) = (v1::ImportMoviesRequest::default(), 0);
    for movie in movies.into_iter().map(v1::Movie::from) {
        size += movie.encoded_len();
        message.movies.push(movie);
        if size >= IMPORT_MESSAGE_TARGET_BYTES || message.movies.len() == IMPORT_MESSAGE_MAX_MOVIES {
            messages.push(std::mem::take(&mut message));
            size = 0;
        }
    }
    if !message.movies.is_empty() {
        messages.push(message);
    }
    messages
}
