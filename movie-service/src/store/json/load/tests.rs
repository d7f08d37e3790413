//! What the loader takes and what it refuses.

use proptest::prelude::*;

use super::*;
use crate::catalogue::{MovieView, Record};

fn read_all(text: &str, window: usize) -> Result<Snapshot, String> {
    read_bytes(text.as_bytes(), window)
}

fn read_bytes(text: &[u8], window: usize) -> Result<Snapshot, String> {
    read(Window::new(text, window), 0, &|_, _, _| {}).map_err(|error| match error {
        WindowError::Json { at, message } => format!("{at}: {message}"),
        WindowError::Read(error) => error.to_string(),
    })
}

fn titles(text: &str) -> Vec<String> {
    read_all(text, 1024).unwrap().movies().map(|movie| movie.title.to_owned()).collect()
}

fn error(text: &str) -> String {
    // Wherever the window ends, the error is the same.
    let error = read_all(text, 1024).unwrap_err();
    for window in 1..text.len() {
        assert_eq!(read_all(text, window).unwrap_err(), error, "window of {window}");
    }
    error
}

#[test]
fn movies_keep_the_order_of_the_file() {
    assert_eq!(titles(r#"{"movies": [{"id": "2", "title": "b"}, {"id": "1", "title": "a"}]}"#), ["b", "a"]);
}

#[test]
fn a_file_may_hold_no_movies() {
    assert!(read_all(r#" { "movies" : [ ] } "#, 1024).unwrap().is_empty());
}

#[test]
fn unknown_keys_are_ignored() {
    let text = r#"{"version": 12, "movies": [{"id": "1", "stars": 1940, "title": "a", "tags": ["x", {}]}], "z": {"movies": 1}}"#;
    assert_eq!(titles(text), ["a"]);
}

#[test]
fn a_missing_rating_or_director_is_empty() {
    let movies = read_all(r#"{"movies": [{"id": "1", "title": "a"}]}"#, 1024).unwrap();
    assert_eq!(movies.get("1"), Some(MovieView { id: "1", title: "a", ..MovieView::default() }));
}

#[test]
fn all_fields_are_loaded() {
    let movies = read_all(
        r#"{"movies": [{"id": "1", "title": "a", "rating": 0, "year": 1940, "genres": ["Drama", "\u00e9"],
            "runtime_minutes": 110, "countries": [], "languages": null, "original_title": "\u00e9", "cast": ["C", "\"D\""],
            "writers": null, "rating_count": 5e9, "overview": "o", "poster_uri": "https:\/\/posters.example\/a"},
            {"id": "2", "title": "b", "year": null, "rating_count": null}]}"#,
        7,
    )
    .unwrap();
    let movie = movies.get("1").unwrap();
    let movie = Record::new(&movie).to_movie();
    assert_eq!((movie.rating, movie.year, movie.runtime_minutes), (Some(0.0), 1940, 110));
    assert_eq!(movie.genres, ["Drama", "é"]);
    assert!(movie.countries.is_empty() && movie.languages.is_empty() && movie.writers.is_empty());
    assert_eq!((movie.original_title.as_str(), movie.overview.as_str()), ("é", "o"));
    assert_eq!((movie.cast, movie.rating_count), (vec!["C".to_owned(), "\"D\"".to_owned()], 5_000_000_000));
    assert_eq!(movie.poster_uri, "https://posters.example/a");
    assert_eq!(movies.get("2"), Some(MovieView { id: "2", title: "b", ..MovieView::default() }));
}

#[test]
fn values_have_the_types_and_the_bounds_of_their_fields() {
    for (value, expected) in [
        (r#""year": 1869"#, "`year`: expected 1870 to 2200, or 0 if not known"),
        (r#""year": "1940""#, "expected `year` to be a whole number, or none"),
        (r#""runtime_minutes": -1"#, "`runtime_minutes`: expected 1 to 100000, or 0 if not known"),
        (r#""runtime_minutes": 18446744073709551615"#, "`runtime_minutes`: expected 1 to 100000"),
        (
            r#""rating_count": 1000000000001"#,
            "`rating_count`: expected 1 to 1000000000000, or 0 if not known",
        ),
        (r#""poster_uri": 7"#, "expected `poster_uri` to be a string"),
        (
            r#""poster_uri": "creed.jpg""#,
            "`poster_uri`: expected an absolute https URI with a host, without user information, of at most 1000 bytes, or nothing",
        ),
        (r#""cast": ["A", "A"]"#, "`cast`: expected at most 200 texts of 1 to 100 characters, each once"),
        (r#""genres": "Drama""#, "expected `genres` to be a list of strings"),
        (r#""languages": [1]"#, "expected a string"),
    ] {
        let error = error(&format!(r#"{{"movies": [{{"id": "1", "title": "a", {value}}}]}}"#));
        assert!(error.contains(expected) && error.contains("movie 1 (id `1`)"), "{error}");
    }
}

#[test]
fn a_frequent_mistake_of_syntax_is_named() {
    for (text, mistake) in [
        (r#"{"movies": [{"id": "1", "rating": 8,2}]}"#, "1:37: movie 1: a number has no comma in JSON"),
        (r#"{"movies": [{"rating_count": 1,000}]}"#, "1:32: movie 1: a number has no comma in JSON"),
        ("// Films\n{\"movies\": []}", "1:1: JSON has no comments"),
        ("{\"movies\": [\n# one\n{}]}", "2:1: movie 1: JSON has no comments"),
        (
            "{\"movies\": [{\"id\": \"1\", /* one */ \"title\": \"a\"}]}",
            "1:25: movie 1: JSON has no comments",
        ),
        ("{\"movies\": [{\"id\": \"1\" // one\n}]}", "1:24: movie 1: JSON has no comments"),
        ("SQLite format 3\0\u{10}", "1:1: the file is an SQLite database; write `sqlite:`"),
        ("{\"movies\": [{\"rating\": .8}]}", "1:24: movie 1: a number begins with a digit"),
        ("{\"movies\": [{\"rating\": 8.}]}", "1:26: movie 1: a digit follows the point"),
        ("{\"movies\": [{\"rating\": 08}]}", "1:25: movie 1: a number has no leading zero"),
        ("{\"movies\": [{\"rating\": None}]}", "1:24: movie 1: write null instead of None"),
        ("{\n\"Movies\": []}", "2:1: the key `Movies` is unknown; write `movies`"),
        (
            "{\"movies\": [\n{\"id\": \"1\", \"title\": \"a,\n\"rating\": 8}]}",
            "2:25: movie 1: the text that begins on this line has no closing",
        ),
        ("{'movies': []}", "1:2: a text has double quotes in JSON"),
        ("{\"movies\": [{\"id\": '1'}]}", "1:20: movie 1: a text has double quotes in JSON"),
        ("{“movies”: []}", "1:2: a text has straight quotes in JSON"),
        ("{\"movies\": [\n<<<<<<< HEAD\n{}]}", "2:1: movie 1: this line is a conflict marker of Git"),
        (
            "{\"movies\": [{\"id\": \"1\",\n=======\n}]}",
            "2:1: movie 1: this line is a conflict marker of Git",
        ),
        ("{\"movies\": []}\n>>>>>>> main\n", "2:1: this line is a conflict marker of Git"),
    ] {
        let error = error(text);
        assert!(error.starts_with(mistake), "{text}: {error}");
    }
    for text in ["<!DOCTYPE html>", r#"{"movies": [{"id": "1", 2: 3}]}"#] {
        let error = error(text);
        assert!(error.contains("expected") || error.contains("key must be"), "{text}: {error}");
    }
}

#[test]
fn a_text_that_is_not_in_utf_8_is_named_as_that() {
    let latin_1 = b"{\"movies\": [{\"id\": \"1\", \"title\": \"Am\xe9lie\"}]}";
    let utf_16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, mistake) in [
        (&latin_1[..], "movie 1: the file is not in UTF-8, but perhaps in Latin-1; save it as UTF-8"),
        (&utf_16, "1:1: the file is in UTF-16; save it as UTF-8"),
    ] {
        for window in 1..text.len() {
            let error = read_bytes(text, window).unwrap_err();
            assert!(error.ends_with(mistake), "{error}");
        }
    }
}

#[test]
fn an_unknown_key_that_resembles_a_known_one_is_reported_once_with_its_line() {
    let text = "{\"movies\": [\n{\"id\": \"1\", \"title\": \"a\", \"stars\": 5},\n{\"id\": \"2\", \"title\": \"b\", \"Rating\": 5, \
        \"genre\": []},\n{\"id\": \"3\", \"title\": \"c\", \"genre\": [], \"directors\": \"d\"}]}";
    for window in 1..text.len() {
        let warnings = std::sync::Mutex::new(Vec::new());
        let warn = |at: Position, key: &str, field: Field| {
            warnings.lock().unwrap().push(format!("{}: {key} {}", at.line, field.name()));
        };
        assert_eq!(read(Window::new(text.as_bytes(), window), 0, &warn).unwrap().len(), 3);
        let expected = ["3: Rating rating", "3: genre genres", "4: directors director"];
        assert_eq!(warnings.into_inner().unwrap(), expected, "window of {window}");
    }
}

#[test]
fn text_may_be_escaped_or_not() {
    let movies =
        read_all(r#"{"movies": [{"id": "\u00e9", "title": "\"Amélie\" \ud83d\ude00"}]}"#, 7).unwrap();
    assert_eq!(movies.get("é").unwrap().title, "\"Amélie\" 😀");
}

#[test]
fn an_invalid_id_or_title_is_an_error_that_names_the_movie() {
    assert_eq!(
        error("{\"movies\": [\n  {\"id\": \"1\", \"title\": \"a\"},\n  {\"title\": \"b\"}]}"),
        "3:3: movie 2 (title `b`): `id`: expected 1 to 128 characters, none of them a control character"
    );
    assert_eq!(
        error(r#"{"movies": [{"id": "7", "title": ""}]}"#),
        "1:13: movie 1 (id `7`): `title`: expected 1 to 1000 characters"
    );
}

#[test]
fn a_second_movie_with_an_id_is_an_error_that_names_both() {
    assert_eq!(
        error(r#"{"movies": [{"id": "7", "title": "a"}, {"id": "7", "title": "b"}]}"#),
        "1:40: movie 2: `a` has the id `7` already, expected every id once"
    );
}

#[test]
fn of_two_errors_the_first_is_reported() {
    assert_eq!(
        error(r#"{"movies": [{"id": "7", "title": "a"}, {"id": "7", "title": "b"}, {"id": 8}]}"#),
        "1:40: movie 2: `a` has the id `7` already, expected every id once"
    );
}

#[test]
fn a_whole_number_is_an_id_and_may_have_zeros_as_its_fraction() {
    let text = r#"{"movies": [{"id": 603, "title": "a", "year": 1999.0, "runtime_minutes": 1.36e2}, {"id": -1, "title": "b"}, {"id": 604.0, "title": "c"}]}"#;
    for window in [7, 1024] {
        let movies = read_all(text, window).unwrap();
        let movie = Record::new(&movies.get("603").unwrap()).to_movie();
        assert_eq!((movie.year, movie.runtime_minutes), (1999, 136));
        assert_eq!(movies.get("-1").unwrap().title, "b");
        assert_eq!(movies.get("604").unwrap().title, "c");
    }
    let half = error(r#"{"movies": [{"id": "1", "title": "a", "year": 1999.5}]}"#);
    assert!(half.contains("floating point `1999.5`, expected `year` to be a whole number"), "{half}");
}

#[test]
fn a_negative_zero_is_the_id_0() {
    for id in ["-0", "-0.0", "0"] {
        let movies = read_all(&format!(r#"{{"movies": [{{"id": {id}, "title": "a"}}]}}"#), 1024).unwrap();
        assert_eq!(movies.get("0").unwrap().title, "a", "{id}");
    }
}

#[test]
fn an_error_names_a_movie_by_its_number_as_an_id() {
    for (id, name) in [("603", "603"), ("-1", "-1"), ("604.0", "604")] {
        for rating in ["11", "\"8.8\""] {
            let error =
                error(&format!(r#"{{"movies": [{{"id": {id}, "title": "a", "rating": {rating}}}]}}"#));
            assert!(error.contains(&format!(": movie 1 (id `{name}`): ")), "{error}");
        }
    }
}

#[test]
fn ids_and_titles_have_their_types() {
    assert_eq!(
        error(r#"{"movies": [{"id": 7.5, "title": "a"}]}"#),
        "1:22: movie 1 (title `a`): invalid type: floating point `7.5`, expected `id` to be a string or a whole number"
    );
    assert_eq!(
        error(r#"{"movies": [{"id": "7", "title": null}]}"#),
        "1:37: movie 1 (id `7`): invalid type: null, expected `title` to be a string"
    );
}

#[test]
fn a_rating_is_a_number_from_0_to_10() {
    for rating in ["0", "10", "0.0", "10.0", "7.25", "1e1", "-0.0"] {
        read_all(&format!(r#"{{"movies": [{{"id": "1", "title": "a", "rating": {rating}}}]}}"#), 1024)
            .unwrap();
    }
    for rating in ["-0.1", "10.01", "11", "-1", "1e99"] {
        let error = error(&format!(r#"{{"movies": [{{"id": "1", "title": "a", "rating": {rating}}}]}}"#));
        assert_eq!(error, "1:13: movie 1 (id `1`): `rating`: expected a number from 0 to 10, or none");
    }
    for rating in ["\"7\"", "null", "true", "[]", "{}"] {
        let error = error(&format!(r#"{{"movies": [{{"id": "1", "title": "a", "rating": {rating}}}]}}"#));
        assert!(error.starts_with("1:"), "{error}");
        assert!(error.contains(": movie 1 (id `1`): invalid "), "{error}");
        assert!(error.ends_with(", expected `rating` to be a number from 0 to 10"), "{error}");
    }
    let too_large = error(r#"{"movies": [{"id": "1", "title": "a", "rating": 1e999}]}"#);
    assert_eq!(too_large, "1:53: movie 1 (id `1`): number out of range");
}

#[test]
fn broken_json_is_an_error_that_says_where_and_what_was_expected() {
    for (text, expected) in [
        ("", "1:1: the file ends here, expected `{\"movies\": [...]}`"),
        ("[]", "1:1: found `[`, expected `{\"movies\": [...]}`"),
        ("{}", "1:3: the file ends here, expected a list `movies` in the object: `{\"movies\": [...]}`"),
        ("{\n\"movies\" []}", "2:10: found `[`, expected `:`"),
        ("{\"movies\": {}}", "1:12: found `{`, expected a list of movies: `[`"),
        ("{\"movies\": []", "1:14: the file ends here, expected `,` or `}`"),
        ("{\"movies\": []} x", "1:16: found `x`, expected the end of the file"),
        ("{\"movies\": [], \"movies\": []}", "1:26: found `[`, expected one list `movies`, not a second"),
        ("{\"movies\": [5]}", "1:13: movie 1: found `5`, expected a movie: `{...}`"),
        ("{\"movies\": [\n{\"id\": \"1\", \"title\": \"a\"} {", "2:27: found `{`, expected `,` or `]`"),
        (
            "{\"movies\": [{\"id\": \"1\", \"title\": \"a\"},]}",
            "1:39: remove the comma before `]`: none follows the last movie",
        ),
        ("{\"movies\": [{\"id\": \"1\",\n \"title\"", "2:8: movie 1: EOF while parsing an object"),
        ("{\"movies\": [{\"id\": \"1\", \"id\": \"2\"}]}", "1:28: movie 1: duplicate field `id`"),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn an_error_is_one_line_of_bounded_length_whatever_the_movie_holds() {
    let long = "x\\n".repeat(10_000);
    let error =
        read_all(&format!(r#"{{"movies": [{{"id": "{long}", "title": "a", "rating": "{long}"}}]}}"#), 64);
    let error = error.unwrap_err();
    assert!(!error.contains('\n') && error.len() < 600, "{error}");
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(titles("\u{feff}{\"movies\": [{\"id\": \"1\", \"title\": \"a\"}]}"), ["a"]);
}

#[test]
fn a_movie_is_an_object_and_a_key_is_quoted() {
    assert_eq!(
        error(r#"{"movies": [["Creed", 8.5, "Ryan Coogler", "7"]]}"#),
        "1:13: movie 1: found `[`, expected a movie: `{...}`"
    );
    assert_eq!(error("{movies: []}"), "1:2: found `m`, expected a key in double quotes");
    assert_eq!(error(r#"{"movies": [],}"#), "1:15: found `}`, expected a key in double quotes");
}

#[test]
fn quoted_input_is_escaped_and_shortened() {
    let id = r"7\\".repeat(60);
    let movie = format!(r#"{{"id": "{id}", "title": "a\u001b[31m\nb"}}"#);
    assert_eq!(
        error(&format!(r#"{{"movies": [{movie}, {movie}]}}"#)),
        format!(
            r"1:{}: movie 2: `a\u{{1b}}[31m\nb` has the id `{}…` already, expected every id once",
            movie.len() + 15,
            r"7\\".repeat(40),
        )
    );
}

#[test]
fn a_value_without_end_is_given_up() {
    let endless = Read::chain(&b"{\"a\": \""[..], io::repeat(b'x'));
    let Err(WindowError::Json { at, message }) = read(Window::new(endless, WINDOW_BYTES), 0, &|_, _, _| {})
    else {
        panic!()
    };
    assert_eq!((at.line, at.column), (1, 6));
    assert!(message.starts_with("a value of more than 67108864 bytes"), "{message}");
}

#[test]
fn the_length_of_a_file_alone_sets_no_memory_aside() {
    let text = br#"{"movies": [{"id": "1", "title": "a"}]}"#;
    let Ok(movies) = read(Window::new(text.as_slice(), 16), u64::MAX, &|_, _, _| {}) else { panic!() };
    assert_eq!(movies.len(), 1);
}

#[test]
fn a_file_that_is_not_utf_8_is_an_error() {
    let text = b"{\"movies\": [{\"id\": \"\xff\", \"title\": \"a\"}]}";
    let Err(WindowError::Json { at, message }) = read(Window::new(text.as_slice(), 16), 0, &|_, _, _| {})
    else {
        panic!()
    };
    assert_eq!(
        (at.line, message.as_str()),
        (1, "movie 1: the file is not in UTF-8, but perhaps in Latin-1; save it as UTF-8")
    );
}

#[test]
fn all_violations_of_a_movie_are_reported_at_once() {
    let text =
        r#"{"movies": [{"id": "a\nb", "title": "", "rating": 11, "year": 1, "genres": ["Drama", "Drama"]}]}"#;
    assert_eq!(
        error(text),
        "1:13: movie 1 (id `a\\nb`): `title`: expected 1 to 1000 characters; `rating`: expected a number from 0 to 10, or \
         none; `id`: expected 1 to 128 characters, none of them a control character; `year`: expected 1870 to 2200, or 0 \
         if not known; `genres`: expected at most 50 texts of 1 to 100 characters, each once"
    );
}

/// A database of a million movies that is written while it is read.
struct Million {
    next: usize,
    line: Vec<u8>,
    most_asked_for: usize,
}

impl Read for Million {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.most_asked_for = self.most_asked_for.max(out.len());
        if self.line.is_empty() {
            self.line = match self.next {
                0 => br#"{"movies": [{"id": "0", "title": "Movie 0"}"#.to_vec(),
                1..1_000_000 => {
                    format!(",\n{{\"id\": \"{0}\", \"title\": \"Movie {0}\"}}", self.next).into_bytes()
                }
                1_000_000 => b"]}".to_vec(),
                _ => return Ok(0),
            };
            self.next += 1;
        }
        let length = out.len().min(self.line.len());
        out[..length].copy_from_slice(&self.line[..length]);
        self.line.drain(..length);
        Ok(length)
    }
}

#[test]
fn a_million_movies_load_from_a_window_that_stays_small() {
    let mut file = Million { next: 0, line: Vec::new(), most_asked_for: 0 };
    let Ok(movies) = read(Window::new(&mut file, WINDOW_BYTES), 40_000_000, &|_, _, _| {}) else { panic!() };
    assert_eq!(movies.len(), 1_000_000);
    assert_eq!(movies.get("999999").unwrap().title, "Movie 999999");
    assert!(file.most_asked_for <= 2 * WINDOW_BYTES, "{}", file.most_asked_for);
}

proptest! {
    #[test]
    fn where_the_window_ends_makes_no_difference(
        movies in proptest::collection::vec((".{1,9}", 0..=10u8, ".{0,9}"), 0..9),
        window in 1..99usize,
    ) {
        let movies: Vec<_> = movies
            .iter()
            .enumerate()
            .map(|(id, (title, rating, director))| serde_json::json!({
                "extra": [title, {"n": rating}], "title": title, "rating": rating, "director": director, "id": id.to_string(),
            }))
            .collect();
        let text = serde_json::json!({"before": 10, "movies": movies, "after": 10}).to_string();
        let snapshot = read_all(&text, window).unwrap();
        let loaded: Vec<_> = snapshot
            .movies()
            .map(|movie| (movie.title.into(), movie.rating.into(), movie.director.into(), movie.id.into()))
            .collect();
        let expected: Vec<_> = movies
            .iter()
            .map(|movie| (movie["title"].clone(), movie["rating"].as_f64().into(), movie["director"].clone(), movie["id"].clone()))
            .collect::<Vec<(serde_json::Value, serde_json::Value, serde_json::Value, serde_json::Value)>>();
        prop_assert_eq!(loaded, expected);
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "[\\[\\]{}:,\"a-c\\\\ 0-9.\n-]{0,60}", window in 1..9usize) {
        let _ = read_all(&format!("{{\"movies\": [{text}"), window);
        let _ = read_all(&text, window);
    }
}
