//! Protobuf's text format of a movie, as the course's client prints it.
//!
//! See <https://protobuf.dev/reference/protobuf/textformat-spec/>. Where the specification leaves a choice, the
//! output follows Python's.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Movie;
use crate::error::is_terminal_unsafe;
use crate::movie::Value;

/// Formats a movie, one field per line: the fields of the course's contract first, then the others. Omits default
/// values and a rating of 0, which the course's contract does not distinguish from no rating.
#[must_use]
pub fn movie(movie: &Movie) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = put_movie(&mut text, movie);
    text
}

fn put_movie(out: &mut String, movie: &Movie) -> fmt::Result {
    movie.fields().try_for_each(|(name, value)| match value {
        Value::Text("") => Ok(()),
        Value::Text(text) => put_text(out, name, text),
        Value::Rating(rating) => put_rating(out, name, *rating),
        Value::Number(number) => put_number(out, name, number.map(u64::from)),
        Value::Count(count) => put_number(out, name, *count),
        Value::List(list) => list.iter().try_for_each(|text| put_text(out, name, text)),
        Value::Time(time) => put_time(out, name, *time),
    })
}

/// Escapes the characters that could end a line or that a terminal may interpret.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_terminal_unsafe) {
        return text.into();
    }
    let escaped = |character: char| {
        if is_terminal_unsafe(character) {
            character.escape_default().collect()
        } else {
            String::from(character)
        }
    };
    text.chars().map(escaped).collect()
}

fn put_rating(out: &mut String, name: &str, rating: Option<f32>) -> fmt::Result {
    let rating = rating.filter(|rating| rating.to_bits() != 0);
    rating.map_or(Ok(()), |rating| writeln!(out, "{name}: {}", python_repr(f64::from(rating))))
}

fn put_number(out: &mut String, name: &str, value: Option<u64>) -> fmt::Result {
    value.filter(|value| *value != 0).map_or(Ok(()), |value| writeln!(out, "{name}: {value}"))
}

/// Writes a `google.protobuf.Timestamp`. The service sends no time before 1970.
fn put_time(out: &mut String, name: &str, time: Option<SystemTime>) -> fmt::Result {
    let Some(since) = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) else { return Ok(()) };
    writeln!(out, "{name} {{")?;
    for (name, value) in [("seconds", since.as_secs()), ("nanos", since.subsec_nanos().into())] {
        if value != 0 {
            writeln!(out, "  {name}: {value}")?;
        }
    }
    writeln!(out, "}}")
}

fn put_text(out: &mut String, name: &str, value: &str) -> fmt::Result {
    write!(out, "{name}: \"")?;
    for character in value.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '"' | '\'' | '\\' => write!(out, "\\{character}")?,
            // Byte by byte, as the specification requires.
            _ if is_terminal_unsafe(character) => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    write!(out, "\\{byte:03o}")?;
                }
            }
            _ => out.write_char(character)?,
        }
    }
    writeln!(out, "\"")
}

/// Formats a number as Python's `repr` does: the shortest digits that read back the same, with exponents such as
/// `1e-05` and `1e+16`. Rust switches to exponents at the same sizes, but writes `1e-5` and `1e16`.
fn python_repr(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_widened_and_printed_with_all_its_digits() {
        let ratings = [8.2, 9.0, 7.4, 0.1, 10.0].map(|rating: f32| python_repr(rating.into()));
        let expected = ["8.199999809265137", "9.0", "7.400000095367432", "0.10000000149011612", "10.0"];
        assert_eq!(ratings, expected);
    }

    #[test]
    fn unusual_numbers_are_written_as_in_python() {
        let numbers = [1e-5, 1e-4, 1e15, 1e16, 1.5e300, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let expected =
            ["1e-05", "0.0001", "1000000000000000.0", "1e+16", "1.5e+300", "-0.0", "inf", "-inf", "nan"];
        assert_eq!(numbers.map(python_repr), expected);
    }

    #[test]
    fn text_stays_on_its_line() {
        assert_eq!(line("Amélie 😀 \"a\""), "Amélie 😀 \"a\"");
        assert_eq!(line("a\nb\u{1b}[31m\u{9b}"), r"a\nb\u{1b}[31m\u{9b}");
        assert_eq!(line("a\u{202a}b\u{202e}c\u{2066}d\u{2069}e"), r"a\u{202a}b\u{202e}c\u{2066}d\u{2069}e");
        assert_eq!(line("\u{2029}\u{202f}\u{2065}\u{206a}"), "\u{2029}\u{202f}\u{2065}\u{206a}");
    }

    #[test]
    fn default_values_are_omitted() {
        assert_eq!(movie(&Movie::default()), "");
        let only_id = Movie { id: "7".into(), ..Movie::default() };
        assert_eq!(movie(&only_id), "id: \"7\"\n");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped_and_other_scripts_are_not() {
        let title = "é日😀 \"a\" 'b' \\ \n\r\t\u{1}\u{7f}".into();
        let printed = movie(&Movie { title, ..Movie::default() });
        assert_eq!(printed, "title: \"é日😀 \\\"a\\\" \\'b\\' \\\\ \\n\\r\\t\\001\\177\"\n");
    }

    #[test]
    fn directional_characters_are_escaped_byte_by_byte() {
        let title = "a\u{9b}\u{202e}\u{2069}".into();
        let printed = movie(&Movie { title, ..Movie::default() });
        assert_eq!(printed, "title: \"a\\302\\233\\342\\200\\256\\342\\201\\251\"\n");
    }

    #[test]
    fn additional_fields_follow_in_the_order_of_the_contract() {
        let at = |seconds, nanos| Some(UNIX_EPOCH + std::time::Duration::new(seconds, nanos));
        let all = Movie {
            title: "Paisà".into(),
            rating: Some(8.3),
            director: "Roberto Rossellini".into(),
            id: "tt0038823".into(),
            year: Some(1946),
            genres: vec!["War".into(), "Drama".into()],
            runtime_minutes: Some(126),
            countries: vec!["Italy".into()],
            languages: vec!["Italian".into(), String::new()],
            create_time: at(1_700_000_000, 5),
            update_time: at(1_700_000_001, 0),
            etag: "e1".into(),
            original_title: "Paisà".into(),
            cast: vec!["Carmela Sazio".into(), "Dots Johnson".into()],
            writers: vec!["Sergio Amidei".into()],
            rating_count: Some(5_000_000_000),
            overview: "Six episodes.".into(),
            poster_uri: "https://posters.example/paisa.jpg".into(),
        };
        let expected = r#"title: "Paisà"
rating: 8.300000190734863
director: "Roberto Rossellini"
id: "tt0038823"
year: 1946
genres: "War"
genres: "Drama"
runtime_minutes: 126
countries: "Italy"
languages: "Italian"
languages: ""
create_time {
  seconds: 1700000000
  nanos: 5
}
update_time {
  seconds: 1700000001
}
etag: "e1"
original_title: "Paisà"
cast: "Carmela Sazio"
cast: "Dots Johnson"
writers: "Sergio Amidei"
rating_count: 5000000000
overview: "Six episodes."
poster_uri: "https://posters.example/paisa.jpg"
"#;
        assert_eq!(movie(&all), expected);
    }

    #[test]
    fn a_rating_of_0_is_omitted() {
        assert_eq!(movie(&Movie { rating: Some(0.0), ..Movie::default() }), "");
        assert_eq!(movie(&Movie { rating: Some(-0.0), ..Movie::default() }), "rating: -0.0\n");
    }
}
