//! The rules of a movie are the same for requests, JSON databases and offline imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use movie_proto::catalog::v1::{self, UpdateMovieRequest};
use movie_service::catalogue::Record;
use movie_service::movie::{self, Field, MAX_ID_CHARS, Rule, ValidMovie, Value};
use movie_service::offline;
use movie_service::servicer::convert;
use movie_service::store::json;
use prost::Message;
use prost_types::FieldMask;
use serde_json::json;

use super::{Fixture, get, plain};
use crate::support::catalog::create_once;

fn creed() -> v1::Movie {
    v1::Movie { id: "7".into(), title: "Creed".into(), ..v1::Movie::default() }
}

/// Returns invalid movies, as messages and as entries of a file. Each field is invalid in at least one.
fn invalid_movies() -> Vec<(v1::Movie, serde_json::Value)> {
    let long = "é".repeat(1_001);
    let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
    let (plot, http) = ("é".repeat(4_001), "http://posters.example/creed.jpg");
    vec![
        (v1::Movie { title: String::new(), ..creed() }, json!({"id": "7", "title": ""})),
        (v1::Movie { id: String::new(), ..creed() }, json!({"title": "Creed"})),
        (v1::Movie { id: "a\nb".into(), ..creed() }, json!({"id": "a\nb", "title": "Creed"})),
        (v1::Movie { id: "x".repeat(129), ..creed() }, json!({"id": "x".repeat(129), "title": "Creed"})),
        (
            v1::Movie { title: long.clone(), director: long.clone(), ..creed() },
            json!({"id": "7", "title": long, "director": long}),
        ),
        (v1::Movie { rating: Some(10.5), ..creed() }, json!({"id": "7", "title": "Creed", "rating": 10.5})),
        (
            v1::Movie { year: 1_869, runtime_minutes: -1, ..creed() },
            json!({"id": "7", "title": "Creed", "year": 1_869, "runtime_minutes": -1}),
        ),
        (
            v1::Movie { genres: many.clone(), countries: vec![String::new()], ..creed() },
            json!({"id": "7", "title": "Creed", "genres": many, "countries": [""]}),
        ),
        (
            v1::Movie { languages: vec!["French".into(), "French".into()], ..creed() },
            json!({"id": "7", "title": "Creed", "languages": ["French", "French"]}),
        ),
        (
            v1::Movie { original_title: long.clone(), rating_count: -1, ..creed() },
            json!({"id": "7", "title": "Creed", "original_title": long, "rating_count": -1}),
        ),
        (
            v1::Movie { cast: vec!["x".repeat(101)], writers: many.clone(), ..creed() },
            json!({"id": "7", "title": "Creed", "cast": ["x".repeat(101)], "writers": many}),
        ),
        (
            v1::Movie { overview: plot.clone(), poster_uri: http.into(), ..creed() },
            json!({"id": "7", "title": "Creed", "overview": plot, "poster_uri": http}),
        ),
    ]
}

#[test]
fn a_movie_that_a_request_may_not_have_is_refused_in_a_file_and_by_an_import_for_the_same_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let mut invalid_fields = BTreeSet::new();
    for (number, (message, entry)) in invalid_movies().into_iter().enumerate() {
        let violations = movie::violations(&convert::movie(message).0);
        let fields = violations.iter().map(|violation| violation.field.strip_prefix("movie.").unwrap());
        let reasons = fields
            .clone()
            .zip(&violations)
            .map(|(field, violation)| format!("`{field}`: {}", violation.description));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        assert!(!reasons.is_empty(), "{entry}");
        invalid_fields.extend(fields.map(str::to_owned));

        let text = json!({"movies": [{"id": "1", "title": "Valid"}, entry]}).to_string();
        let error = json::load_from(text.as_bytes(), 0, Path::new("movies.json")).unwrap_err().to_string();
        assert!(error.contains("movie 2") && error.ends_with(&format!(": {reasons}")), "{error}\n{reasons}");

        let path = dir.path().join("movies.json");
        fs::write(&path, text).unwrap();
        let store = dir.path().join(format!("{number}.db"));
        let database = format!("sqlite:{}", store.display()).parse().unwrap();
        let error = format!("{:#}", offline::import(&[path], &database).unwrap_err());
        assert!(error.ends_with(&format!(": {reasons}")), "{error}\n{reasons}");
    }
    let inputs: BTreeSet<_> = Field::inputs().map(|field| field.name().to_owned()).collect();
    assert_eq!(invalid_fields, inputs);
}

#[test]
fn a_movie_at_the_bounds_is_taken_by_a_request_a_file_and_an_import() {
    let longest = |count: usize| "é".repeat(count);
    let items = |count| (0..count).map(|number| format!("{number:é>100}")).collect::<Vec<_>>();
    let message = v1::Movie {
        title: longest(1_000),
        rating: Some(0.0),
        director: longest(1_000),
        id: longest(128),
        year: 1_870,
        genres: items(50),
        runtime_minutes: 100_000,
        original_title: longest(1_000),
        cast: items(200),
        writers: items(50),
        rating_count: 1_000_000_000_000,
        overview: longest(4_000),
        poster_uri: format!("https://posters.example/{:x>976}", ""),
        ..v1::Movie::default()
    };
    let entry = json!({
        "title": message.title, "rating": 0, "director": message.director, "id": message.id, "year": 1_870,
        "genres": message.genres, "runtime_minutes": 100_000, "original_title": message.original_title,
        "cast": message.cast, "writers": message.writers, "rating_count": message.rating_count,
        "overview": message.overview, "poster_uri": message.poster_uri,
    });
    assert_eq!(movie::violations(&convert::movie(message).0), []);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("movies.json");
    fs::write(&path, json!({"movies": [entry]}).to_string()).unwrap();
    let database = format!("sqlite:{}", dir.path().join("movies.db").display()).parse().unwrap();
    offline::import(std::slice::from_ref(&path), &database).unwrap();
    let exported = dir.path().join("exported.json");
    offline::export(&database, Some(&exported)).unwrap();
    let movies = [path, exported].map(|path| json::load(&path).unwrap());
    assert_eq!(movies[0].len(), 1);
    assert_eq!(movies[0].count_differences(&movies[1]), 0);
}

/// Returns the value of a field that takes the most bytes.
fn largest_value(field: Field) -> Value<'static> {
    let text = |chars: usize| Value::Text("😀".repeat(chars).into());
    match field.rule() {
        Rule::Text { max_chars, .. } => text(max_chars),
        Rule::Id => text(MAX_ID_CHARS),
        Rule::Rating => Value::Rating(Some(10.0)),
        Rule::Number { max, .. } => Value::Number(max),
        Rule::List { max_items } => {
            let item = |first| format!("{first}{}", "😀".repeat(99)).into();
            Value::List(('😀'..).take(max_items).map(item).collect())
        }
        Rule::Uri => Value::Text(format!("https://posters.example/{:x>976}", "").into()),
        Rule::OutputOnly => Value::Time(None),
    }
}

#[tokio::test]
async fn the_largest_valid_movie_is_created_and_updated_with_the_default_limits() {
    let mut largest = movie::Movie::default();
    Field::inputs().for_each(|field| field.set(&mut largest, largest_value(field)));
    ValidMovie::try_from(largest.clone()).unwrap();
    let largest = v1::Movie::decode(Record::of(&largest).bytes().clone()).unwrap();
    // As in the description of the limit `message`.
    assert_eq!(largest.encoded_len() / 10_000, 19);

    let mut fixture = Fixture::start().await;
    let made = create_once(&mut fixture.stub, largest.clone(), &"😀".repeat(128)).await.unwrap();
    assert_eq!(plain(made.clone()), largest);
    let changed = v1::Movie { rating_count: 1, ..made };
    let update_mask = Some(FieldMask { paths: Field::inputs().map(|field| field.name().into()).collect() });
    let request = UpdateMovieRequest { movie: Some(changed), update_mask, ..UpdateMovieRequest::default() };
    fixture.stub.update_movie(request).await.unwrap();
    let expected = v1::Movie { rating_count: 1, ..largest };
    assert_eq!(plain(get(&mut fixture.stub, &expected.id).await.unwrap()), expected);
}
