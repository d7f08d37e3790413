//! `BatchGetMovies`: all movies of a batch, or an error.

use movie_proto::catalog::v1::BatchGetMoviesResponse;

use crate::catalogue::Catalogue;
use crate::movie::Violation;
use crate::servicer::encoded::Encoded;
use crate::servicer::error::CallError;
use crate::servicer::response_size::{MAX_MOVIE_BYTES, MOVIE_OVERHEAD_BYTES, movie_bytes};

/// Maximum number of ids in a batch.
const MAX_BATCH_IDS: usize = 1_000;

/// The number of ids whose movies are read into the cache together.
pub(super) const PREFETCHED_IDS: usize = 64;

/// The number of the field `movies` of a response.
const MOVIES: u32 = 1;

/// Returns the movies with these ids, in the order of the ids, all at one revision.
///
/// # Errors
///
/// [`CallError`] if there are too many ids, if a movie does not exist, or if the movies do not fit into a response.
pub(super) fn get(
    catalogue: &Catalogue,
    ids: &[String],
) -> Result<Encoded<BatchGetMoviesResponse>, CallError> {
    if ids.len() > MAX_BATCH_IDS {
        let expected = format!("expected at most {MAX_BATCH_IDS}, not {}", ids.len());
        return Err(vec![Violation::new("ids", expected)].into());
    }
    let snapshot = catalogue.snapshot();
    let mut missing = Vec::new();
    let mut response = Encoded::new(BatchGetMoviesResponse::default());
    let mut bytes = 0;
    for ids in ids.chunks(PREFETCHED_IDS) {
        snapshot.prefetch(ids.iter().map(String::as_bytes));
        for id in ids {
            match snapshot.stored(id.as_bytes()) {
                Some(movie) if bytes <= MAX_MOVIE_BYTES => {
                    bytes += response.add_movie(MOVIES, movie) + MOVIE_OVERHEAD_BYTES;
                }
                Some(movie) => bytes += movie_bytes(movie),
                None => missing.push(id.clone()),
            }
        }
    }
    if !missing.is_empty() {
        return Err(CallError::Missing(missing));
    }
    if bytes > MAX_MOVIE_BYTES {
        return Err(CallError::TooLarge { bytes, max_bytes: MAX_MOVIE_BYTES });
    }
    Ok(response)
}
