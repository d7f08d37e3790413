//! Messages as prost encodes them, for the tests of the page's decoder: `movie-service/web/tests/unit/wire/cases.json`.
//!
//! `UPDATE_WIRE_CASES=1 cargo test -p movie-proto wire_cases` writes the file anew.

use std::fmt::Write;
use std::time::Duration;

use movie_proto::catalog::v1::facet::Value;
use movie_proto::catalog::v1::highlight::Range;
use movie_proto::catalog::v1::watch_movies_request::Start;
use movie_proto::catalog::v1::watch_movies_response::Event;
use movie_proto::catalog::v1::{
    Facet, Highlight, Hit, Movie, MovieFilter, SearchMoviesRequest, SearchMoviesResponse, UpdateMovieRequest,
    WatchMoviesRequest, WatchMoviesResponse,
};
use movie_proto::{Empty, FILE_DESCRIPTOR_SET, MovieData, MovieId};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../movie-service/web/tests/unit/wire/cases.json");

#[test]
fn wire_cases_for_the_page_are_up_to_date() {
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let cases: Vec<String> = cases().into_iter().map(|case| case.to_json(&pool)).collect();
    let cases = format!("[\n{}\n]\n", cases.join(",\n"));
    if std::env::var_os("UPDATE_WIRE_CASES").is_some() {
        std::fs::write(FILE, cases).unwrap();
    } else {
        let committed = std::fs::read_to_string(FILE).unwrap();
        assert!(
            committed == cases,
            "{FILE} is stale: UPDATE_WIRE_CASES=1 cargo test -p movie-proto wire_cases"
        );
    }
}

/// An encoded message, and the type to read it as.
struct Case {
    name: &'static str,
    message: &'static str,
    bytes: Vec<u8>,
}

impl Case {
    fn new(name: &'static str, message: &'static str, value: &impl Message) -> Self {
        Self { name, message, bytes: value.encode_to_vec() }
    }

    /// Returns the case as JSON, with the values of the message in the canonical JSON of protobuf.
    fn to_json(&self, pool: &DescriptorPool) -> String {
        let message = pool.get_message_by_name(self.message).unwrap();
        let value = DynamicMessage::decode(message, self.bytes.as_slice()).unwrap();
        let hex = self.bytes.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let [name, message, hex] =
            [self.name, self.message, &hex].map(|text| serde_json::to_string(text).unwrap());
        // Not as a `serde_json::Value`, which would write a float with the digits of a double.
        let value = serde_json::to_string(&value).unwrap();
        format!(r#"{{"name":{name},"message":{message},"hex":{hex},"value":{value}}}"#)
    }
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "the request of the course",
            "MovieID",
            &MovieId { id: "a8034f44-aee4-44cf-b32c-74cf452aaaae".into() },
        ),
        Case::new("a movie of the course", "MovieData", &martian()),
        Case::new("a message without fields", "Empty", &Empty {}),
        Case::new("all fields of a movie", "movie.catalog.v1.Movie", &movie()),
        Case::new("a movie read with an older contract", "MovieData", &movie()),
        Case::new("no field of a movie", "movie.catalog.v1.Movie", &Movie::default()),
        Case::new(
            "an empty optional field",
            "movie.catalog.v1.Movie",
            &Movie { rating: Some(0.0), ..Movie::default() },
        ),
        Case::new("the smallest integers", "movie.catalog.v1.Movie", &integers(i32::MIN, i64::MIN)),
        Case::new("negative integers", "movie.catalog.v1.Movie", &integers(-1, -2)),
        Case::new("the largest integers", "movie.catalog.v1.Movie", &integers(i32::MAX, i64::MAX)),
        Case::new("packed decades", "movie.catalog.v1.SearchMoviesRequest", &search()),
        Case::new("nested highlights", "movie.catalog.v1.SearchMoviesResponse", &found()),
        Case::new("a field mask", "movie.catalog.v1.UpdateMovieRequest", &update()),
        Case::new("a time before 1970", "movie.catalog.v1.Movie", &created(-1, 999_999_999)),
        Case::new("a whole second", "movie.catalog.v1.Movie", &created(1_700_000_000, 0)),
        Case::new("texts that are not ASCII", "movie.catalog.v1.Movie", &texts()),
        Case { name: "error details", message: "google.rpc.Status", bytes: refusal().details().to_vec() },
    ];
    let ratings = [8.2, 0.1, -0.5, 1.0, 1e-45, f32::MAX, f32::INFINITY, f32::NAN];
    cases.extend(
        ratings
            .map(|rating| Case::new("a float", "MovieData", &MovieData { rating, ..MovieData::default() })),
    );
    let starts = [Start::FromRevision(i64::MAX), Start::FullCopy(true), Start::ResumeToken(String::new())];
    cases.extend(starts.map(|start| {
        let request = WatchMoviesRequest { start: Some(start) };
        Case::new("a oneof of a request", "movie.catalog.v1.WatchMoviesRequest", &request)
    }));
    let events = [Event::Upserted(movie()), Event::DeletedId("tt1".into()), Event::CaughtUp(true)];
    cases.extend(events.map(|event| {
        let response = WatchMoviesResponse { revision: 300, event: Some(event), resume_token: "r1".into() };
        Case::new("a oneof of a response", "movie.catalog.v1.WatchMoviesResponse", &response)
    }));
    cases
}

fn martian() -> MovieData {
    MovieData {
        title: "The Martian".into(),
        rating: 8.2,
        director: "Ridley Scott".into(),
        id: "a8034f44-aee4-44cf-b32c-74cf452aaaae".into(),
    }
}

fn movie() -> Movie {
    Movie {
        title: "Amélie".into(),
        rating: Some(8.3),
        director: "Jean-Pierre Jeunet".into(),
        id: "tt0211915".into(),
        year: 2001,
        genres: vec!["Comedy".into(), "Romance".into()],
        runtime_minutes: 122,
        countries: vec!["France".into(), "Germany".into()],
        languages: vec!["French".into()],
        create_time: Some(Timestamp { seconds: 1_764_285_772, nanos: 120_000_000 }),
        update_time: Some(Timestamp { seconds: 1_764_285_773, nanos: 1 }),
        etag: "\"96972a3927af2d75\"".into(),
        original_title: "Le Fabuleux Destin d’Amélie Poulain".into(),
        cast: vec!["Audrey Tautou".into(), "Mathieu Kassovitz".into()],
        writers: vec!["Guillaume Laurant".into()],
        rating_count: 1_000_000_000_000,
        overview: "A waitress in Paris returns a box of treasures. ".repeat(4),
        poster_uri: "https://posters.example/tt0211915.jpg".into(),
    }
}

fn integers(year: i32, rating_count: i64) -> Movie {
    Movie { year, rating_count, ..Movie::default() }
}

fn created(seconds: i64, nanos: i32) -> Movie {
    Movie { create_time: Some(Timestamp { seconds, nanos }), ..Movie::default() }
}

fn texts() -> Movie {
    Movie {
        title: "七人の侍 🎬".into(),
        director: "يوسف شاهين".into(),
        original_title: "\u{feff}e\u{301}\0\u{202e}<script>\r\n\\".into(),
        cast: vec![String::new(), " ".into(), "\u{10ffff}".into()],
        ..Movie::default()
    }
}

fn search() -> SearchMoviesRequest {
    let filter = MovieFilter {
        rating_min: Some(7.5),
        genres: vec!["Western".into()],
        decades: vec![1870, 1990, 0, -10, i32::MAX],
        ..MovieFilter::default()
    };
    SearchMoviesRequest {
        query: "sevn samurai".into(),
        page_size: 40,
        filter: Some(filter),
        facets: vec!["genres".into(), "decades".into()],
        ..SearchMoviesRequest::default()
    }
}

fn found() -> SearchMoviesResponse {
    let ranges = vec![Range { start: 0, end: 5 }, Range { start: 6, end: 13 }];
    let highlights = vec![
        Highlight { field: "title".into(), index: 0, ranges },
        Highlight { field: "cast".into(), index: 1, ranges: vec![Range::default()] },
    ];
    let values =
        vec![Value { value: "1950".into(), count: 17_470 }, Value { value: "1960".into(), count: 1 }];
    SearchMoviesResponse {
        hits: vec![Hit { movie: Some(movie()), highlights }, Hit::default()],
        next_page_token: "next".into(),
        total_size: 2,
        facets: vec![Facet { field: "decades".into(), values }],
        revision: 1_795_821_653_462_386,
    }
}

fn update() -> UpdateMovieRequest {
    UpdateMovieRequest {
        movie: Some(Movie { id: "tt1".into(), year: 1979, ..Movie::default() }),
        update_mask: Some(FieldMask { paths: vec!["year".into(), "original_title".into()] }),
        allow_missing: true,
    }
}

fn refusal() -> Status {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("INVALID_FIELDS", "movie-service", [("missing".to_owned(), "tt1".to_owned())])
        .add_bad_request_violation("movie.title", "must not be empty")
        .add_bad_request_violation("movie.year", "must be from 1870 to 2200")
        .set_resource_info("movie.catalog.v1.Movie", "tt1", "", "")
        .set_retry_info(Some(Duration::from_millis(1500)));
    Status::with_error_details(Code::InvalidArgument, "2 fields are invalid", details)
}
