//! Any query with any filter, facets and order gets a page or the violations of the contract. A page has each movie once,
//! highlights between the characters of its texts, and movies that the filter selects; the next page goes on after it.

#![no_main]

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use movie_proto::catalog::v1::{Hit, MovieFilter, SearchMoviesRequest, SearchMoviesResponse};
use movie_service::catalogue::{Catalogue, Change, Record};
use movie_service::movie::Movie;
use movie_service::server::in_process::InProcessServer;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::{Code, Status};

const SEARCH: &str = "/movie.catalog.v1.MovieCatalog/SearchMovies";

/// Maximum length of a query, and of the start of a title, in characters.
const MAX_CHARS: usize = 1_000;

/// The fields that have facets; the first bits of the options.
const FACETS: [&str; 4] = ["genres", "countries", "languages", "decades"];

/// The orders; the next bits of the options.
const ORDERS: [&str; 4] = ["", "title", "year desc, rating", "rating_count desc"];

/// Titles in many scripts, with original titles and names.
const MOVIES: [(&str, &str, &str, &str); 24] = [
    ("The Godfather", "", "Francis Ford Coppola", "Marlon Brando"),
    ("The Godfather Part II", "", "Francis Ford Coppola", "Al Pacino"),
    ("Amélie", "Le fabuleux destin d'Amélie Poulain", "Jean-Pierre Jeunet", "Audrey Tautou"),
    ("8½", "Otto e mezzo", "Federico Fellini", "Marcello Mastroianni"),
    ("E.T. the Extra-Terrestrial", "", "Steven Spielberg", "Drew Barrymore"),
    ("M*A*S*H", "MASH", "Robert Altman", "Donald Sutherland"),
    ("WALL·E", "", "Andrew Stanton", ""),
    ("Ocean's Twelve", "", "Steven Soderbergh", "George Clooney"),
    ("12 Angry Men", "", "Sidney Lumet", "Henry Fonda"),
    ("$", "", "Richard Brooks", "Goldie Hawn"),
    ("Mr. & Mrs. Smith", "", "Doug Liman", "Angelina Jolie"),
    ("II", "2", "2 Chainz", "X"),
    ("Straße der Ærø", "Łódź þ", "ﬁ Ⅷ", "İı"),
    ("Spirited Away", "千と千尋の神隠し", "宮崎 駿", "柊 瑠美"),
    ("となりのトトロ", "", "Hayao Miyazaki", "ﾄﾄﾛ"),
    ("Parasite", "기생충", "봉준호", "송강호"),
    ("霸王别姬", "Farewell My Concubine", "陈凯歌", "张国荣"),
    ("Броненосец Потёмкин", "Battleship Potemkin", "Сергей Эйзенштейн", "Ёлка"),
    ("Αλέξης Ζορμπάς", "Zorba the Greek", "Μιχάλης Κακογιάννης", "Anthony Quinn"),
    ("إسكندرية ليه", "الأرض", "يوسف شاهين", "عزّة العلايلي"),
    ("ฟ้าทะลายโจร", "Tears of the Black Tiger", "วิศิษฏ์", ""),
    ("देवदास", "Devdas", "संजय लीला भंसाली", ""),
    ("ואלס עם באשיר", "Waltz with Bashir", "ארי פולמן", ""),
    ("A\u{301}\u{327} 🎬\u{200d}🎥 \u{202e}film", "- '", "'", "Zoë\u{ad}Bell"),
];

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let catalogue = Catalogue::default();
    for (number, (title, original_title, director, cast)) in (0_i64..).zip(MOVIES) {
        let texts = |text: &str| vec![text.to_owned()];
        let movie = Movie {
            title: title.into(),
            rating: Some(8.5),
            director: director.into(),
            id: number.to_string(),
            year: if number % 5 == 0 { 0 } else { 1940 + 7 * (number % 10) },
            genres: texts(if number % 4 == 0 { "Drama" } else { "Comédie" }),
            countries: if number % 3 == 0 { texts("日本") } else { texts("France") },
            original_title: original_title.into(),
            cast: cast.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            writers: if number % 2 == 0 { texts("Mario Puzo") } else { Vec::new() },
            rating_count: number * number,
            ..Movie::default()
        };
        catalogue.apply([Change::Insert(Record::of(&movie).movie())]).expect("every id is new");
    }
    Arc::new(catalogue)
});

static SERVER: LazyLock<InProcessServer> =
    LazyLock::new(|| InProcessServer::new(CATALOGUE.clone()).expect("the services can be made"));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));

// The input is the options, the options of the filter, the page size, and the query with, after a line end, a text for the
// filter.
fuzz_target!(|input: &[u8]| {
    let [how, filter, size, text @ ..] = input else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let (query, filtered) = text.split_once('\n').unwrap_or((text, ""));
    let has = |bit: u8| how >> bit & 1 != 0;
    let request = SearchMoviesRequest {
        query: query.to_owned(),
        page_size: i32::from(size % 30),
        page_token: String::new(),
        filter: movie_filter(*filter, filtered),
        facets: (0..).zip(FACETS).filter(|(bit, _)| has(*bit)).map(|(_, field)| field.to_owned()).collect(),
        order_by: ORDERS[usize::from(how >> 4 & 3)].to_owned(),
    };
    let prefix = request.filter.as_ref().map_or("", |filter| &filter.title_prefix);
    let is_valid = [query, prefix].iter().all(|text| text.chars().count() <= MAX_CHARS);
    let (status, page) = RUNTIME.block_on(search(&request));
    if !is_valid {
        return assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(status.code(), Code::Ok, "{status}");
    let mut seen = check(&request, &page, &HashSet::new());
    if !page.next_page_token.is_empty() {
        let next = SearchMoviesRequest { page_token: page.next_page_token.clone(), ..request };
        let (status, next_page) = RUNTIME.block_on(search(&next));
        assert_eq!(status.code(), Code::Ok, "{status}");
        assert_eq!((next_page.total_size, &next_page.facets), (page.total_size, &page.facets));
        assert!(!next_page.hits.is_empty());
        seen.extend(check(&next, &next_page, &seen));
    }
    assert!(seen.len() <= usize::try_from(page.total_size).expect("a total is not negative"));
});

/// Returns a filter with some conditions, of which a text is part.
fn movie_filter(how: u8, text: &str) -> Option<MovieFilter> {
    let has = |bit: u8| how >> bit & 1 != 0;
    let texts = |bit| if has(bit) { vec![text.to_owned(), "DRAMA".to_owned()] } else { Vec::new() };
    let one = |bit| if has(bit) { text.to_owned() } else { String::new() };
    has(0).then(|| MovieFilter {
        year_from: if has(1) { 1961 } else { 0 },
        year_to: if has(2) { 1985 } else { 0 },
        genres: texts(3),
        countries: texts(4),
        director: one(5),
        title_prefix: one(6),
        cast: if has(7) { vec![text.to_owned()] } else { Vec::new() },
        ..MovieFilter::default()
    })
}

/// Makes a call; returns the status and the page.
async fn search(request: &SearchMoviesRequest) -> (Status, SearchMoviesResponse) {
    let message = request.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a request is small").to_be_bytes();
    let body = Full::new(Bytes::from([&[0], &length[..], &message].concat()));
    let call = Request::post(SEARCH).header("content-type", "application/grpc").body(body);
    let response = SERVER.call(call.expect("the request is well-formed")).await;
    let headers = response.headers().clone();
    let collected = pin!(response.into_body()).collect().await.expect("the response body is complete");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers));
    let status = status.expect("the response has a status");
    let body = collected.to_bytes();
    let page = body.get(5..).map(|message| SearchMoviesResponse::decode(message).expect("a page is decoded"));
    (status, page.unwrap_or_default())
}

/// Checks a page, and returns the ids of its movies, none of which is among those seen before.
fn check(
    request: &SearchMoviesRequest,
    page: &SearchMoviesResponse,
    seen: &HashSet<String>,
) -> HashSet<String> {
    let size = if request.page_size == 0 { 10 } else { request.page_size };
    assert!(page.hits.len() <= usize::try_from(size).expect("a size is not negative"));
    let fields: Vec<_> = page.facets.iter().map(|facet| &facet.field).collect();
    assert_eq!(fields, request.facets.iter().collect::<Vec<_>>());
    assert!(page.facets.iter().flat_map(|facet| &facet.values).all(|value| value.count > 0));
    let mut ids = HashSet::new();
    for hit in &page.hits {
        let id = check_hit(request, hit);
        assert!(!seen.contains(&id) && ids.insert(id));
    }
    ids
}

/// Checks that a movie meets the conditions on its year, and that its highlights lie between characters. Returns its id.
fn check_hit(request: &SearchMoviesRequest, hit: &Hit) -> String {
    let movie = hit.movie.as_ref().expect("a hit has a movie");
    let MovieFilter { year_from, year_to, .. } = request.filter.clone().unwrap_or_default();
    assert!(year_from == 0 && year_to == 0 || movie.year > 0);
    assert!(movie.year >= year_from && (year_to == 0 || movie.year <= year_to));
    for highlight in &hit.highlights {
        let index = usize::try_from(highlight.index).expect("an index is not negative");
        let texts = match highlight.field.as_str() {
            "title" => std::slice::from_ref(&movie.title),
            "original_title" => std::slice::from_ref(&movie.original_title),
            "director" => std::slice::from_ref(&movie.director),
            "cast" => &movie.cast,
            "writers" => &movie.writers,
            other => panic!("{other} is not searched"),
        };
        let (text, mut end) = (&texts[index], 0);
        assert!(!highlight.ranges.is_empty());
        for range in &highlight.ranges {
            let [from, to] = [range.start, range.end].map(|at| usize::try_from(at).expect("not negative"));
            assert!(from >= end && to > from && text.get(from..to).is_some(), "{from}..{to} of {text:?}");
            end = to;
        }
    }
    movie.id.clone()
}
