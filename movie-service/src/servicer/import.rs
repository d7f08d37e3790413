//! `ImportMovies`: each message of the stream is one command.

use movie_proto::catalog::v1::import_movies_response::Rejection;
use movie_proto::catalog::v1::{ImportMoviesRequest, ImportMoviesResponse};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use crate::movie::Violation;
use crate::servicer::convert;
use crate::servicer::error::CallError;
use crate::store::{Command, Outcome, Rejection as Rejected, Store, WriteError};

/// Maximum number of movies in one message.
pub const MAX_MESSAGE_MOVIES: usize = 10_000;

/// Maximum number of rejections that a response lists.
const MAX_LISTED_REJECTIONS: usize = 100;

/// Returns the error for a message with more than [`MAX_MESSAGE_MOVIES`] movies. The transport counts them as the bytes
/// arrive, because a decoded message takes much more memory.
#[must_use]
pub fn too_many_movies() -> CallError {
    vec![Violation::new("movies", format!("expected at most {MAX_MESSAGE_MOVIES} in a message"))].into()
}

/// Writes the movies of a stream, one message after the other. Messages before an error stay written.
///
/// # Errors
///
/// The status of a [`CallError`] if a message is not written, and the stream's own status if it fails.
pub(super) async fn import(
    store: &Store,
    mut requests: impl Stream<Item = Result<ImportMoviesRequest, Status>> + Unpin,
) -> Result<ImportMoviesResponse, Status> {
    if store.is_read_only() {
        return Err(CallError::Write(WriteError::ReadOnly).into());
    }
    let mut response = ImportMoviesResponse::default();
    let mut offset = 0;
    while let Some(ImportMoviesRequest { movies }) = requests.next().await.transpose()? {
        let sent = movies.len();
        let command = Command::Import(movies.into_iter().map(|movie| convert::movie(movie).0).collect());
        let Outcome::Imported(imported) = store.write(command).await.map_err(CallError::from)? else {
            continue;
        };
        response.created += imported.created.cast_signed();
        response.updated += imported.updated.cast_signed();
        response.unchanged += imported.unchanged.cast_signed();
        response.rejected += (imported.rejected.len() as u64).cast_signed();
        let listed = imported.rejected.into_iter().map(|Rejected { index, id, reason }| Rejection {
            index: (offset + index as u64).cast_signed(),
            id,
            reason,
        });
        response.rejections.extend(listed.take(MAX_LISTED_REJECTIONS - response.rejections.len()));
        offset += sent as u64;
    }
    Ok(response)
}
