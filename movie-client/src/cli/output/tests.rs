//! Every kind of output in every format.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::Event;

fn options(format: Format) -> OutputOptions {
    OutputOptions { format, width: None, colours: false }
}

/// Returns the output with these options.
fn printed(
    options: &OutputOptions,
    print: impl FnOnce(&mut Printer<&mut Vec<u8>>) -> io::Result<()>,
) -> String {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, options.clone());
    print(&mut printer).unwrap();
    printer.finish().unwrap();
    drop(printer);
    String::from_utf8(out).unwrap()
}

fn rows(options: &OutputOptions, rows: &[Row<'_>]) -> String {
    printed(options, |printer| rows.iter().try_for_each(|row| printer.row(*row)))
}

fn creed() -> Movie {
    Movie { title: "Creed".into(), rating: Some(8.8), id: "267e".into(), ..Movie::default() }
}

fn samurai() -> Movie {
    Movie {
        title: "七人の侍".into(),
        rating: Some(9.0),
        director: "Akira Kurosawa".into(),
        id: "tt0047478".into(),
        year: Some(1954),
        genres: vec!["Action".into(), "Drama".into()],
        runtime_minutes: Some(207),
        countries: vec!["Japan".into()],
        languages: vec!["Japanese".into(), "English".into()],
        create_time: Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
        update_time: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_001_005)),
        etag: "e=1".into(),
        original_title: "七人の侍".into(),
        cast: vec!["Toshirō Mifune".into(), "Takashi Shimura".into()],
        writers: vec!["Akira Kurosawa".into(), "Shinobu Hashimoto".into()],
        rating_count: Some(5_000_000_000),
        overview: "Bandits return, \"again\".".into(),
        poster_uri: "https://posters.example/7.jpg".into(),
    }
}

/// A movie from a hostile service.
fn hostile() -> Movie {
    Movie { title: "a\u{1b}[2J\"b\u{202e}c,\nd".into(), id: "x\ty".into(), ..Movie::default() }
}

fn change(revision: u64, event: Event) -> Change {
    Change { revision, event, resume_token: format!("token-{revision}") }
}

fn changes() -> [Change; 3] {
    [
        // A copy has no tokens before its end.
        Change { resume_token: String::new(), ..change(12, Event::Upserted(creed())) },
        change(13, Event::Deleted("267e".into())),
        change(13, Event::CaughtUp),
    ]
}

fn of_changes(options: &OutputOptions) -> String {
    let changes = changes();
    rows(options, &changes.each_ref().map(Row::Change))
}

fn of_movies(options: &OutputOptions) -> String {
    rows(options, &[Row::Movie(&samurai()), Row::Movie(&creed())])
}

fn of_lookups(options: &OutputOptions) -> String {
    rows(options, &[Row::Lookup { id: "267e", movie: Some(&creed()) }, Row::Lookup { id: "no", movie: None }])
}

fn of_properties(options: &OutputOptions) -> String {
    let properties = [
        ("store", Property::Text("a, \"b\"".into())),
        ("movies", Property::Number(7)),
        ("read_only", Property::Bool(true)),
    ];
    printed(options, |printer| printer.properties(&properties))
}

#[test]
fn streams_without_rows_are_valid_in_every_format() {
    let empty = |format| rows(&options(format), &[]);
    assert_eq!(empty(Format::Text), "");
    assert_eq!(empty(Format::Table), "ID  TITLE  YEAR  RATING  DIRECTOR  GENRES\n");
    assert_eq!(empty(Format::Json), "[]\n");
    assert_eq!(empty(Format::Ndjson), "");
    let header = "id,title,rating,director,year,genres,runtime_minutes,countries,languages,create_time,update_time,etag,original_title,cast,writers,rating_count,overview,poster_uri\n";
    assert_eq!(empty(Format::Csv), header);
}

#[test]
fn text_is_the_output_of_the_course() {
    let options = options(Format::Text);
    assert_eq!(of_movies(&options), "Movie called 七人の侍\nMovie called Creed\n");
    assert_eq!(of_lookups(&options), "Movie called Creed\nNo movie has the id no\n");
    assert_eq!(of_changes(&options), "12 + Creed (267e)\n13 - 267e\n13 caught up\n");
    assert_eq!(of_properties(&options), "store: a, \"b\"\nmovies: 7\nread_only: true\n");
    let one = printed(&options, |printer| printer.one(&creed()));
    assert_eq!(one, "title: \"Creed\"\nrating: 8.800000190734863\nid: \"267e\"\n");
}

#[test]
fn a_table_is_aligned_by_display_width() {
    let mut accents = creed();
    accents.title = "Ame\u{301}lie 😀".into();
    let printed = rows(&options(Format::Table), &[Row::Movie(&samurai()), Row::Movie(&accents)]);
    let expected = "\
ID         TITLE      YEAR  RATING  DIRECTOR        GENRES
tt0047478  七人の侍   1954     9.0  Akira Kurosawa  Action, Drama
267e       Ame\u{301}lie 😀           8.8
";
    assert_eq!(printed, expected);
}

#[test]
fn a_table_of_lookups_has_only_the_id_of_an_unknown_movie() {
    let expected = "\
ID                                    TITLE                             YEAR  RATING  DIRECTOR                  GENRES
267e                                  Creed                                      8.8
no
";
    assert_eq!(of_lookups(&options(Format::Table)), expected);
}

#[test]
fn a_table_of_changes_has_columns_of_its_own() {
    let expected = "\
REVISION  CHANGE     ID                                    TITLE
      12  upserted   267e                                  Creed
      13  deleted    267e
      13  caught up
";
    assert_eq!(of_changes(&options(Format::Table)), expected);
}

#[test]
fn a_table_of_a_single_movie_has_a_line_per_field() {
    let options = options(Format::Table);
    let expected = "\
title            七人の侍
rating           9.0
director         Akira Kurosawa
id               tt0047478
year             1954
genres           Action, Drama
runtime_minutes  207
countries        Japan
languages        Japanese, English
create_time      2023-11-14T22:13:20Z
update_time      2023-11-14T22:13:21.005000000Z
etag             e=1
original_title   七人の侍
cast             Toshirō Mifune, Takashi Shimura
writers          Akira Kurosawa, Shinobu Hashimoto
rating_count     5000000000
overview         Bandits return, \"again\".
poster_uri       https://posters.example/7.jpg
";
    assert_eq!(printed(&options, |printer| printer.one(&samurai())), expected);
    let only_set = "title   Creed\nrating  8.8\nid      267e\n";
    assert_eq!(printed(&options, |printer| printer.one(&creed())), only_set);
    assert_eq!(of_properties(&options), "store      a, \"b\"\nmovies     7\nread_only  true\n");
}

#[test]
fn a_table_is_truncated_to_its_width_the_title_before_the_id() {
    let mut long = samurai();
    long.title = "A title that is longer than the others".into();
    let of = |width| {
        let options = OutputOptions { width: Some(width), ..options(Format::Table) };
        rows(&options, &[Row::Movie(&samurai()), Row::Movie(&long)])
    };
    let expected = "\
ID         TITLE          YEAR  RATING  DIRECTOR      GENRES
tt0047478  七人の侍       1954     9.0  Akira Kuros…  Action, Dra…
tt0047478  A title that…  1954     9.0  Akira Kuros…  Action, Dra…
";
    assert_eq!(of(66).lines().map(console::measure_text_width).max(), Some(66));
    assert_eq!(of(66), expected);
    let narrow = "\
ID     TITLE  YEAR  RATING  DIRECTOR  GENRES
tt00…  七人…  1954     9.0  Akira K…  Actio…
tt00…  A ti…  1954     9.0  Akira K…  Actio…
";
    assert_eq!(of(44), narrow);
}

#[test]
fn a_table_has_one_header_and_later_rows_fit_the_columns_of_the_first() {
    let mut long = samurai();
    long.id = "an id that is longer".into();
    let of = |width| {
        let options = OutputOptions { width, ..options(Format::Table) };
        printed(&options, |printer| {
            // Nothing is printed yet.
            printer.flush()?;
            printer.row(Row::Movie(&creed()))?;
            printer.flush()?;
            printer.row(Row::Movie(&long))
        })
    };
    let truncated = "\
ID    TITLE  YEAR  RATING  DIRECTOR  GENRES
267e  Creed           8.8
an …  七人…  1954     9.0  Akira K…  Action, Drama
";
    assert_eq!(of(Some(60)), truncated);
    let sticks_out = "\
ID    TITLE  YEAR  RATING  DIRECTOR  GENRES
267e  Creed           8.8
an id that is longer  七人の侍  1954     9.0  Akira Kurosawa  Action, Drama
";
    assert_eq!(of(None), sticks_out);
}

#[test]
fn a_long_table_is_printed_in_parts() {
    let out = Rc::new(RefCell::new(Vec::new()));
    let mut printer = Printer::new(Shared(Rc::clone(&out)), options(Format::Table));
    for _ in 0..999 {
        printer.row(Row::Movie(&creed())).unwrap();
    }
    assert_eq!(out.borrow().len(), 0);
    printer.row(Row::Movie(&creed())).unwrap();
    let lines = |out: &RefCell<Vec<u8>>| out.borrow().split(|byte| *byte == b'\n').count() - 1;
    assert_eq!(lines(&out), 1_001);
    printer.row(Row::Movie(&creed())).unwrap();
    printer.finish().unwrap();
    assert_eq!(lines(&out), 1_002);
}

#[test]
fn buffered_rows_are_printed_after_an_error() {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, options(Format::Table));
    printer.row(Row::Movie(&creed())).unwrap();
    drop(printer);
    let expected = "ID    TITLE  YEAR  RATING  DIRECTOR  GENRES\n267e  Creed           8.8\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn unsafe_characters_are_escaped_in_text_and_tables() {
    let (movie, row) = (hostile(), Row::Movie(&hostile()));
    let upserted = change(1, Event::Upserted(hostile()));
    let text = options(Format::Text);
    let title = r#"a\u{1b}[2J"b\u{202e}c,\nd"#;
    assert_eq!(rows(&text, &[row]), format!("Movie called {title}\n"));
    assert_eq!(rows(&text, &[Row::Change(&upserted)]), format!("1 + {title} (x\\ty)\n"));
    let unknown = Row::Lookup { id: "x\ty", movie: None };
    assert_eq!(rows(&text, &[unknown]), "No movie has the id x\\ty\n");
    let one = printed(&text, |printer| printer.one(&movie));
    assert_eq!(one, "title: \"a\\033[2J\\\"b\\342\\200\\256c,\\nd\"\nid: \"x\\ty\"\n");

    let table = options(Format::Table);
    let expected = format!("ID    TITLE{:20}  YEAR  RATING  DIRECTOR  GENRES\nx\\ty  {title}\n", "");
    assert_eq!(rows(&table, &[row]), expected);
    let one = printed(&table, |printer| printer.one(&movie));
    assert_eq!(one, format!("title  {title}\nid     x\\ty\n"));
    for options in [text, table] {
        let properties = [("version", Property::Text("1\u{9b}".into()))];
        assert!(printed(&options, |printer| printer.properties(&properties)).ends_with(" 1\\u{9b}\n"));
    }
}

#[test]
fn colours_are_used_only_if_allowed() {
    let coloured = |format| OutputOptions { colours: true, ..options(format) };
    let text = "12 \u{1b}[32m+\u{1b}[0m Creed (267e)\n13 \u{1b}[31m-\u{1b}[0m 267e\n13 caught up\n";
    assert_eq!(of_changes(&coloured(Format::Text)), text);

    let bold = |text: &str| format!("\u{1b}[1m{text}\u{1b}[0m");
    let table = of_changes(&coloured(Format::Table));
    let lines: Vec<_> = table.lines().collect();
    let header = ["REVISION", "CHANGE   ", "ID                                  ", "TITLE"].map(bold);
    assert_eq!(lines[0], header.join("  "));
    let id = "267e                                ";
    assert_eq!(lines[1], format!("      12  \u{1b}[32mupserted \u{1b}[0m  {id}  Creed"));
    assert_eq!(lines[2], "      13  \u{1b}[31mdeleted  \u{1b}[0m  267e");
    assert_eq!(lines[3], "      13  caught up");

    for format in [Format::Json, Format::Ndjson, Format::Csv] {
        assert_eq!(of_changes(&coloured(format)), of_changes(&options(format)));
    }
}

const CREED_JSON: &str = r#"{"title":"Creed","rating":8.8,"id":"267e"}"#;

#[test]
fn json_is_one_document() {
    let options = options(Format::Json);
    let samurai = r#"{"title":"七人の侍","rating":9.0,"director":"Akira Kurosawa","id":"tt0047478","year":1954,"genres":["Action","Drama"],"runtime_minutes":207,"countries":["Japan"],"languages":["Japanese","English"],"create_time":"2023-11-14T22:13:20Z","update_time":"2023-11-14T22:13:21.005000000Z","etag":"e=1","original_title":"七人の侍","cast":["Toshirō Mifune","Takashi Shimura"],"writers":["Akira Kurosawa","Shinobu Hashimoto"],"rating_count":5000000000,"overview":"Bandits return, \"again\".","poster_uri":"https://posters.example/7.jpg"}"#;
    assert_eq!(printed(&options, |printer| printer.one(&self::samurai())), format!("{samurai}\n"));
    assert_eq!(of_movies(&options), format!("[\n{samurai},\n{CREED_JSON}\n]\n"));
    let lookups =
        format!("[\n{{\"id\":\"267e\",\"movie\":{CREED_JSON}}},\n{{\"id\":\"no\",\"movie\":null}}\n]\n");
    assert_eq!(of_lookups(&options), lookups);
    assert_eq!(of_properties(&options), "{\"store\":\"a, \\\"b\\\"\",\"movies\":7,\"read_only\":true}\n");
}

#[test]
fn ndjson_has_one_document_per_line() {
    let options = options(Format::Ndjson);
    assert_eq!(printed(&options, |printer| printer.one(&creed())), format!("{CREED_JSON}\n"));
    assert_eq!(
        rows(&options, &[Row::Movie(&creed()), Row::Movie(&creed())]),
        format!("{CREED_JSON}\n{CREED_JSON}\n")
    );
    assert_eq!(
        of_lookups(&options),
        format!("{{\"id\":\"267e\",\"movie\":{CREED_JSON}}}\n{{\"id\":\"no\",\"movie\":null}}\n")
    );
    let changes = format!(
        "{{\"revision\":12,\"upserted\":{CREED_JSON}}}\n{{\"revision\":13,\"deleted_id\":\"267e\",\"resume_token\":\"token-13\"}}\n{{\"revision\":13,\"caught_up\":true,\"resume_token\":\"token-13\"}}\n"
    );
    assert_eq!(of_changes(&options), changes);
    assert_eq!(of_properties(&options), "{\"store\":\"a, \\\"b\\\"\",\"movies\":7,\"read_only\":true}\n");
    let one = printed(&options, |printer| printer.one(&hostile()));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&one).unwrap()["title"], *hostile().title);
}

#[test]
fn csv_has_a_header_and_the_required_quotes() {
    let options = options(Format::Csv);
    let header = "id,title,rating,director,year,genres,runtime_minutes,countries,languages,create_time,update_time,etag,original_title,cast,writers,rating_count,overview,poster_uri\n";
    let samurai = "tt0047478,七人の侍,9.0,Akira Kurosawa,1954,Action|Drama,207,Japan,Japanese|English,2023-11-14T22:13:20Z,2023-11-14T22:13:21.005000000Z,e=1,七人の侍,Toshirō Mifune|Takashi Shimura,Akira Kurosawa|Shinobu Hashimoto,5000000000,\"Bandits return, \"\"again\"\".\",https://posters.example/7.jpg\n";
    let creed = "267e,Creed,8.8,,,,,,,,,,,,,,,\n";
    assert_eq!(printed(&options, |printer| printer.one(&self::samurai())), format!("{header}{samurai}"));
    assert_eq!(of_movies(&options), format!("{header}{samurai}{creed}"));
    assert_eq!(of_lookups(&options), format!("{header}{creed}no,,,,,,,,,,,,,,,,,\n"));
    let changes = format!(
        "revision,change,resume_token,{header}12,upserted,,{creed}13,deleted,token-13,267e,,,,,,,,,,,,,,,,,\n13,caught_up,token-13,,,,,,,,,,,,,,,,,,\n"
    );
    assert_eq!(of_changes(&options), changes);
    assert_eq!(of_properties(&options), "name,value\nstore,\"a, \"\"b\"\"\"\nmovies,7\nread_only,true\n");
    let formula = Movie { title: "=1+1".into(), id: "7".into(), ..hostile() };
    assert_eq!(rows(&options, &[Row::Movie(&formula)]), format!("{header}7,=1+1,,,,,,,,,,,,,,,,\n"));
    let quoted = "x\ty,\"a\u{1b}[2J\"\"b\u{202e}c,\nd\",,,,,,,,,,,,,,,,\n";
    assert_eq!(rows(&options, &[Row::Movie(&hostile())]), format!("{header}{quoted}"));
}

#[test]
fn rows_are_visible_after_a_flush() {
    for (format, seen) in [
        (Format::Text, "Movie called Creed\n"),
        (Format::Table, "ID    TITLE  YEAR  RATING  DIRECTOR  GENRES\n267e  Creed           8.8\n"),
        (Format::Json, "[\n{\"title\":\"Creed\",\"rating\":8.8,\"id\":\"267e\"}"),
        (Format::Ndjson, "{\"title\":\"Creed\",\"rating\":8.8,\"id\":\"267e\"}\n"),
    ] {
        let out = Rc::new(RefCell::new(Vec::new()));
        let mut printer = Printer::new(io::BufWriter::new(Shared(Rc::clone(&out))), options(format));
        printer.row(Row::Movie(&creed())).unwrap();
        assert_eq!(out.borrow().len(), 0, "{format:?}");
        printer.flush().unwrap();
        assert_eq!(String::from_utf8(out.borrow().clone()).unwrap(), seen, "{format:?}");
    }
    let out = Rc::new(RefCell::new(Vec::new()));
    let mut printer = Printer::new(Shared(Rc::clone(&out)), options(Format::Csv));
    printer.row(Row::Movie(&creed())).unwrap();
    printer.flush().unwrap();
    assert!(out.borrow().ends_with(b"267e,Creed,8.8,,,,,,,,,,,,,,,\n"));
}

#[test]
fn every_format_returns_the_error_of_a_closed_pipe() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // Longer than the buffer of `csv`, so that the row itself fails.
    let long = Movie { title: "long".repeat(10_000), ..creed() };
    for format in [Format::Text, Format::Table, Format::Json, Format::Ndjson, Format::Csv] {
        let mut printer = Printer::new(Gone, options(format));
        let row = printer.row(Row::Movie(&long)).and_then(|()| printer.flush());
        assert_eq!(row.unwrap_err().kind(), io::ErrorKind::BrokenPipe, "{format:?}");
    }
}

/// A shared buffer that can be inspected while it is written.
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn unsafe_characters_are_escaped_in_json_and_csv_only_on_a_terminal() {
    let title = "a\u{9b}2J\u{7f}b\u{202e}c\nd".to_owned();
    let movie = &Movie { title, genres: vec!["x\u{1b}".into()], ..Movie::default() };
    let on_terminal = |format| OutputOptions { width: Some(80), ..options(format) };
    for format in [Format::Json, Format::Ndjson, Format::Csv] {
        let lists = [
            rows(&on_terminal(format), &[Row::Movie(movie)]),
            printed(&on_terminal(format), |to| to.one(movie)),
        ];
        for shown in lists {
            assert!(
                !shown.contains(|character| crate::error::is_terminal_unsafe(character) && character != '\n'),
                "{shown:?}"
            );
        }
        assert!(
            rows(&options(format), &[Row::Movie(movie)]).contains("a\u{9b}2J\u{7f}b\u{202e}c"),
            "{format:?}"
        );
    }
    let shown = rows(&on_terminal(Format::Ndjson), &[Row::Movie(movie)]);
    assert!(shown.contains(r"a\u009b2J\u007fb\u202ec\nd"), "{shown}");
    let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(read["title"], *movie.title);
}

#[test]
fn an_interrupted_json_document_is_ended_once() {
    let mut out = Vec::new();
    let mut printer = Printer::new(&mut out, options(Format::Json));
    printer.row(Row::Movie(&creed())).unwrap();
    drop(printer);
    let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(document[0]["title"], "Creed");
    drop(Printer::new(&mut out, options(Format::Json)));
    assert!(out.ends_with(b"}\n]\n"), "an empty result prints nothing when dropped");
    assert_eq!(rows(&options(Format::Json), &[Row::Movie(&creed())]).matches(']').count(), 1);
}
