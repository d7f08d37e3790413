//! Frequent mistakes in JSON files that people edit, for error messages and warnings.

use crate::movie::Field;

/// Number of bytes from the position of an error that [`syntax_mistake`] examines.
pub(super) const EXAMINED_BYTES: usize = CONFLICT_MARKER_BYTES;

/// Length of the markers that Git puts at the start of a line.
const CONFLICT_MARKER_BYTES: usize = 7;

/// Shortest key that is compared with a letter left out, added or replaced.
const MIN_KEY_BYTES_WITH_EDIT: usize = 4;

/// Describes the mistake at an offset at which a text is not valid JSON, if it is a frequent one.
pub(super) fn syntax_mistake(text: &[u8], offset: usize) -> Option<&'static str> {
    let (before, rest) = text.split_at_checked(offset)?;
    Some(match (rest, before) {
        ([b'/', b'/' | b'*', ..] | [b'#', ..], _) => "JSON has no comments; remove this one",
        ([b'\'', ..], _) => "a text has double quotes in JSON: \"…\" instead of '…'",
        // The typographic quotes U+201C to U+201F.
        ([0xe2, 0x80, 0x9c..=0x9f, ..], _) => "a text has straight quotes in JSON: \"…\" instead of “…”",
        ([b'0'..=b'9', ..], [.., b'0'..=b'9', b',']) => {
            "a number has no comma in JSON: write 8.2 instead of 8,2, and 1000 instead of 1,000"
        }
        ([b'S', b'Q', b'L', b'i', b't', b'e', b' ', ..], []) => {
            "the file is an SQLite database; write `sqlite:` in front of its name: `--database sqlite:FILE`"
        }
        ([b'.', b'0'..=b'9', ..], _) => "a number begins with a digit in JSON: write 0.8 instead of .8",
        (_, [.., b'0'..=b'9', b'.']) => {
            "a digit follows the point of a number in JSON: write 8.0 or 8 instead of 8."
        }
        ([b'0'..=b'9', ..], [.., b'0']) => "a number has no leading zero in JSON: write 8 instead of 08",
        ([b'N', b'o', b'n', b'e', ..], _) => "write null instead of None",
        ([b'T', b'r', b'u', b'e', ..], _) => "write true instead of True",
        ([b'F', b'a', b'l', b's', b'e', ..], _) => "write false instead of False",
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], []) => "the file is in UTF-16; save it as UTF-8",
        _ if is_conflict_marker(rest) => {
            "this line is a conflict marker of Git; choose one of the two versions and remove the markers"
        }
        _ => return None,
    })
}

fn is_conflict_marker(text: &[u8]) -> bool {
    let Some(marker) = text.first_chunk::<CONFLICT_MARKER_BYTES>() else { return false };
    matches!(marker[0], b'<' | b'=' | b'>' | b'|') && marker.iter().all(|byte| *byte == marker[0])
}

/// Returns the field that an unknown key probably means: one that differs only in case, in singular or plural, in
/// separators of words, or in one letter.
pub(super) fn similar_field(key: &str) -> Option<Field> {
    // Fields that only the service sets, such as `create_time`, are ignored without a warning.
    if key.len() > 2 * MAX_FIELD_NAME_BYTES || Field::from_name(key).is_some() {
        return None;
    }
    let singular = singular(key);
    Field::inputs().find(|field| {
        let name = self::singular(field.name());
        let has_edit = key.len() >= MIN_KEY_BYTES_WITH_EDIT && name.len() >= MIN_KEY_BYTES_WITH_EDIT;
        name == singular || has_edit && is_one_edit(&name, &singular)
    })
}

/// Length of the longest name of a field.
const MAX_FIELD_NAME_BYTES: usize = "runtime_minutes".len();

/// Returns a key in lower case, without separators of words and the ending of the plural.
fn singular(key: &str) -> String {
    let letters = key.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    let lower: String = letters.flat_map(char::to_lowercase).collect();
    match lower.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => lower.strip_suffix('s').unwrap_or(&lower).to_owned(),
    }
}

/// Returns whether one letter less, more or other turns one text into the other.
fn is_one_edit(one: &str, other: &str) -> bool {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[same..], &other[same..]);
    match one.len().abs_diff(other.len()) {
        0 => one.get(1..) == other.get(1..),
        1 if one.len() > other.len() => one[1..] == *other,
        1 => *one == other[1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_differs_by_case_number_or_a_letter_is_similar() {
        for (key, field) in [
            ("Rating", Field::Rating),
            ("directors", Field::Director),
            ("genre", Field::Genres),
            ("country", Field::Countries),
            ("runtimeMinutes", Field::RuntimeMinutes),
            ("Original Title", Field::OriginalTitle),
            ("titel_", Field::Title),
            ("ratting", Field::Rating),
            ("yaer", Field::Year),
            ("ID", Field::Id),
        ] {
            let expected = (!matches!(key, "titel_" | "yaer")).then_some(field);
            assert_eq!(similar_field(key), expected, "{key}");
        }
        for key in
            ["stars", "tags", "version", "create_time", "update_time", "is", "éé", "", &"x".repeat(999)]
        {
            assert_eq!(similar_field(key), None, "{key}");
        }
    }

    #[test]
    fn every_field_is_similar_to_itself_in_capitals() {
        for field in Field::inputs() {
            assert!(field.name().len() <= MAX_FIELD_NAME_BYTES, "{}", field.name());
            assert_eq!(similar_field(&field.name().to_uppercase()), Some(field));
        }
    }
}
