//! Searches: their pages, and searches that a newer one cancels.

use std::time::Duration;

use movie_client::{Error, Facet, FacetValue, Filter, Highlight, Hit, Movie, SearchPage, SearchQuery};
use movie_proto::catalog::v1::{self, SearchMoviesRequest};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;

use super::retries::{busy, unavailable};
use crate::support::scripted::{RecordedCall, ScriptedServer, Step};
use crate::support::{client, failure, in_time, movie, next};

/// Returns the response with one movie whose title is the query.
fn found(query: &str) -> v1::SearchMoviesResponse {
    let movie = v1::Movie { id: "a".into(), title: query.into(), ..v1::Movie::default() };
    let hits = vec![v1::Hit { movie: Some(movie), highlights: Vec::new() }];
    v1::SearchMoviesResponse { hits, total_size: 1, revision: 7, ..Default::default() }
}

/// Starts a server that finds a movie for each query, except for the queries `slow`, to which it never responds, and
/// `wrong`, which it rejects.
async fn service() -> ScriptedServer {
    ScriptedServer::start(|call| match query(call).as_str() {
        "slow" => vec![Step::Hang],
        "wrong" => vec![Step::End(failure(Code::InvalidArgument, "INVALID_FIELDS"))],
        query => vec![Step::message(&found(query))],
    })
    .await
}

fn query(call: &RecordedCall) -> String {
    call.message::<SearchMoviesRequest>().query
}

/// Waits for a condition.
async fn until(condition: impl Fn() -> bool) {
    in_time(async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_search_sends_its_query_and_returns_everything_that_was_found() {
    let range = |start, end| v1::highlight::Range { start, end };
    let highlight = |field: &str, index, ranges| v1::Highlight { field: field.into(), index, ranges };
    let cast = vec!["John Hurt".to_owned(), "Ian Holm".to_owned()];
    let wire =
        v1::Movie { id: "a".into(), title: "Amélie".into(), cast: cast.clone(), ..v1::Movie::default() };
    // The second range ends within a character.
    let title = highlight("title", 0, vec![range(0, 2), range(2, 3)]);
    let highlights = vec![title, highlight("cast", 1, vec![range(0, 3)])];
    let values = vec![v1::facet::Value { value: "Drama".into(), count: 12 }];
    let response = v1::SearchMoviesResponse {
        hits: vec![v1::Hit { movie: Some(wire), highlights }],
        next_page_token: "next".into(),
        total_size: 30,
        facets: vec![v1::Facet { field: "genres".into(), values }],
        revision: 7,
    };
    let service = ScriptedServer::always([Step::message(&response)]).await;
    let query = SearchQuery {
        text: "ame".into(),
        filter: Filter { year_from: Some(2001), ..Filter::default() },
        order_by: "year".into(),
        facets: vec!["genres".into()],
        page_size: 5,
        page_token: "token".into(),
    };
    let page = client([service.address]).search(query).await.unwrap();
    let highlight = |field: &str, index, range| Highlight { field: field.into(), index, ranges: vec![range] };
    let values = vec![FacetValue { value: "Drama".into(), count: 12 }];
    let highlights = vec![highlight("title", 0, 0..2), highlight("cast", 1, 0..3)];
    let expected = SearchPage {
        hits: vec![Hit { movie: Movie { cast, ..movie("a", "Amélie") }, highlights }],
        total: 30,
        facets: vec![Facet { field: "genres".into(), values }],
        revision: 7,
        next_page_token: "next".into(),
    };
    assert_eq!(page, expected);
    let sent: SearchMoviesRequest = service.calls()[0].message();
    let expected = SearchMoviesRequest {
        query: "ame".into(),
        page_size: 5,
        page_token: "token".into(),
        filter: Some(v1::MovieFilter { year_from: 2001, ..v1::MovieFilter::default() }),
        facets: vec!["genres".into()],
        order_by: "year".into(),
    };
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn a_search_is_retried_while_the_service_is_unavailable_or_busy() {
    let failures = [unavailable(), Step::Disconnect, busy("SERVICE_BUSY", Duration::ZERO)];
    let service = ScriptedServer::start(move |call| {
        vec![failures.get(call.number).cloned().unwrap_or_else(|| Step::message(&found("alien")))]
    })
    .await;
    let page = client([service.address]).search("alien").await.unwrap();
    assert_eq!(page.hits[0].movie, movie("a", "alien"));
    assert_eq!(service.calls().iter().map(query).collect::<Vec<_>>(), ["alien"; 4]);
}

#[tokio::test]
async fn pages_continue_with_the_token_of_the_previous_page() {
    let service = ScriptedServer::start(|call| {
        let next_page_token = ["b", "c", ""][call.number].to_owned();
        vec![Step::message(&v1::SearchMoviesResponse { next_page_token, ..found("alien") })]
    })
    .await;
    let query = SearchQuery { page_size: 1, order_by: "year".into(), .."alien".into() };
    let pages = client([service.address]).search_pages(query);
    assert_eq!(in_time(pages.collect::<Vec<_>>()).await.len(), 3);
    let requests: Vec<SearchMoviesRequest> = service.calls().iter().map(RecordedCall::message).collect();
    let tokens: Vec<_> = requests.iter().map(|request| request.page_token.as_str()).collect();
    assert_eq!(tokens, ["", "b", "c"]);
    for request in &requests {
        let expected = SearchMoviesRequest { page_token: String::new(), ..requests[0].clone() };
        assert_eq!(SearchMoviesRequest { page_token: String::new(), ..request.clone() }, expected);
    }
}

#[tokio::test]
async fn a_page_is_requested_when_it_is_polled() {
    let page = v1::SearchMoviesResponse { next_page_token: "b".into(), ..found("alien") };
    let service = ScriptedServer::always([Step::message(&page)]).await;
    let mut pages = client([service.address]).search_pages("alien");
    next(&mut pages).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn pages_end_with_an_error_if_the_service_repeats_a_token() {
    let page = v1::SearchMoviesResponse { next_page_token: "b".into(), ..found("alien") };
    let service = ScriptedServer::always([Step::message(&page)]).await;
    let mut pages = client([service.address]).search_pages("alien");
    next(&mut pages).await.unwrap();
    assert!(matches!(next(&mut pages).await, Err(Error::Failed { code: Code::Internal, .. })));
    assert_eq!(in_time(pages.next()).await, None);
}

#[tokio::test]
async fn a_newer_query_cancels_the_call_of_the_one_before() {
    let service = service().await;
    let (typed, texts) = mpsc::unbounded_channel();
    let mut results = client([service.address]).search_as_you_type(UnboundedReceiverStream::new(texts));
    let result = tokio::spawn(async move { (results.next().await, results) });
    typed.send("slow").unwrap();
    until(|| service.calls().len() == 1).await;
    assert_eq!(service.cancelled(), [0; 0]);
    typed.send("alien").unwrap();
    let (result, mut results) = in_time(result).await.unwrap();
    let (query, page) = result.unwrap();
    assert_eq!((query.text.as_str(), page.unwrap().hits[0].movie.title.as_str()), ("alien", "alien"));
    until(|| service.cancelled() == [0]).await;
    // The connection is kept: only the call was cancelled.
    assert_eq!(service.connections(), 1);
    drop(typed);
    assert!(in_time(results.next()).await.is_none());
}

#[tokio::test]
async fn a_newer_query_cancels_the_retries_of_the_one_before() {
    let service = ScriptedServer::start(|call| match query(call).as_str() {
        "busy" => vec![busy("SERVICE_BUSY", Duration::from_secs(5))],
        query => vec![Step::message(&found(query))],
    })
    .await;
    let (typed, texts) = mpsc::unbounded_channel();
    let mut results = client([service.address]).search_as_you_type(UnboundedReceiverStream::new(texts));
    let result = tokio::spawn(async move { results.next().await });
    typed.send("busy").unwrap();
    until(|| service.calls().len() == 1).await;
    typed.send("alien").unwrap();
    assert_eq!(in_time(result).await.unwrap().unwrap().0.text, "alien");
    assert_eq!(service.calls().iter().map(query).collect::<Vec<_>>(), ["busy", "alien"]);
}

#[tokio::test]
async fn of_queries_that_arrive_together_only_the_last_one_is_sent() {
    let service = service().await;
    let queries = tokio_stream::iter(["a", "al", "ali"]);
    let results = client([service.address]).search_as_you_type(queries);
    let results: Vec<_> = in_time(results.map(|(query, page)| (query.text, page.is_ok())).collect()).await;
    assert_eq!(results, [("ali".to_owned(), true)]);
    assert_eq!(service.calls().iter().map(query).collect::<Vec<_>>(), ["ali"]);
}

#[tokio::test]
async fn an_error_does_not_end_a_search_as_you_type() {
    let service = service().await;
    let (typed, texts) = mpsc::unbounded_channel();
    let mut results = client([service.address]).search_as_you_type(UnboundedReceiverStream::new(texts));
    for (text, is_found) in [("wrong", false), ("alien", true)] {
        typed.send(text).unwrap();
        let (query, page) = in_time(results.next()).await.unwrap();
        assert_eq!((query.text.as_str(), page.is_ok()), (text, is_found), "{page:?}");
    }
}

#[tokio::test]
async fn dropping_the_results_cancels_the_call_in_flight() {
    let service = service().await;
    let mut results = client([service.address]).search_as_you_type(tokio_stream::iter(["slow"]));
    tokio::select! {
        result = results.next() => panic!("{result:?}"),
        () = until(|| service.calls().len() == 1) => {}
    }
    drop(results);
    until(|| service.cancelled() == [0]).await;
}

#[tokio::test]
async fn a_service_without_search_says_so() {
    let status = failure(Code::Unimplemented, "SEARCH_OFF");
    let service = ScriptedServer::always([Step::End(status)]).await;
    let error = client([service.address]).search("alien").await.unwrap_err();
    assert_eq!(error, Error::SearchOff { address: service.address.to_string() });
}
