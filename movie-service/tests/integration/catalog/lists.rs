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
        (MovieFilter { genres: vec!["Dram".into()], ..any() }, ""),
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

/// Imports movies into a new catalogue, and compares the ids that each filter lists.
async fn assert_filtered(movies: Vec<Movie>, expected: &[(MovieFilter, &str)]) {
    let mut fixture = Fixture::start().await;
    import(&mut fixture.stub, movies).await.unwrap();
    for (filter, expected) in expected {
        let request = ListMoviesRequest { filter: Some(filter.clone()), ..ListMoviesRequest::default() };
        let page = list(&mut fixture.stub, &request).await.unwrap();
        assert_eq!(ids(&page.movies).concat(), *expected, "{filter:?}");
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn texts_of_a_filter_are_compared_without_case_and_accents() {
    let movies = vec![
        Movie {
            genres: words(&["Film Noir"]), countries: words(&["Côte d'Ivoire"]), ..movie("a", "Straße")
        },
        Movie { genres: words(&["film noir"]), languages: words(&["Español"]), ..movie("b", "Øre") },
        Movie { director: "Agnès Varda".into(), cast: words(&["Léa Seydoux"]), ..movie("c", "Amélie") },
    ];
    let any = MovieFilter::default;
    let expected = [
        (MovieFilter { genres: words(&["FILM NOIR"]), ..any() }, "ab"),
        (MovieFilter { countries: words(&["cote d'ivoire"]), ..any() }, "a"),
        (MovieFilter { countries: words(&["COTE D'IVOIRE", "x"]), ..any() }, "a"),
        (MovieFilter { languages: words(&["espan\u{303}ol"]), ..any() }, "b"),
        (MovieFilter { director: "agnes VARDA".into(), ..any() }, "c"),
        (MovieFilter { cast: words(&["lea seydoux"]), ..any() }, "c"),
        (MovieFilter { title_prefix: "STRASS".into(), ..any() }, "a"),
        (MovieFilter { title_prefix: "ore".into(), ..any() }, "b"),
        (MovieFilter { title_prefix: "amé".into(), ..any() }, "c"),
    ];
    assert_filtered(movies, &expected).await;
}

#[tokio::test]
async fn a_director_is_one_name_out_of_several_or_all_of_them() {
    let directed_by = |id, director: &str| Movie { director: director.into(), ..movie(id, "A title") };
    let movies =
        vec![directed_by("a", "Joel Coen, Ethan Coen"), directed_by("b", "Ethan Coen"), movie("c", "None")];
    let director = |director: &str| MovieFilter { director: director.into(), ..MovieFilter::default() };
    let expected = [
        (director("Ethan Coen"), "ab"),
        (director("joel coen"), "a"),
        (director("Joel Coen, Ethan Coen"), "a"),
        (director("Ethan Coen, Joel Coen"), ""),
        (director("Coen"), ""),
        (director("Joel"), ""),
    ];
    assert_filtered(movies, &expected).await;
}

#[tokio::test]
async fn all_people_of_a_filter_are_in_the_cast() {
    let with = |id, cast: &[&str]| Movie { cast: words(cast), ..movie(id, "A title") };
    let movies = vec![
        with("a", &["Tessa Thompson", "Michael B. Jordan"]),
        with("b", &["Michael B. Jordan"]),
        Movie { writers: words(&["Michael B. Jordan"]), ..movie("c", "A title") },
    ];
    let cast = |cast: &[&str]| MovieFilter { cast: words(cast), ..MovieFilter::default() };
    let expected = [
        (cast(&["Michael B. Jordan"]), "ab"),
        (cast(&["michael b. jordan", "TESSA THOMPSON"]), "a"),
        (cast(&["Michael B. Jordan", "Nobody"]), ""),
        (cast(&["Michael"]), ""),
    ];
    assert_filtered(movies, &expected).await;
}

#[tokio::test]
async fn a_title_begins_with_the_prefix_of_a_filter() {
    let movies = vec![movie("a", "The Martian"), movie("b", "Themroc"), movie("c", "A The")];
    let prefix = |prefix: &str| MovieFilter { title_prefix: prefix.into(), ..MovieFilter::default() };
    let expected =
        [(prefix("the"), "ab"), (prefix("THE "), "a"), (prefix("the martian"), "a"), (prefix("he"), "")];
    assert_filtered(movies, &expected).await;
}

#[tokio::test]
async fn a_movie_is_of_one_of_the_decades_of_a_filter() {
    let of = |id, year| Movie { year, ..movie(id, "A title") };
    let movies = vec![of("a", 1989), of("b", 1990), of("c", 1999), of("d", 2000), of("e", 0)];
    let decades = |decades: &[i32]| MovieFilter { decades: decades.to_vec(), ..MovieFilter::default() };
    let expected = [
        (decades(&[1990]), "bc"),
        (decades(&[1980, 2000]), "ad"),
        (decades(&[1870]), ""),
        (MovieFilter { year_from: 1995, ..decades(&[1980, 1990]) }, "c"),
    ];
    assert_filtered(movies, &expected).await;
}

/// Returns the ids of all movies in an order, from pages of one movie.
async fn ordered(stub: &mut Stub, order_by: &str) -> Vec<String> {
    let mut request = ListMoviesRequest { order_by: order_by.into(), ..one_by_one() };
    let mut seen = Vec::new();
    loop {
        let page = list(stub, &request).await.unwrap();
        seen.extend(page.movies.into_iter().map(|movie| movie.id));
        if page.next_page_token.is_empty() {
            return seen;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn titles_are_in_the_order_of_a_dictionary() {
    let mut fixture = Fixture::start().await;
    // By code points, all capital letters come before the others, and letters with accents come last.
    let titles = [
        "'71", "2 Days", "A", "Ä", "a trip", "A Trip", "Ähre", "Azur", "B", "Ea", "éa", "Eb", "Zorro",
        "Ёлки", "千",
    ];
    let movies = titles.iter().enumerate().rev().map(|(number, title)| movie(&format!("{number:02}"), title));
    import(&mut fixture.stub, movies.collect()).await.unwrap();
    let mut expected: Vec<_> = (0..titles.len()).map(|number| format!("{number:02}")).collect();
    assert_eq!(ordered(&mut fixture.stub, "title").await, expected);
    expected.reverse();
    assert_eq!(ordered(&mut fixture.stub, "title desc").await, expected);
}

#[tokio::test]
async fn movies_without_a_rating_count_come_last_in_either_direction() {
    let mut fixture = Fixture::start().await;
    let rated = |id, rating_count| Movie { rating_count, ..movie(id, "A title") };
    let movies =
        vec![rated("a", 0), rated("b", 7), rated("c", 1_000_000_000_000), rated("d", 7), rated("e", 0)];
    import(&mut fixture.stub, movies).await.unwrap();
    assert_eq!(ordered(&mut fixture.stub, "rating_count desc").await.concat(), "cbdae");
    assert_eq!(ordered(&mut fixture.stub, "rating_count").await.concat(), "bdcae");
}

#[tokio::test]
async fn movies_are_ordered_by_when_they_were_created_and_updated() {
    let mut fixture = Fixture::start().await;
    for id in ["b", "a", "c"] {
        create(&mut fixture.stub, movie(id, "A title")).await.unwrap();
    }
    update(&mut fixture.stub, movie("a", "Another title")).await.unwrap();
    assert_eq!(ordered(&mut fixture.stub, "create_time").await.concat(), "bac");
    assert_eq!(ordered(&mut fixture.stub, "create_time desc").await.concat(), "cab");
    assert_eq!(ordered(&mut fixture.stub, "update_time desc").await.concat(), "acb");
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
        assert_eq!(ordered(&mut fixture.stub, order_by).await.concat(), expected, "{order_by:?}");
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
        languages: words.clone(),
        director: String::new(),
        cast: words,
        title_prefix: "x".repeat(1_001),
        decades: vec![1995],
    };
    let request = ListMoviesRequest {
        page_size: -1,
        page_token: "x".into(),
        filter: Some(filter),
        order_by: "director".into(),
    };
    let mut invalid = Failure::new(Code::InvalidArgument, "INVALID_FIELDS").field("page_size");
    for field in [
        "year_from",
        "year_to",
        "rating_min",
        "genres",
        "countries",
        "languages",
        "cast",
        "title_prefix",
        "decades",
    ] {
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
