//! A message in protobuf's text format, as the course's client prints it.
//!
//! <https://protobuf.dev/reference/protobuf/textformat-spec/>, with Python's habits where that leaves a choice.

use std::borrow::Cow;
use std::fmt::{self, Write};

use movie_proto::MovieData;

/// Formats a movie, one field a line. Fields with default values are left out.
#[must_use]
pub fn movie(movie: &MovieData) -> String {
    let MovieData { title, rating, director, id } = movie;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = put_text(&mut text, "title", title);
    if rating.to_bits() != 0 {
        let _ = writeln!(text, "rating: {}", python_repr(f64::from(*rating)));
    }
    let _ = put_text(&mut text, "director", director);
    let _ = put_text(&mut text, "id", id);
    text
}

/// Formats text that is to stay in its line: control characters, which could end it or move about on a terminal,
/// are escaped.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escaped = |character: char| {
        if character.is_control() { character.escape_default().collect() } else { String::from(character) }
    };
    text.chars().map(escaped).collect()
}

fn put_text(out: &mut String, name: &str, value: &str) -> fmt::Result {
    if value.is_empty() {
        return Ok(());
    }
    write!(out, "{name}: \"")?;
    for character in value.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '"' | '\'' | '\\' => write!(out, "\\{character}")?,
            '\0'..' ' | '\x7f' => write!(out, "\\{:03o}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    writeln!(out, "\"")
}

/// Formats a number as Python's `repr` does: shortest digits that read back the same, `1e-05` and `1e+16` for
/// what is small and large. Rust switches to exponents at the same sizes but writes `1e-5` and `1e16`.
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
    fn unusual_numbers_are_written_as_python_writes_them() {
        let numbers = [1e-5, 1e-4, 1e15, 1e16, 1.5e300, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
        let expected =
            ["1e-05", "0.0001", "1000000000000000.0", "1e+16", "1.5e+300", "-0.0", "inf", "-inf", "nan"];
        assert_eq!(numbers.map(python_repr), expected);
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(line("Amélie 😀 \"a\""), "Amélie 😀 \"a\"");
        assert_eq!(line("a\nb\u{1b}[31m\u{9b}"), r"a\nb\u{1b}[31m\u{9b}");
    }

    #[test]
    fn default_values_are_left_out() {
        assert_eq!(movie(&MovieData::default()), "");
        let only_id = MovieData { id: "7".into(), ..MovieData::default() };
        assert_eq!(movie(&only_id), "id: \"7\"\n");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped_and_other_scripts_are_not() {
        let title = "é日😀 \"a\" 'b' \\ \n\r\t\u{1}\u{7f}".into();
        let printed = movie(&MovieData { title, ..MovieData::default() });
        assert_eq!(printed, "title: \"é日😀 \\\"a\\\" \\'b\\' \\\\ \\n\\r\\t\\001\\177\"\n");
    }
}
