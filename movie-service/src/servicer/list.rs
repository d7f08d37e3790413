//! `ListMovies`: pages of a list, all at one revision.

use std::sync::Arc;

use movie_proto::catalog::v1::{ListMoviesRequest, ListMoviesResponse};

use crate::blocking_pool::BlockingPool;
use crate::catalogue::query::page::{Page, PastCatalogue};
use crate::catalogue::{Catalogue, HistoryPoint};
use crate::servicer::catch_up::{changes_since, wait_for_revision};
use crate::servicer::encoded::Encoded;
use crate::servicer::error::CallError;
use crate::servicer::query;
use crate::servicer::response_size::{MAX_MOVIE_BYTES, fitting, movie_bytes};
use crate::servicer::tokens::page_token::{PageToken, hash_of_list};

/// The number of the field `movies` of a response.
const MOVIES: u32 = 1;

/// Computes pages on the blocking pool.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    catalogue: Arc<Catalogue>,
    pool: BlockingPool,
}

impl Pages {
    pub(super) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, pool: BlockingPool::new() }
    }

    /// Returns the requested page.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the request or its page token is invalid, or if the token has expired.
    pub(super) async fn list(
        &self,
        request: ListMoviesRequest,
    ) -> Result<Encoded<ListMoviesResponse>, CallError> {
        let (query, size) = query::list_query(&request)?;
        let hash = hash_of_list(&request);
        let token = match request.page_token.as_str() {
            "" => None,
            text => Some(PageToken::parse(text, hash).ok_or(CallError::PageTokenInvalid)?),
        };
        if let Some(token) = &token
            && !wait_for_revision(&mut self.catalogue.newest(), token.point.revision).await
        {
            return Err(CallError::PageTokenExpired);
        }
        let catalogue = self.catalogue.clone();
        let work = move || {
            let now = catalogue.snapshot();
            let point = token.as_ref().map_or(now.point(), |token| token.point);
            let changes = changes_since(point, &catalogue, &now, usize::MAX)?;
            let past = PastCatalogue::new(now, &changes);
            let after = token.as_ref().map(|token| token.position.as_str());
            let page = past.page(&query, after, size).map_err(|_| CallError::PageTokenInvalid)?;
            Ok(response(page, point, hash))
        };
        self.pool.run(work).await
    }
}

fn response(page: Page, point: HistoryPoint, hash: u64) -> Encoded<ListMoviesResponse> {
    let Page { movies, more, total } = page;
    // At least one movie fits, so paging always makes progress.
    let fitting = fitting(&movies, MAX_MOVIE_BYTES, |movie| movie_bytes(movie.stored()));
    let has_more = more || fitting.len() < movies.len();
    let next_page_token = match fitting.last() {
        Some(last) if has_more => PageToken { point, position: last.movie().id.to_owned() }.encode(hash),
        _ => String::new(),
    };
    let mut response = Encoded::new(ListMoviesResponse {
        movies: Vec::new(),
        next_page_token,
        total_size: i32::try_from(total).unwrap_or(i32::MAX),
    });
    for movie in fitting {
        response.add_movie(MOVIES, movie.stored());
    }
    response
}
