//! What `SearchMovies` refuses or survives: input of any kind, page tokens of others, and more searches than it can run.

use movie_proto::catalog::v1::{ListMoviesRequest, MovieFilter, SearchMoviesRequest};

use super::search::{ids, query, search};
use super::*;
use crate::support::databases::database;
use crate::support::h2_client::{Call, Client};

const SEARCH: &str = "/movie.catalog.v1.MovieCatalog/SearchMovies";

/// Returns the failure of a search, which must fail.
async fn failure(stub: &mut Stub, request: SearchMoviesRequest) -> Failure {
    Failure::of(&search(stub, request).await.unwrap_err())
}

/// Makes a call; returns the code of its status.
async fn code(client: &mut Client, call: &Call) -> String {
    let response = client.call(call).await.unwrap();
    let trailers = response.trailers.unwrap_or(response.headers);
    trailers["grpc-status"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_query_of_a_mebibyte_is_refused_by_its_bytes_or_by_its_characters() {
    let mebibyte = "star wars ".repeat(1 << 20).split_off(9 << 20);
    let mut fixture = Fixture::with_movies(&["a"]).await;
    let too_large = Failure::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert_eq!(failure(&mut fixture.stub, query(&mebibyte)).await, too_large);
    let mut tolerant = Fixture::with(&["--limit", "message=2000000"]).await;
    let too_long = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("query");
    assert_eq!(failure(&mut tolerant.stub, query(&mebibyte)).await, too_long);
    // The longest one that is searched.
    let longest = format!("title {}", "é".repeat(994));
    assert_eq!(ids(&search(&mut fixture.stub, query(&longest)).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn control_characters_separate_words_and_are_none() {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, vec![movie("a", "Creed II"), movie("b", "Volver")]).await.unwrap();
    let found = async |stub: &mut Stub, text: &str| {
        let page = search(stub, query(text)).await.unwrap();
        ids(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for text in
        ["creed\u{0}ii", "\u{1b}[2Jcreed\r\nii\u{7f}", "\tcreed\u{85}", "cre\u{ad}ed", "\u{202e}creed"]
    {
        assert_eq!(found(&mut fixture.stub, text).await, ["a"], "{text:?}");
    }
    // Nothing else is left of these.
    for text in ["\u{0}\u{1}\u{7f}\u{9f}", "\u{0}", &"\u{7}".repeat(1_000)] {
        assert_eq!(found(&mut fixture.stub, text).await, ["a", "b"], "{text:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_utf_8_is_refused_and_the_connection_goes_on() {
    let fixture = Fixture::with_movies(&["a"]).await;
    let mut client = Client::connect(fixture.service.address).await;
    for (what, message) in [
        ("a byte that is never in UTF-8, in the query", b"\n\x01\xff".as_slice()),
        ("half a character", b"\n\x02a\xc3"),
        ("a surrogate", b"\n\x03\xed\xa0\x80"),
        ("in the page token", b"\x1a\x01\xff"),
        ("in a facet", b"\x2a\x01\xff"),
        ("in the order", b"\x32\x01\xff"),
        ("in a genre of the filter", b"\x22\x03\x1a\x01\xff"),
        ("a filter that is cut off", b"\x22\x09\x1a\x01"),
    ] {
        assert_eq!(code(&mut client, &Call::new(SEARCH, message)).await, "13", "{what}");
    }
    assert_eq!(code(&mut client, &Call::new(SEARCH, b"\n\x05title")).await, "0");
}

#[tokio::test]
async fn page_tokens_of_other_arguments_and_altered_ones_are_refused() {
    let mut fixture = Fixture::with_movies(&["a", "b", "c"]).await;
    let stub = &mut fixture.stub;
    let invalid = Failure::new(Code::InvalidArgument, "PAGE_TOKEN_INVALID").field("page_token");
    let first = SearchMoviesRequest { page_size: 1, ..query("title") };
    let page_token = search(stub, first.clone()).await.unwrap().next_page_token;
    let next = SearchMoviesRequest { page_token, ..first };

    let of_a_list = ListMoviesRequest { page_size: 1, ..ListMoviesRequest::default() };
    let listed = stub.list_movies(of_a_list).await.unwrap().into_inner().next_page_token;
    let filter = Some(MovieFilter { year_from: 1, ..MovieFilter::default() });
    for other in [
        SearchMoviesRequest { page_token: listed, ..next.clone() },
        SearchMoviesRequest { query: "titles".into(), ..next.clone() },
        SearchMoviesRequest { query: String::new(), ..next.clone() },
        SearchMoviesRequest { filter, ..next.clone() },
        SearchMoviesRequest { facets: vec!["genres".into()], ..next.clone() },
        SearchMoviesRequest { order_by: "title".into(), ..next.clone() },
        SearchMoviesRequest { page_token: next.page_token.clone() + "A", ..next.clone() },
        SearchMoviesRequest { page_token: "\u{0}".into(), ..next.clone() },
        SearchMoviesRequest { page_token: "A".repeat(100_000), ..next.clone() },
    ] {
        assert_eq!(failure(stub, other.clone()).await, invalid, "{other:?}");
    }
    // The offset is at the end, and the revision and its chain value before it.
    for at in 0..next.page_token.len() {
        for other in ["A", "w"].into_iter().filter(|other| *other != &next.page_token[at..=at]) {
            let mut page_token = next.page_token.clone();
            page_token.replace_range(at..=at, other);
            assert_eq!(
                failure(stub, SearchMoviesRequest { page_token, ..next.clone() }).await,
                invalid,
                "{at}"
            );
        }
    }
    let list = ListMoviesRequest { page_token: next.page_token.clone(), ..ListMoviesRequest::default() };
    assert_eq!(Failure::of(&stub.list_movies(list).await.unwrap_err()), invalid);
    // The size of a page may change.
    let larger = SearchMoviesRequest { page_size: 50, ..next };
    assert_eq!(ids(&search(stub, larger).await.unwrap()), ["b", "c"]);
}

#[tokio::test]
async fn a_page_token_of_another_history_has_expired() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let mut other = Fixture::start().await;
    for id in ["b", "a"] {
        create(&mut other.stub, movie(id, "A title")).await.unwrap();
    }
    let first = SearchMoviesRequest { page_size: 1, ..query("title") };
    let page = search(&mut other.stub, first.clone()).await.unwrap();
    let here = search(&mut fixture.stub, first.clone()).await.unwrap();
    assert_eq!(page.revision, here.revision);
    let next = SearchMoviesRequest { page_token: page.next_page_token, ..first };
    let expired = Failure::new(Code::OutOfRange, "PAGE_TOKEN_EXPIRED");
    assert_eq!(failure(&mut fixture.stub, next).await, expired);
}

/// Indexing the films takes much longer than sending all these calls.
#[tokio::test]
async fn searches_wait_for_the_index_within_their_deadlines_and_the_65th_is_shed() {
    const WAITING: usize = 64;
    const SHED: usize = 20;
    let service = Service::run(&mut command(&database("films.json")));
    let mut client = Client::connect(service.address).await;
    assert_eq!(
        code(&mut client, &Call::new(SEARCH, b"\n\x05title").header("grpc-timeout", "20m")).await,
        "4"
    );
    let stub = stub(&service).await;
    let searches: Vec<_> = (0..WAITING + SHED)
        .map(|_| {
            let mut stub = stub.clone();
            tokio::spawn(async move { search(&mut stub, query("the godfather")).await })
        })
        .collect();
    let (mut found, mut shed) = (0, 0);
    for result in searches {
        match result.await.unwrap() {
            Ok(page) => {
                found += 1;
                assert_eq!(page.hits[0].movie.as_ref().unwrap().title, "The Godfather");
            }
            Err(status) => {
                shed += 1;
                let busy = Failure::new(Code::ResourceExhausted, "SERVICE_BUSY").retry();
                assert_eq!(Failure::of(&status), busy);
            }
        }
    }
    assert_eq!((found, shed), (WAITING, SHED));
    assert_eq!(
        code(&mut client, &Call::new(SEARCH, b"\n\x05title").header("grpc-timeout", "20S")).await,
        "0"
    );
}
