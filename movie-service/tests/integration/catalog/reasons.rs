//! The table of error reasons in the contract.

use std::collections::BTreeMap;

use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::{ListMoviesRequest, SearchMoviesRequest, WatchMoviesRequest};

use super::*;
use crate::support::databases::database;

/// Reasons of a broken store. Unit tests cover them.
const OF_A_BROKEN_STORE: [(&str, &str); 3] = [
    ("OUTCOME_UNKNOWN", "UNAVAILABLE"),
    ("STORE_READ_ONLY", "UNAVAILABLE"),
    ("STORE_UNAVAILABLE", "UNAVAILABLE"),
];

/// Returns the reasons in the table, with their codes.
fn table() -> BTreeMap<String, String> {
    let contract = include_str!("../../../../proto/movie/catalog/v1/catalog.proto");
    let rows = contract.lines().filter_map(|line| line.strip_prefix("// | "));
    let cells = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    cells.skip(1).map(|row| (row[0].to_owned(), row[1].to_owned())).collect()
}

/// Returns the status of a watch that fails at once.
async fn watch(stub: &mut Stub, start: Start) -> Status {
    let request = WatchMoviesRequest { start: Some(start) };
    stub.watch_movies(request).await.unwrap().into_inner().message().await.unwrap_err()
}

/// Causes each failure.
async fn failures() -> Vec<Status> {
    let mut fixture = Fixture::with(&["--keep-changes", "3", "--limit", "watch_behind=3"]).await;
    let stub = &mut fixture.stub;
    let mut failures = vec![
        get(stub, "nope").await.unwrap_err(),
        create(stub, Movie::default()).await.unwrap_err(),
        watch(stub, Start::FromRevision(-1)).await,
        // A revision of eight bytes, and a chain value that no history has.
        watch(stub, Start::ResumeToken("A".repeat(32))).await,
    ];
    create_once(stub, large_movie("a"), "request").await.unwrap();
    failures.push(create(stub, movie("a", "A")).await.unwrap_err());
    failures.push(create_once(stub, movie("b", "B"), "request").await.unwrap_err());
    failures.push(update(stub, Movie { etag: "\"0\"".into(), ..movie("a", "A") }).await.unwrap_err());
    failures.push(batch(stub, vec!["a".into(); 100]).await.unwrap_err());

    let mut list = ListMoviesRequest { page_size: 1, page_token: "x".into(), ..ListMoviesRequest::default() };
    failures.push(stub.list_movies(list.clone()).await.unwrap_err());
    create(stub, movie("b", "B")).await.unwrap();
    list.page_token = String::new();
    list.page_token = stub.list_movies(list.clone()).await.unwrap().into_inner().next_page_token;
    let mut slow = stub.watch_movies(WatchMoviesRequest::default()).await.unwrap().into_inner();
    slow.message().await.unwrap();
    // In one commit, so that no watcher can keep up.
    import(stub, ["c", "d", "e", "f"].map(|id| movie(id, "A title")).into()).await.unwrap();
    failures.push(slow.message().await.unwrap_err());
    failures.push(stub.list_movies(list).await.unwrap_err());
    failures.push(watch(stub, Start::FromRevision(0)).await);

    let mut open = stub.watch_movies(WatchMoviesRequest::default()).await.unwrap().into_inner();
    open.message().await.unwrap();
    fixture.service.signal("TERM");
    failures.push(open.message().await.unwrap_err());

    let service = Service::run(&mut command(&database("movies.json")));
    failures.push(delete(&mut super::stub(&service).await, "1").await.unwrap_err());
    let mut without_search = Fixture::with(&["--search", "off"]).await;
    let search = without_search.stub.search_movies(SearchMoviesRequest::default()).await;
    failures.push(search.unwrap_err());
    failures
}

#[tokio::test]
async fn the_table_of_the_contract_lists_exactly_the_reasons_that_callers_get() {
    let met = failures().await.into_iter().map(|status| {
        let failure = Failure::of(&status);
        // The names of codes in protobuf.
        let code = format!("{:?}", failure.code);
        let words = code.char_indices().map(|(at, letter)| {
            let start = if at > 0 && letter.is_uppercase() { "_" } else { "" };
            format!("{start}{}", letter.to_ascii_uppercase())
        });
        (failure.reason, words.collect())
    });
    let broken = OF_A_BROKEN_STORE.map(|(reason, code)| (reason.to_owned(), code.to_owned()));
    assert_eq!(met.chain(broken).collect::<BTreeMap<String, String>>(), table());
}

#[tokio::test]
async fn a_batch_whose_response_is_too_large_is_refused() {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, vec![large_movie("a")]).await.unwrap();
    let too_large = Failure::new(Code::ResourceExhausted, "BATCH_TOO_LARGE");
    assert_failed(batch(&mut fixture.stub, vec!["a".into(); 100]).await, &too_large);
    assert_eq!(batch(&mut fixture.stub, vec!["a".into(); 50]).await.unwrap().len(), 50);
}
