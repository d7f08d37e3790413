//! `SearchMovies`.

use movie_proto::catalog::v1::{MovieFilter, SearchMoviesRequest, SearchMoviesResponse, highlight};

use super::*;
use crate::support::databases::database;

pub(super) async fn search(
    stub: &mut Stub,
    request: SearchMoviesRequest,
) -> Result<SearchMoviesResponse, Status> {
    Ok(stub.search_movies(request).await?.into_inner())
}

pub(super) fn query(text: &str) -> SearchMoviesRequest {
    SearchMoviesRequest { query: text.into(), ..SearchMoviesRequest::default() }
}

pub(super) fn ids(page: &SearchMoviesResponse) -> Vec<&str> {
    page.hits.iter().map(|hit| hit.movie.as_ref().unwrap().id.as_str()).collect()
}

fn titles(page: &SearchMoviesResponse) -> Vec<&str> {
    page.hits.iter().map(|hit| hit.movie.as_ref().unwrap().title.as_str()).collect()
}

/// Asserts that a query finds exactly these ids, in order.
async fn assert_finds(stub: &mut Stub, text: &str, expected: &[&str]) {
    let page = search(stub, query(text)).await.unwrap();
    assert_eq!(ids(&page), expected, "{text}");
    assert_eq!(page.total_size, i32::try_from(expected.len()).unwrap());
}

/// Starts the service with the films of the repository.
async fn films() -> (Service, Stub) {
    let service = Service::run(&mut command(&database("films.json")));
    let stub = stub(&service).await;
    (service, stub)
}

#[tokio::test]
async fn a_film_is_found_however_its_title_is_typed() {
    let (_service, mut stub) = films().await;
    for (text, title) in [
        ("the godfather", "The Godfather"),
        ("godfathr", "The Godfather"),
        ("xodfather", "The Godfather"),
        ("amelie", "Amélie"),
        ("oceans eleven", "Ocean's Eleven"),
        ("8 1/2", "8½"),
        ("m*a*s*h", "MASH"),
        ("et", "E.T. the Extra-Terrestrial"),
        ("la confidential", "L.A. Confidential"),
        ("xmen", "X-Men"),
        ("wall e", "WALL-E"),
        ("spider man", "Spider-Man"),
        ("star wrs new hope", "Star Wars: Episode IV – A New Hope"),
    ] {
        let page = search(&mut stub, query(text)).await.unwrap();
        assert!(titles(&page)[..3.min(page.hits.len())].contains(&title), "{text}: {:?}", titles(&page));
    }
}

#[tokio::test]
async fn a_title_counts_more_than_a_person() {
    let mut fixture = Fixture::start().await;
    let director = Movie { director: "Mary Jaws".into(), rating_count: 1_000_000, ..movie("a", "Water") };
    let cast = Movie { cast: vec!["Anna Jaws".into()], ..movie("b", "Sand") };
    import(&mut fixture.stub, vec![director, cast, movie("c", "Jaws")]).await.unwrap();
    assert_finds(&mut fixture.stub, "jaws", &["c", "a", "b"]).await;
    assert_finds(&mut fixture.stub, "anna jaws", &["b"]).await;
}

#[tokio::test]
async fn every_write_is_found_once_it_is_acknowledged() {
    let mut fixture = Fixture::start().await;
    assert_finds(&mut fixture.stub, "volver", &[]).await;
    for round in 0..20 {
        let id = round.to_string();
        create(&mut fixture.stub, movie(&id, "Volver")).await.unwrap();
        assert_finds(&mut fixture.stub, "volver", &[&id]).await;
        update(&mut fixture.stub, movie(&id, "Creed")).await.unwrap();
        assert_finds(&mut fixture.stub, "volver", &[]).await;
        assert_finds(&mut fixture.stub, "creed", &[&id]).await;
        delete(&mut fixture.stub, &id).await.unwrap();
        assert_finds(&mut fixture.stub, "creed", &[]).await;
    }
    fixture.restart().await;
    create(&mut fixture.stub, movie("a", "Amélie")).await.unwrap();
    assert_finds(&mut fixture.stub, "amelie", &["a"]).await;
}

#[tokio::test]
async fn later_pages_show_the_revision_of_the_first() {
    let mut fixture = Fixture::start().await;
    let movies = (0..25).map(|number| movie(&format!("{number:02}"), "Creed"));
    import(&mut fixture.stub, movies.collect()).await.unwrap();
    let mut request = query("creed");
    let first = search(&mut fixture.stub, request.clone()).await.unwrap();
    assert_eq!((first.hits.len(), first.total_size), (10, 25));
    delete(&mut fixture.stub, "12").await.unwrap();
    update(&mut fixture.stub, movie("13", "Volver")).await.unwrap();
    create(&mut fixture.stub, movie("00a", "Creed")).await.unwrap();
    let mut found: Vec<_> = ids(&first).into_iter().map(str::to_owned).collect();
    request.page_token = first.next_page_token;
    while !request.page_token.is_empty() {
        let page = search(&mut fixture.stub, request.clone()).await.unwrap();
        assert_eq!((page.revision, page.total_size), (first.revision, 25));
        found.extend(ids(&page).into_iter().map(str::to_owned));
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, (0..25).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_token_expires_after_a_thousand_changes_and_cannot_be_altered() {
    let mut fixture = Fixture::with_movies(&["a", "b"]).await;
    let mut request = SearchMoviesRequest { page_size: 1, ..query("title") };
    request.page_token = search(&mut fixture.stub, request.clone()).await.unwrap().next_page_token;
    let other = SearchMoviesRequest { query: "titles".into(), ..request.clone() };
    let invalid = Failure::new(Code::InvalidArgument, "PAGE_TOKEN_INVALID").field("page_token");
    assert_failed(search(&mut fixture.stub, other).await, &invalid);
    let altered = SearchMoviesRequest { page_token: format!("{}A", request.page_token), ..request.clone() };
    assert_failed(search(&mut fixture.stub, altered).await, &invalid);
    import(&mut fixture.stub, (0..1_000).map(|number| movie(&number.to_string(), "x")).collect())
        .await
        .unwrap();
    assert_eq!(ids(&search(&mut fixture.stub, request.clone()).await.unwrap()), ["b"]);
    create(&mut fixture.stub, movie("one more", "x")).await.unwrap();
    let expired = Failure::new(Code::OutOfRange, "PAGE_TOKEN_EXPIRED");
    assert_failed(search(&mut fixture.stub, request).await, &expired);
}

#[tokio::test]
async fn highlights_are_the_parts_of_the_texts_that_match() {
    let mut fixture = Fixture::start().await;
    let film = Movie {
        cast: vec!["Audrey Tautou".into(), "Yolande".into()],
        ..movie("a", "Le fabuleux destin d'Amélie")
    };
    create(&mut fixture.stub, film).await.unwrap();
    let page = search(&mut fixture.stub, query("amelie yoland")).await.unwrap();
    let highlights: Vec<_> = page.hits[0]
        .highlights
        .iter()
        .map(|highlight| (highlight.field.as_str(), highlight.index, highlight.ranges.clone()))
        .collect();
    let range = |start, end| vec![highlight::Range { start, end }];
    // The word is 28 characters in, and its é takes two bytes.
    assert_eq!(highlights, [("title", 0, range(19, 28)), ("cast", 1, range(0, 7))]);
}

#[tokio::test]
async fn an_empty_query_lists_by_popularity_with_facets_and_filters() {
    let mut fixture = Fixture::start().await;
    let film = |id: &str, rating_count, year, genres: &[&str]| Movie {
        rating_count,
        year,
        genres: genres.iter().map(|genre| (*genre).to_owned()).collect(),
        ..movie(id, "A title")
    };
    let films = vec![
        film("a", 10, 1994, &["Drama"]),
        film("b", 5_000, 1999, &["Drama", "Action"]),
        film("c", 200, 2001, &["Action"]),
    ];
    import(&mut fixture.stub, films).await.unwrap();
    let facets = vec!["genres".to_owned(), "decades".to_owned()];
    let counts = |page: &SearchMoviesResponse| {
        let values = page.facets.iter().map(|facet| {
            facet.values.iter().map(|value| format!("{} {}", value.value, value.count)).collect::<Vec<_>>()
        });
        values.collect::<Vec<_>>()
    };
    let all = SearchMoviesRequest { facets: facets.clone(), ..query("  ") };
    let page = search(&mut fixture.stub, all).await.unwrap();
    assert_eq!(ids(&page), ["b", "c", "a"]);
    assert_eq!(counts(&page), [["Action 2", "Drama 2"], ["1990 2", "2000 1"]]);

    let filter = Some(MovieFilter { genres: vec!["drama".into()], ..MovieFilter::default() });
    let drama = SearchMoviesRequest { facets, filter, ..query("title") };
    let page = search(&mut fixture.stub, drama).await.unwrap();
    assert_eq!((ids(&page), page.total_size), (vec!["b", "a"], 2));
    // The filter on genres is left out for the counts of genres only.
    assert_eq!(counts(&page), [vec!["Action 2", "Drama 2"], vec!["1990 2"]]);

    let by_year = SearchMoviesRequest { order_by: "year desc".into(), page_size: 2, ..query("title") };
    let page = search(&mut fixture.stub, by_year.clone()).await.unwrap();
    assert_eq!(ids(&page), ["c", "b"]);
    let next = SearchMoviesRequest { page_token: page.next_page_token, ..by_year };
    assert_eq!(ids(&search(&mut fixture.stub, next).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn all_violations_of_a_search_are_reported_at_once() {
    let mut fixture = Fixture::start().await;
    let request = SearchMoviesRequest {
        page_size: -1,
        facets: vec!["genres".into(), "titles".into()],
        order_by: "?".into(),
        ..query(&"x".repeat(1_001))
    };
    let expected = ["query", "page_size", "order_by", "facets"];
    let expected = expected
        .iter()
        .fold(Failure::new(Code::InvalidArgument, "INVALID_FIELDS"), |failure, field| failure.field(field));
    assert_failed(search(&mut fixture.stub, request).await, &expected);
    let odd = query("\u{0}\u{7f}\u{202e} \u{fffd}\n");
    assert_eq!(search(&mut fixture.stub, odd).await.unwrap().total_size, 0);
}

#[tokio::test]
async fn searches_are_refused_when_search_is_off() {
    let mut fixture = Fixture::with(&["--search", "off"]).await;
    let refused = search(&mut fixture.stub, query("x")).await;
    assert_failed(refused, &Failure::new(Code::Unimplemented, "SEARCH_OFF"));
}

#[tokio::test]
async fn the_catalog_says_whether_the_caller_may_write() {
    let mut fixture = Fixture::start().await;
    assert!(catalog(&mut fixture.stub).await.can_write);
    let (_service, mut stub) = films().await;
    assert!(!catalog(&mut stub).await.can_write);
}

#[tokio::test]
async fn writes_in_parallel_are_found_once_they_are_acknowledged() {
    let fixture = Fixture::start().await;
    let words = ["Alien", "Brazil", "Casino", "Django"];
    let writers = words.map(|word| {
        let mut stub = fixture.stub.clone();
        tokio::spawn(async move {
            for round in 0..25 {
                let id = format!("{word} {round}");
                let expected = [id.as_str()];
                create(&mut stub, movie(&id, word)).await.unwrap();
                assert_finds(&mut stub, word, &expected).await;
                let cast = vec![format!("Max {word}")];
                update(&mut stub, Movie { cast, ..movie(&id, "Volver") }).await.unwrap();
                assert_finds(&mut stub, &format!("max {word}"), &expected).await;
                delete(&mut stub, &id).await.unwrap();
                assert_finds(&mut stub, word, &[]).await;
            }
        })
    });
    // Batches that make the parts of the index merge meanwhile.
    let mut stub = fixture.stub.clone();
    for batch in 0..10 {
        let movies = (0..200).map(|number| movie(&format!("x{}", (batch * 150 + number) % 900), "Zulu"));
        import(&mut stub, movies.collect()).await.unwrap();
        let count = if batch < 5 { batch * 150 + 200 } else { 900 };
        let page = search(&mut stub, query("zulu")).await.unwrap();
        assert_eq!(page.total_size, count);
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn each_facet_is_counted_without_the_filter_on_itself() {
    let mut fixture = Fixture::start().await;
    let film = |id: &str, year, genre: &str, country: &str, language: &str| Movie {
        year,
        genres: vec![genre.into()],
        countries: vec![country.into()],
        languages: vec![language.into()],
        ..movie(id, "A film")
    };
    let films = vec![
        film("a", 1954, "Drama", "Japan", "Japanese"),
        film("b", 1959, "Drama", "France", "French"),
        film("c", 1966, "Drama", "Japan", "Japanese"),
        film("d", 1954, "Comedy", "Japan", "Japanese"),
        film("e", 1954, "Drama", "Japan", "English"),
        film("f", 0, "Comedy", "France", "French"),
    ];
    import(&mut fixture.stub, films).await.unwrap();
    let filter = MovieFilter {
        genres: vec!["DRAMA".into()],
        countries: vec!["japan".into()],
        languages: vec!["Japanese".into()],
        decades: vec![1950],
        ..MovieFilter::default()
    };
    for text in ["film", ""] {
        let request = SearchMoviesRequest {
            filter: Some(filter.clone()),
            facets: ["decades", "genres", "languages", "countries"].map(str::to_owned).into(),
            ..query(text)
        };
        let page = search(&mut fixture.stub, request).await.unwrap();
        assert_eq!((ids(&page), page.total_size), (vec!["a"], 1), "{text:?}");
        let facets = page.facets.iter().map(|facet| {
            let values = facet.values.iter().map(|value| format!("{} {}", value.value, value.count));
            (facet.field.as_str(), values.collect::<Vec<_>>().join(", "))
        });
        let expected = [
            ("decades", "1950 1, 1960 1"),
            ("genres", "Comedy 1, Drama 1"),
            ("languages", "English 1, Japanese 1"),
            ("countries", "Japan 1"),
        ];
        let expected = expected.map(|(field, values)| (field, values.to_owned()));
        assert_eq!(facets.collect::<Vec<_>>(), expected, "{text:?}");
    }
}

#[tokio::test]
async fn highlights_lie_between_the_characters_of_titles_in_any_script() {
    let mut fixture = Fixture::start().await;
    let searches = [
        ("Le fabuleux destin d'Amélie Poulain", "amelie", vec!["d'Amélie"]),
        ("千と千尋の神隠し", "千尋", vec!["千", "千", "尋"]),
        ("となりのトトロ", "トトロ", vec!["ト", "ト", "ロ"]),
        ("기생충", "기생", vec!["기", "생"]),
        ("Броненосец Потёмкин", "потемкин", vec!["Потёмкин"]),
        ("Αλέξης Ζορμπάς", "ζορμπας", vec!["Ζορμπάς"]),
        ("إسكندرية ليه", "اسكندرية", vec!["إسكندرية"]),
        ("8½", "8 1/2", vec!["8", "½"]),
        ("Ame\u{301}lie 🎬 II", "amelie 2", vec!["Ame\u{301}lie", "II"]),
        ("WALL·E", "wall e", vec!["WALL", "E"]),
        ("Straße nach Ærø", "strasse aero", vec!["Straße", "Ærø"]),
        ("Mr. & Mrs. Smith", "mr and mrs", vec!["Mr", "&", "Mrs"]),
    ];
    let movies = searches.iter().map(|(title, ..)| movie(title, title));
    import(&mut fixture.stub, movies.collect()).await.unwrap();
    for (title, text, expected) in &searches {
        let page = search(&mut fixture.stub, query(text)).await.unwrap();
        let hit = page.hits.iter().find(|hit| hit.movie.as_ref().unwrap().title == *title);
        let hit = hit.unwrap_or_else(|| panic!("{text} does not find {title}: {page:?}"));
        let [highlight] = &hit.highlights[..] else { panic!("{hit:?}") };
        let parts = highlight.ranges.iter().map(|range| {
            let [start, end] = [range.start, range.end].map(|end| usize::try_from(end).unwrap());
            title.get(start..end).unwrap_or_else(|| panic!("{start}..{end} of {title}"))
        });
        assert_eq!(parts.collect::<Vec<_>>(), *expected, "{text}");
    }
}
