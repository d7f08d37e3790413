//! Reading of files.

mod ids;
mod sending;
#[path = "../../../tests/support/service.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod service;

use std::fs;
use std::io::Write;
use std::iter;
use std::path::{Path, PathBuf};
use std::slice;

use flate2::Compression;
use flate2::write::GzEncoder;
use indicatif::ProgressBar;
use proptest::prelude::*;
use tempfile::{NamedTempFile, TempDir};

use super::*;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name)
}

/// Returns the movies of files, and the errors of invalid rows with the name and the line of their file.
fn read(files: &[PathBuf]) -> Result<(Vec<Movie>, Vec<String>)> {
    read_with_ids(files, false)
}

fn read_with_ids(files: &[PathBuf], make_ids: bool) -> Result<(Vec<Movie>, Vec<String>)> {
    let (mut movies, mut invalid) = (Vec::new(), Vec::new());
    reader::read(files, make_ids, &ProgressBar::hidden(), &mut |row| {
        let (at, reason) = match row {
            Row::Notice(_) => return Ok(()),
            Row::Movie { movie: Ok(movie), .. } => {
                movies.push(movie);
                return Ok(());
            }
            Row::Movie { at, movie: Err(reason) } | Row::Related { at, reason } => (at, reason),
            Row::WithoutId { at, is_first } => {
                (at, (if is_first { "the first without an id" } else { "without an id" }).into())
            }
        };
        let file = Path::new(&*at.file).file_name().unwrap().display();
        invalid.push(format!("{file}:{}: {reason}", at.line));
        Ok(())
    })?;
    Ok((movies, invalid))
}

fn read_text(text: impl AsRef<[u8]>) -> Result<(Vec<Movie>, Vec<String>)> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, text).unwrap();
    read(&[file]).map_err(|error| {
        anyhow::anyhow!("{}", format!("{error:#}").replace(&*folder.path().join("").to_string_lossy(), ""))
    })
}

fn ids(movies: &[Movie]) -> Vec<&str> {
    movies.iter().map(|movie| movie.id.as_str()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn imdb_movies_have_their_ratings_and_people() {
    let (movies, invalid) = read(&[sample("imdb/title.basics.tsv")]).unwrap();
    assert_eq!(ids(&movies), ["tt0000101", "tt0000103", "tt0000106", "tt0000107", "tt10000110"]);
    let expected = Movie {
        id: "tt0000101".into(),
        title: "The Lamplighter's Daughter".into(),
        rating: Some(7.4),
        director: "Ada Brandt, Noé Okafor".into(),
        year: Some(1931),
        genres: words(&["Drama", "Romance"]),
        runtime_minutes: Some(84),
        // One actor has no name in the file.
        cast: words(&["Lena Actress", "Sam Writer"]),
        writers: words(&["Sam Writer"]),
        rating_count: Some(1_203),
        ..Movie::default()
    };
    assert_eq!(movies[0], expected);
    let title = "\"Quiet,\" Said the Owl".into();
    let writers = words(&["Sam Writer"]);
    assert_eq!(movies[1], Movie { id: "tt0000103".into(), title, writers, ..Movie::default() });
    let expected = Movie {
        id: "tt10000110".into(),
        title: "Ten Million Titles Later".into(),
        original_title: "Dix millions de titres plus tard".into(),
        rating: Some(6.0),
        rating_count: Some(12),
        // One of the directors has no name in the file.
        director: "Ada Brandt".into(),
        // Two actors have the same name.
        cast: words(&["Sam Writer", "Ada Brandt"]),
        year: Some(2023),
        genres: words(&["Documentary"]),
        runtime_minutes: Some(101),
        ..Movie::default()
    };
    assert_eq!(movies[4], expected);
    let expected = [
        "title.ratings.tsv:4: `averageRating` is `good`, expected a number",
        "title.crew.tsv:5: `directors` is `somebody`, expected nm and a number",
        "title.principals.tsv:8: `nconst` is `somebody`, expected nm and a number",
        "name.basics.tsv:5: 1 columns, expected 6",
        "title.basics.tsv:5: 6 columns, expected 9",
        "title.basics.tsv:6: `runtimeMinutes` is `ninety`, expected a number",
        "title.basics.tsv:9: `tconst` is `0000108`, expected tt and a number",
    ];
    assert_eq!(invalid, expected);
}

#[test]
fn compressed_files_are_read_under_any_name_and_related_files_are_optional() {
    let folder = TempDir::new().unwrap();
    let pack = |name: &str, packed: &str| {
        let bytes = gzip(&fs::read(sample("imdb").join(name)).unwrap());
        fs::write(folder.path().join(packed), bytes).unwrap();
    };
    let titles = folder.path().join("titles");
    pack("title.basics.tsv", "titles");
    let (movies, invalid) = read(slice::from_ref(&titles)).unwrap();
    assert_eq!((movies.len(), invalid.len()), (5, 3));
    let has_no_related_data =
        |movie: &Movie| movie.rating.is_none() && movie.director.is_empty() && movie.cast.is_empty();
    assert!(movies.iter().all(has_no_related_data));
    for name in ["title.ratings.tsv", "title.crew.tsv", "title.principals.tsv", "name.basics.tsv"] {
        pack(name, &format!("{name}.gz"));
    }
    let unpacked = read(&[sample("imdb/title.basics.tsv")]).unwrap();
    let (movies, invalid) = read(&[titles]).unwrap();
    assert_eq!((movies, invalid.len()), (unpacked.0, unpacked.1.len()));
}

#[test]
fn lists_of_people_are_limited_as_in_the_contract() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let many = (0..300).map(|number| format!("nm{number}")).collect::<Vec<_>>().join(",");
    let cast: Vec<_> = (0..300).map(|number| format!("tt1\tnm{number}\tactor\n")).collect();
    let long = format!("nm0\t{}\n", "x".repeat(101));
    let names: Vec<_> = (1..300).map(|number| format!("nm{number}\t{number:x>48}\n")).collect();
    write(
        "titles",
        "tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres\ntt1\tmovie\tA\t\\N\t\\N\t\\N",
    );
    write("title.crew.tsv", &format!("tconst\tdirectors\twriters\ntt1\t{many}\t{many}\n"));
    write("title.principals.tsv", &format!("tconst\tnconst\tcategory\n{}", cast.concat()));
    write("name.basics.tsv", &format!("nconst\tprimaryName\n{long}{}", names.concat()));
    let (movies, invalid) = read(&[folder.path().join("titles")]).unwrap();
    assert_eq!(invalid, [""; 0]);
    let [Movie { director, cast, writers, .. }] = &movies[..] else { panic!("{movies:?}") };
    assert_eq!((director.len(), cast.len(), writers.len()), (101 + 17 * 50, 200, 50));
    assert_eq!(cast[0], format!("{:x>48}", 1));
}

#[test]
fn the_optional_columns_of_imdb_may_be_missing() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "titles",
        "tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres\ntt1\tmovie\tA\t\\N\t\\N\t\\N",
    );
    write("title.ratings.tsv", "tconst\taverageRating\ntt1\t7.5\n");
    write("title.crew.tsv", "tconst\tdirectors\ntt1\tnm1\n");
    write("name.basics.tsv", "nconst\tprimaryName\nnm1\tAda Brandt\n");
    let read = read(&[folder.path().join("titles")]).unwrap();
    let (id, title, director) = ("tt1".into(), "A".into(), "Ada Brandt".into());
    assert_eq!(read, (vec![Movie { id, title, director, rating: Some(7.5), ..Movie::default() }], vec![]));
}

#[test]
fn movielens_movies_have_their_ratings_and_imdb_ids() {
    let (movies, invalid) = read(&[sample("movielens/movies.csv")]).unwrap();
    let expected = [
        ("tt0000101", "The Lamplighter's Daughter", Some(1931), Some((7.5, 2)), words(&["Drama", "Romance"])),
        ("movielens-2", "Owl at Noon", Some(1964), Some((1.0, 1)), vec![]),
        ("tt10000110", "\"Quiet,\" Said the Owl", Some(2005), None, words(&["Animation", "Children"])),
        ("movielens-6", "The City of Rain (Ville de pluie, La)", Some(1995), None, words(&["Drama"])),
        ("movielens-7", "Harbour Street", None, None, words(&["Comedy"])),
    ];
    let expected = expected.map(|(id, title, year, rating, genres)| Movie {
        id: id.into(),
        title: title.into(),
        year,
        rating: rating.map(|(mean, _)| mean),
        rating_count: rating.map(|(_, count)| count),
        genres,
        ..Movie::default()
    });
    assert_eq!(movies, expected);
    let expected = [
        "ratings.csv:5: `rating` is `11`, expected a number from 0.5 to 5",
        "ratings.csv:6: 2 columns, expected 4",
        "movies.csv:5: 4 columns, expected 3",
        "movies.csv:6: `movieId` is `five`, expected a number",
    ];
    assert_eq!(invalid, expected);
}

#[test]
fn a_table_rewritten_by_pandas_r_or_libreoffice_has_the_same_movies() {
    let (original, _) = read(&[sample("rewritten/title.basics.tsv")]).unwrap();
    assert_eq!(ids(&original), ["tt0000201", "tt0000203", "tt0000204", "tt0000205"]);
    assert_eq!(original[2].title, "\"21\"");
    for name in [
        "pandas.tsv",
        "pandas-quoted.tsv",
        "pandas-index.csv",
        "r.tsv",
        "r.csv",
        "r-unquoted.tsv",
        "libreoffice.tsv",
        "libreoffice-quoted.tsv",
    ] {
        let (movies, invalid) = read(&[sample("rewritten").join(name)]).unwrap();
        assert_eq!((movies, invalid), (original.clone(), vec![]), "{name}");
    }
}

#[test]
fn movielens_tables_may_have_quoted_headers_missing_values_and_fractions_of_zero() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "movies.csv",
        "\"\",\"movieId\",\"title\",\"genres\"\n\"1\",7.0,\"Owl, The (1964)\",NA\n\"2\",8.00,\"Rain\",\"\"\n",
    );
    write("ratings.csv", "\"movieId\",\"rating\"\n7.0,4\n");
    write("links.csv", "\"movieId\",\"imdbId\"\n7,101.0\n8.0,\n");
    let (movies, invalid) = read(&[folder.path().join("movies.csv")]).unwrap();
    let owl = Movie {
        id: "tt0000101".into(),
        title: "The Owl".into(),
        year: Some(1964),
        rating: Some(8.0),
        rating_count: Some(1),
        ..Movie::default()
    };
    let rain = Movie { id: "movielens-8".into(), title: "Rain".into(), ..Movie::default() };
    assert_eq!((movies, invalid), (vec![owl, rain], vec![]));
}

#[test]
fn a_number_with_a_fraction_is_not_a_whole_number() {
    for text in ["1894.5", "1894.", ".0", "-1.0", "1894.0.0", "inf", "1e3", "4294967296.0"] {
        assert_eq!(table::whole::<u32>(text), None, "{text}");
    }
    assert_eq!(["1894", "1894.0", "0.00"].map(table::whole), [Some(1894_u32), Some(1894), Some(0)]);
    assert_eq!(table::whole("4294967296.0"), Some(1_u64 << 32));
}

#[test]
fn a_title_is_split_from_its_year_and_its_article_is_moved_to_the_front() {
    let imported = |title: &str| {
        let (movies, _) = read_text(format!("movieId,title,genres\n1,\"{title}\",\n")).unwrap();
        (movies[0].title.clone(), movies[0].year)
    };
    for (title, expected, year) in [
        ("Matrix, The (1999) ", "The Matrix", Some(1999)),
        ("Bug's Life, A (1998)", "A Bug's Life", Some(1998)),
        ("Affair, An", "An Affair", None),
        ("The The (2001)", "The The", Some(2001)),
        ("Avventura, L' (1960)", "L'Avventura", Some(1960)),
        ("Enfants du paradis, Les (1945)", "Les Enfants du paradis", Some(1945)),
        ("Boot, Das (1981)", "Das Boot", Some(1981)),
        ("Mariachi, El (1992)", "El Mariachi", Some(1992)),
        ("Panthea (1917)", "Panthea", Some(1917)),
        ("Years (1975-1979)", "Years (1975-1979)", None),
        ("(1999)", "", Some(1999)),
        (", The", "The ", None),
    ] {
        assert_eq!(imported(title), (expected.to_owned(), year), "{title}");
    }
}

#[test]
fn an_invalid_movie_of_a_database_does_not_affect_the_others() {
    let text = r#"{"made": {"by": [1]}, "movies": [
        {"id": "1", "title": "A", "rating": 8.8, "year": null, "genres": ["Drama"], "etag": "x"},
        {"id": "2", "title": "B",
         "year": "1999"},
        7,
        {"id": "3", "title": 3}, {"id": "4", "title": "D", "runtime_minutes": -1},
        {"id": 5, "title": "E", "year": 1894.0, "runtime_minutes": 1e2, "rating_count": 5e9, "cast": ["F", "G"]}, {"id": -6}
    ]}"#;
    let (movies, invalid) = read_text(text).unwrap();
    assert_eq!(ids(&movies), ["1", "5", "-6"]);
    assert_eq!((movies[0].rating, movies[0].year, movies[0].etag.as_str()), (Some(8.8), None, ""));
    assert_eq!((movies[1].year, movies[1].runtime_minutes), (Some(1894), Some(100)));
    assert_eq!((movies[1].rating_count, &movies[1].cast), (Some(5_000_000_000), &words(&["F", "G"])));
    let expected = [
        "file:3: expected `year` to be a whole number",
        "file:5: expected a movie: `{…}`",
        "file:6: expected `title` to be a string",
        "file:6: expected `runtime_minutes` to be a whole number",
    ];
    assert_eq!(invalid, expected);
    let (movies, _) = read_text("[\n{\"id\": \"1\"},\n{\"id\": \"2\"}\n]\n").unwrap();
    assert_eq!(ids(&movies), ["1", "2"]);
}

#[test]
fn the_databases_of_the_project_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../databases");
    let (movies, invalid) = read(&[folder.join("movies.json"), folder.join("films.json")]).unwrap();
    assert_eq!((movies.len(), invalid.len()), (7 + 17_470, 0));
}

#[test]
fn a_malformed_document_fails_with_its_line_and_column() {
    for (text, expected) in [
        ("{\"movies\": [\n{\"id\": \"1\"},\n{\"id\" 2}]}", "file:3:7: expected `:`"),
        ("{\"movies\": [\n{\"id\": \"1\"", "file:2:10: EOF while parsing an object"),
        ("{\"movies\": []} x", "file:1:16: expected value"),
        ("{\n\"id\": \"1\"\n}\n{\n\"id\" 2}", "file:5:6: expected `:`"),
        (
            "{\n\"films\": []}",
            "file:2:12: neither a movie, `{\"id\": …, \"title\": …}`, nor a database, `{\"movies\": […]}`",
        ),
        ("[]\n7", "file:2:1: invalid type: integer `7`, expected movies: `{…}` or `[…]`"),
        ("{\"movies\": {\"movies\": []}}", "file:1:13: invalid type: map, expected a list of movies: `[…]`"),
    ] {
        assert_eq!(read_text(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn an_invalid_line_of_ndjson_does_not_affect_the_others() {
    let text = b"\xef\xbb\xbf{\"id\": \"1\", \"title\": \"A\", \"create_time\": \"2024-01-01T00:00:00Z\"}\r\n\r\n{\"id\": 2.5}\n\
        {\"id\": \"3\", \"title\": }\n[]\n{\"id\": \"\xff\"}\n{\"id\": \"7\", \"title\": \"G\"}";
    let (movies, invalid) = read_text(text).unwrap();
    assert_eq!(ids(&movies), ["1", "7"]);
    let expected = [
        "file:3: expected `id` to be a string or a whole number",
        "file:4: expected value at column 22",
        "file:5: expected a movie: `{…}`",
        "file:6: invalid unicode code point at column 9",
    ];
    assert_eq!(invalid, expected);
    let long = format!("{{\"id\": \"{}\"}}\n{{\"id\": \"2\"}}\n", "1".repeat(source::MAX_RECORD_BYTES));
    let (movies, invalid) = read_text(format!("{{\"id\": 1}}\n{long}")).unwrap();
    assert_eq!(
        (movies.len(), &invalid[..]),
        (2, &["file:2: the line has more than 1048576 bytes".to_owned()][..])
    );
}

#[test]
fn a_file_with_the_extension_of_ndjson_is_ndjson() {
    let folder = TempDir::new().unwrap();
    for name in ["a.ndjson", "a.jsonl"] {
        let file = folder.path().join(name);
        fs::write(&file, "{\"id\":\n\n{\"id\": \"2\"}\n").unwrap();
        let (movies, invalid) = read(&[file]).unwrap();
        assert_eq!(
            (ids(&movies), invalid),
            (vec!["2"], vec![format!("{name}:1: EOF while parsing a value at column 6")])
        );
    }
}

#[test]
fn a_file_may_have_several_documents_over_any_number_of_lines() {
    let text = "{\n  \"id\": \"1\",\n  \"title\": \"A\"\n}\n{\n  \"id\": 2,\n  \"year\": \"x\"\n}\n\
        [{\"id\": \"3\"},\n{\"id\": \"4\"}]{\"movies\": [{\"id\": \"5\"}]}{\"id\": \"6\", \"note\": [{}]}\n";
    let folder = TempDir::new().unwrap();
    for name in ["movies", "movies.json", "movies.ndjson"] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let (movies, invalid) = read(&[file]).unwrap();
        assert_eq!(ids(&movies), ["1", "3", "4", "5", "6"]);
        assert_eq!(
            (movies[0].title.as_str(), invalid),
            ("A", vec![format!("{name}:5: expected `year` to be a whole number")])
        );
    }
}

#[test]
fn values_kept_in_memory_are_limited_and_skipped_values_are_not() {
    let long = "1".repeat(source::MAX_RECORD_BYTES);
    for text in [
        format!("[\n{{\"id\": \"{long}\"}}]"),
        format!("{{\n\"{long}\": 1, \"movies\": []}}"),
        format!("{{\n\"id\": \"{long}\"}}"),
    ] {
        let error = read_text(text).unwrap_err().to_string();
        assert_eq!(error, "cannot read file at line 2: a movie has more than 1048576 bytes");
    }
    let text = format!(
        "{{\"made\": \"{long}\", \"movies\": [{{\"id\": \"1\"}}]}}{{\"id\": 2,\n\"note\": \"{long}\"}}"
    );
    assert_eq!(ids(&read_text(text).unwrap().0), ["1", "2"]);
}

#[test]
fn the_format_of_a_file_is_detected_from_its_beginning() {
    for (text, expected) in [
        ("", 0),
        ("\n \n", 0),
        ("{\"id\": \"1\"}", 1),
        ("{\"movies\": [{\"id\": \"1\"}]}", 1),
        ("{\n\"movies\": [{\"id\": \"1\"}]}", 1),
        ("{\"by\": 1, \"movies\": [{\"id\": \"1\"}]}\n", 1),
        ("{\n\"by\": 1,\n\"movies\": [{\"id\": \"1\"}]}", 1),
        ("{\"by\": 1, \"movies\": [\n{\"id\": \"1\"}\n]}", 1),
        ("{\"id\": \"1\", \"title\":\n{\"id\": \"2\"}\n{\"id\": \"3\"}\n", 2),
        ("\u{feff}movieId,title,genres\r\n1,A,B\r\n", 1),
    ] {
        assert_eq!(read_text(text).unwrap().0.len(), expected, "{text}");
        assert_eq!(read_text(gzip(text.as_bytes())).unwrap().0.len(), expected, "{text}");
    }
    for (text, expected) in [
        ("hello\nworld", "begins with `hello\\nworld`"),
        ("tconst\taverageRating\tnumVotes\n", "expected movies as JSON or ndjson, IMDb's title.basics.tsv"),
        ("PK\u{3}\u{4}", "file is a zip archive: unpack it first"),
        ("tconst\ttitleType\tprimaryTitle\n", "the header of file has no column `startYear`"),
    ] {
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let truncated = &gzip(b"{\"id\": \"1\"}\n{}\n")[..20];
    assert!(read_text(truncated).unwrap_err().to_string().starts_with("cannot read file"));
    let missing = read(&[sample("none.json")]).unwrap_err();
    assert!(format!("{missing:#}").contains("none.json: No such file"), "{missing:#}");
}

#[test]
fn utf_16_with_a_byte_order_mark_is_read() {
    let table = "tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres\ntt1\tmovie\tÉlan 😀\t1977\t\\N\t\n";
    let titles = [
        "\u{feff}{\"id\": \"1\", \"title\": \"Élan 😀\"}\r\n",
        "\u{feff}[\n{\"id\": 1, \"title\": \"Élan 😀\"}]",
        &format!("\u{feff}{table}"),
    ];
    for text in titles {
        let little: Vec<_> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<_> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [gzip(&little), little, big] {
            let (movies, invalid) = read_text(bytes).unwrap();
            assert_eq!((movies[0].title.as_str(), movies.len(), invalid), ("Élan 😀", 1, vec![]), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(
        start in prop::sample::select(vec![
            "", "{", "[", "{\"id\": \"1\"}\n", "{\"movies\": [", "movieId,title,genres\n",
            "tconst\ttitleType\tprimaryTitle\tstartYear\truntimeMinutes\tgenres\n", "\u{1f}\u{8b}\u{8}",
            "\"tconst\"\t\"titleType\"\t\"primaryTitle\"\t\"startYear\"\t\"runtimeMinutes\"\t\"genres\"\n",
            "\"movieId\",\"title\",\"genres\"\n", "{\n  \"title\": \"A\"\n}\n{", "{\"title\": \"A\"}\n",
        ]),
        rest in prop::collection::vec(prop_oneof![
            any::<Vec<u8>>(),
            "[\\[\\]{}:,\"\\\\0-9a-z\t\n]{0,40}".prop_map(String::into_bytes),
            "(tt[0-9]{1,12}|movie|\\\\N|[0-9]{0,4}(\\.0)?|\t|\r?\n|,|\"|\"\"|\\(1999\\)|, The){0,20}".prop_map(String::into_bytes),
        ], 0..8),
    ) {
        let bytes = [start.as_bytes(), &rest.concat()].concat();
        let utf_16: Vec<_> = iter::once(0xfeff).chain(start.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [[utf_16, rest.concat()].concat(), bytes] {
            let file = NamedTempFile::new().unwrap();
            fs::write(&file, bytes).unwrap();
            for make_ids in [false, true] {
                let _ = read_with_ids(&[file.path().to_owned()], make_ids);
            }
        }
    }
}
