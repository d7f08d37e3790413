//! Searches that wait.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::catalogue::{Change, MovieView};
use crate::store::WriteError;

/// Returns searches over one movie, whose index is not built yet.
fn searches() -> (Arc<Catalogue>, Searches) {
    let catalogue = Arc::new(Catalogue::default());
    catalogue.apply([Change::Insert(MovieView { title: "Creed", id: "1", ..MovieView::default() })]).unwrap();
    (catalogue.clone(), Searches::new(catalogue, SearchMetrics::default()))
}

fn request() -> SearchMoviesRequest {
    SearchMoviesRequest { query: "creed".into(), ..SearchMoviesRequest::default() }
}

#[tokio::test]
async fn searches_wait_for_the_index_and_see_what_was_written_meanwhile() {
    let (catalogue, searches) = searches();
    let mut search = Box::pin(searches.search(request()));
    assert!((&mut search).now_or_never().is_none());
    catalogue
        .apply([Change::Insert(MovieView { title: "Creed II", id: "2", ..MovieView::default() })])
        .unwrap();
    catalogue.start_indexing().unwrap();
    assert_eq!(search.await.unwrap().rest.total_size, 2);
}

#[tokio::test]
async fn searches_are_shed_while_as_many_wait_as_may() {
    let (catalogue, searches) = searches();
    let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(searches.search(request()))).collect();
    for search in &mut waiting {
        assert!(search.now_or_never().is_none());
    }
    assert_eq!(searches.search(request()).await, Err(CallError::Busy));
    // A caller that gives up makes room for another one.
    drop(waiting.pop());
    waiting.push(Box::pin(searches.search(request())));
    assert!(waiting.last_mut().unwrap().now_or_never().is_none());
    assert_eq!(searches.search(request()).await, Err(CallError::Busy));
    catalogue.start_indexing().unwrap();
    for found in join_all(waiting).await {
        assert_eq!(found.unwrap().rest.total_size, 1);
    }
    assert!(searches.search(request()).await.is_ok());
}

#[tokio::test]
async fn searches_that_wait_for_a_revision_do_not_shed_others() {
    let (catalogue, searches) = searches();
    catalogue.start_indexing().unwrap();
    let now = catalogue.snapshot().point();
    let ahead = SearchToken { point: HistoryPoint { revision: now.revision.plus(1), ..now }, offset: 0 };
    let page_token = ahead.encode(hash_of_search(&request()));
    let next =
        || Box::pin(searches.search(SearchMoviesRequest { page_token: page_token.clone(), ..request() }));
    let mut waiting: Vec<_> = (0..2 * MAX_WAITING).map(|_| next()).collect();
    for search in &mut waiting {
        assert!(search.now_or_never().is_none());
    }
    assert_eq!(searches.search(request()).await.unwrap().rest.total_size, 1);
}

#[tokio::test]
async fn an_invalid_request_does_not_wait() {
    let (_catalogue, searches) = searches();
    let invalid = SearchMoviesRequest { page_size: -1, ..request() };
    assert!(matches!(
        searches.search(invalid).now_or_never(),
        Some(Err(CallError::Write(WriteError::Invalid(_))))
    ));
    let altered = SearchMoviesRequest { page_token: "A".into(), ..request() };
    assert_eq!(searches.search(altered).now_or_never(), Some(Err(CallError::PageTokenInvalid)));
}
