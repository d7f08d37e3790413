//! `ListMovies`.

use movie_proto::catalog::v1::{ListMoviesRequest, ListMoviesResponse, MovieFilter};
use tokio::sync::oneshot;

use super::*;

async fn list(stub: &mut Stub, request: &ListMoviesRequest) -> Result<ListMoviesResponse, Status> {
    Ok(stub.list_movies(request.clone()).await?.into_inner())
}

/// Returns the request for a page of one movie, in listing order.
fn one_by_one() -> ListMoviesRequest {
    ListMoviesRequest { page_size: 1, ..ListMoviesRequest::default() }
}

fn ids(movies: &[Movie]) -> Vec<&str> {
    movies.iter().map(|movie| movie.id.as_str()).collect()
}

/// Returns movies that differ in every field that filters and orders use.
fn films() -> Vec<Movie> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    vec![
        Movie { year: 2015, rating: Some(8.0), genres: words(&["Drama", "Sport"]), ..movie("a", "Creed") },
        Movie { year: 1999, rating: Some(9.0), languages: words(&["Español"]), ..movie("b", "Volver") },
        Movie { year: 2015, rating: Some(0.0), countries: words(&["France"]), ..movie("c", "Amélie") },
        Movie { genres: words(&["Drama"]), director: "Ryan Coogler".into(), ..movie("d", "Creed") },
    ]
}

#[tokio::test]
async fn the_default_page_is_fifty_movies_in_listing_order_with_a_page_token() {
    let mut fixture = Fixture::start().await;
    let empty = list(&mut fixture.stub, &ListMoviesRequest::default()).await.unwrap();
    assert_eq!(empty, ListMoviesResponse::default());
    let names: Vec<_> = (0..51).rev().map(|number| format!("{number}")).collect();
    import(&mut fixture.stub, names.iter().map(|id| movie(id, "A title")).collect()).await.unwrap();
    let page = list(&mut fixture.stub, &ListMoviesRequest::default()).await.unwrap();
    assert_eq!((ids(&page.movies), page.total_size), (names[..50].iter().map(String::as_str).collect(), 51));
    assert_eq!(page.movies[0], get(&mut fixture.stub, "50").await.unwrap());
    let next = ListMoviesRequest { page_token: page.next_page_token, ..ListMoviesRequest::default() };
    let page = list(&mut fixture.stub, &next).await.unwrap();
    assert_eq!((ids(&page.movies), page.next_page_token.as_str(), page.total_size), (vec!["0"], "", 51));
}

#[tokio::test]
async fn each_kind_of_filter_returns_the_matching_movies() {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, films()).await.unwrap();
    let any = MovieFilter::default;
    for (filter, expected) in [
        (any(), "abcd"),
        (MovieFilter { year_from: 2000, ..any() }, "ac"),
        (MovieFilter { year_to: 2000, ..any() }, "b"),
        (MovieFilter { year_from: 2015, year_to: 2015, ..any() }, "ac"),
        (MovieFilter { rating_min: Some(0.0), ..any() }, "abc"),
        (MovieFilter { rating_min: Some(8.5), ..any() }, "b"),
        (MovieFilter { genres: vec!["Sport".into(), "Drama".into()], ..any() }, "ad"),
        (MovieFilter { genres: vec!["drama".into()], ..any() }, ""),
        (MovieFilter { countries: vec!["France".into()], ..any() }, "c"),
        (MovieFilter { languages: vec!["Español".into()], ..any() }, "b"),
        (MovieFilter { director: "Ryan Coogler".into(), ..any() }, "d"),
        (MovieFilter { director: "Ryan".into(), ..any() }, ""),
        (MovieFilter { genres: vec!["Drama".into()], year_from: 2000, ..any() }, "a"),
    ] {
        let request = ListMoviesRequest { filter: Some(filter), ..ListMoviesRequest::default() };
        let page = list(&mut fixture.stub, &request).await.unwrap();
        assert_eq!(ids(&page.movies).concat(), expected, "{request:?}");
        assert_eq!(page.total_size, i32::try_from(expected.len()).unwrap());
    }
}

#[tokio::test]
async fn each_order_is_kept_across_pages() {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, films()).await.unwrap();
    for (order_by, expected) in [
        ("", "abcd"),
        ("title", "cadb"),
        ("title desc", "badc"),
        ("year", "bacd"),
        ("year desc", "acbd"),
        ("rating", "cabd"),
        ("rating desc", "bacd"),
        ("year desc, title", "cabd"),
        (" title ,rating desc", "cadb"),
    ] {
        let mut request = ListMoviesRequest { order_by: order_by.into(), ..one_by_one() };
        let mut seen = String::new();
        loop {
            let page = list(&mut fixture.stub, &request).await.unwrap();
            seen += &ids(&page.movies).concat();
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(seen, expected, "{order_by:?}");
    }
}

#[tokio::test]
async fn a_page_token_is_valid_only_for_the_query_that_returned_it() {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, films()).await.unwrap();
    let page_token = list(&mut fixture.stub, &one_by_one()).await.unwrap().next_page_token;
    let next = ListMoviesRequest { page_token, ..one_by_one() };
    let other_size = ListMoviesRequest { page_size: 2, ..next.clone() };
    assert_eq!(ids(&list(&mut fixture.stub, &other_size).await.unwrap().movies), ["b", "c"]);
    let filter = Some(MovieFilter { year_from: 1, ..MovieFilter::default() });
    let swapped = next.page_token.chars().rev().collect();
    for wrong in [
        ListMoviesRequest { filter, ..next.clone() },
        ListMoviesRequest { order_by: "title".into(), ..next.clone() },
        ListMoviesRequest { page_token: swapped, ..next.clone() },
        ListMoviesRequest { page_token: next.page_token[1..].into(), ..next.clone() },
        ListMoviesRequest { page_token: "x".repeat(60_000), ..next.clone() },
    ] {
        let invalid = Failure::new(Code::InvalidArgument, "PAGE_TOKEN_INVALID").field("page_token");
        assert_failed(list(&mut fixture.stub, &wrong).await, &invalid);
    }
}

#[tokio::test]
async fn all_violations_of_a_list_request_are_reported_at_once() {
    let mut fixture = Fixture::start().await;
    let words = vec!["x".to_owned(); 101];
    let filter = MovieFilter {
        year_from: -1,
        year_to: -1,
        rating_min: Some(f32::NAN),
        genres: words.clone(),
        countries: words.clone(),
        languages: words,
        director: String::new(),
    };
    let request = ListMoviesRequest {
        page_size: -1,
        page_token: "x".into(),
        filter: Some(filter),
        order_by: "director".into(),
    };
    let mut invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("page_size");
    for field in ["year_from", "year_to", "rating_min", "genres", "countries", "languages"] {
        invalid = invalid.field(&format!("filter.{field}"));
    }
    assert_failed(list(&mut fixture.stub, &request).await, &invalid.field("order_by"));
}

#[tokio::test]
async fn a_page_token_is_valid_after_a_restart_unless_movies_changed() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let page_token = list(&mut fixture.stub, &one_by_one()).await.unwrap().next_page_token;
    let next = ListMoviesRequest { page_token, ..one_by_one() };
    fixture.restart().await;
    assert_eq!(ids(&list(&mut fixture.stub, &next).await.unwrap().movies), ["b"]);
    delete(&mut fixture.stub, "a").await.unwrap();
    assert_eq!(ids(&list(&mut fixture.stub, &next).await.unwrap().movies), ["b"]);
    fixture.restart().await;
    let expired = Failure::new(Code::OutOfRange, "PAGE_TOKEN_EXPIRED");
    assert_failed(list(&mut fixture.stub, &next).await, &expired);
}

#[tokio::test]
async fn pages_show_one_revision_whatever_changes_meanwhile() {
    let mut fixture = Fixture::start().await;
    let names: Vec<_> = (0..60).map(|number| format!("{number}")).collect();
    let films = names.iter().zip(1900..).map(|(id, year)| Movie { year, ..movie(id, "Before") });
    import(&mut fixture.stub, films.collect()).await.unwrap();
    for order_by in ["", "year desc, title"] {
        let mut request =
            ListMoviesRequest { page_size: 1_000, order_by: order_by.into(), ..ListMoviesRequest::default() };
        let expected = list(&mut fixture.stub, &request).await.unwrap().movies;
        request.page_size = 7;
        let first = list(&mut fixture.stub, &request).await.unwrap();
        let mut writer = stub(&fixture.service).await;
        let (begun, has_begun) = oneshot::channel();
        let (stop, mut stopped) = oneshot::channel::<()>();
        let names = names.clone();
        let writing = tokio::spawn(async move {
            let mut begun = Some(begun);
            for round in 0.. {
                for (number, id) in names.iter().enumerate() {
                    match number % 3 {
                        0 => delete(&mut writer, id).await.unwrap(),
                        1 => drop(update(&mut writer, movie(id, &format!("{round}"))).await.unwrap()),
                        _ => drop(create(&mut writer, movie("", "Another")).await.unwrap()),
                    }
                    if let Some(begun) = begun.take() {
                        begun.send(()).unwrap();
                    }
                }
                let back = names.iter().step_by(3).map(|id| movie(id, "After")).collect();
                import(&mut writer, back).await.unwrap();
                if stopped.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
                    break;
                }
            }
        });
        has_begun.await.unwrap();
        let (mut seen, mut token) = (first.movies, first.next_page_token);
        while !token.is_empty() {
            let next = ListMoviesRequest { page_token: token, ..request.clone() };
            let page = list(&mut fixture.stub, &next).await.unwrap();
            assert_eq!(page.total_size, first.total_size);
            seen.extend(page.movies);
            token = page.next_page_token;
        }
        stop.send(()).unwrap();
        writing.await.unwrap();
        assert_eq!(seen, expected, "{order_by:?}");
    }
}

#[tokio::test]
async fn a_page_of_large_movies_ends_before_it_is_too_large_to_send() {
    let mut fixture = Fixture::start().await;
    for part in 0..2 {
        let movies = (0..40).map(|number| large_movie(&format!("{part}-{number}")));
        import(&mut fixture.stub, movies.collect()).await.unwrap();
    }
    let request = ListMoviesRequest { page_size: 1_000, ..ListMoviesRequest::default() };
    let first = list(&mut fixture.stub, &request).await.unwrap();
    assert!(first.movies.len() < 80 && first.total_size == 80);
    let next = ListMoviesRequest { page_token: first.next_page_token, ..request };
    let second = list(&mut fixture.stub, &next).await.unwrap();
    assert_eq!((first.movies.len() + second.movies.len(), second.next_page_token.as_str()), (80, ""));
}
