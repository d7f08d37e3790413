//! The rules of a movie are the same for requests, JSON databases and offline imports.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use movie_proto::catalog::v1;
use movie_service::movie::{self, Field};
use movie_service::offline;
use movie_service::servicer::convert;
use movie_service::store::json;
use serde_json::json;

fn creed() -> v1::Movie {
    v1::Movie { id: "7".into(), title: "Creed".into(), ..v1::Movie::default() }
}

/// Returns invalid movies, as messages and as entries of a file. Each field is invalid in at least one.
fn invalid_movies() -> Vec<(v1::Movie, serde_json::Value)> {
    let long = "é".repeat(1_001);
    let many: Vec<_> = (0..51).map(|number| number.to_string()).collect();
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
    let items: Vec<_> = (0..50).map(|number| format!("{number:02}{}", longest(98))).collect();
    let message = v1::Movie {
        title: longest(1_000),
        rating: Some(0.0),
        director: longest(1_000),
        id: longest(128),
        year: 1_870,
        genres: items.clone(),
        runtime_minutes: 100_000,
        ..v1::Movie::default()
    };
    let entry = json!({
        "title": message.title, "rating": 0, "director": message.director, "id": message.id, "year": 1_870,
        "genres": items, "runtime_minutes": 100_000,
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
