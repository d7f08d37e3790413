//! The limits on values that the comments of the contract state.
//!
//! Comments state limits in few phrases, such as "at most 1,000 characters". Whatever a comment does not say is not a
//! limit, and what it says in other words is not found: a test lists the limits of all fields.

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Map, Value, json};

/// Text without control characters (the category Cc of Unicode). `\P{Cc}` is not known to every implementation.
const NO_CONTROL_CHARACTER: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// Limits on a value, as keywords of JSON Schema.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Keywords of the value, or of each element of a repeated field.
    pub(super) value: Map<String, Value>,
    /// Keywords of the list, if the field is repeated.
    pub(super) list: Map<String, Value>,
}

/// What the phrases of a comment limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Other,
}

impl Limits {
    /// Reads the limits of a field from its comment.
    pub(super) fn of(field: &FieldDescriptor, comment: &str) -> Self {
        let value_type = match field.kind() {
            Kind::String => Type::Text,
            Kind::Int32
            | Kind::Sint32
            | Kind::Sfixed32
            | Kind::Uint32
            | Kind::Fixed32
            | Kind::Float
            | Kind::Double => Type::Number,
            // 64-bit integers are written as text, whose digits have no minimum or maximum.
            Kind::Int64
            | Kind::Sint64
            | Kind::Sfixed64
            | Kind::Uint64
            | Kind::Fixed64
            | Kind::Bool
            | Kind::Bytes
            | Kind::Enum(_)
            | Kind::Message(_) => Type::Other,
        };
        Self::parse(comment, value_type, field.is_list())
    }

    fn parse(comment: &str, value_type: Type, is_list: bool) -> Self {
        let mut limits = Self::default();
        let comment = comment.split_whitespace().collect::<Vec<_>>().join(" ").replace("At most", "at most");
        if is_list {
            limits.of_list(&comment);
        }
        match value_type {
            Type::Text => limits.of_text(&comment),
            Type::Number => limits.of_number(&comment),
            Type::Other => {}
        }
        limits
    }

    /// "at most 100", "at most 50 different ones", "each at most once"
    fn of_list(&mut self, comment: &str) {
        for (maximum, rest) in numbers_after(comment, "at most ") {
            let is_unique = rest.starts_with(" different ones");
            if is_unique {
                self.list.insert("uniqueItems".to_owned(), true.into());
            }
            if is_unique || rest.is_empty() || rest.starts_with(['.', ',', ';']) {
                self.list.insert("maxItems".to_owned(), maximum.into());
            }
        }
        if comment.contains("each at most once") {
            self.list.insert("uniqueItems".to_owned(), true.into());
        }
    }

    /// "at most 1,000 characters", "1 to 128 characters", "of at most 1,000 bytes" and the forms of texts
    fn of_text(&mut self, comment: &str) {
        for (maximum, rest) in numbers_after(comment, "at most ") {
            // A character takes at least a byte.
            if rest.starts_with(" characters") || rest.starts_with(" bytes") {
                self.value.insert("maxLength".to_owned(), maximum.into());
            }
        }
        for (maximum, rest) in numbers_after(comment, " to ") {
            let before = &comment[..comment.len() - rest.len()];
            let minimum = before.rsplit(' ').nth(2).and_then(|word| number(word).map(|(number, _)| number));
            if let Some(minimum) = minimum
                && rest.starts_with(" characters")
            {
                self.value.insert("minLength".to_owned(), minimum.into());
                self.value.insert("maxLength".to_owned(), maximum.into());
            }
        }
        if comment.contains("none of them a control character") {
            self.value.insert("pattern".to_owned(), NO_CONTROL_CHARACTER.into());
        }
        if comment.contains("an absolute https URI") {
            let pattern = if comment.contains("empty if") { "^(https://.+)?$" } else { "^https://.+$" };
            self.value.insert("format".to_owned(), "uri".into());
            self.value.insert("pattern".to_owned(), pattern.into());
        }
        let listed = comment.split_once(": ").map(|(_, values)| quoted_list(values)).unwrap_or_default();
        if listed.len() > 1 {
            self.value.insert("enum".to_owned(), listed.into());
        } else if let Some((_, example)) = comment.split_once("such as \"")
            && let Some((example, _)) = example.split_once('"')
        {
            self.value.insert("examples".to_owned(), json!([example]));
        }
    }

    /// "from 1870 to 2200; 0 if not known", "from 0", "not negative", "a multiple of 10", "such as 1990"
    fn of_number(&mut self, comment: &str) {
        if comment.contains("not negative") {
            self.value.insert("minimum".to_owned(), 0.into());
        }
        for (minimum, rest) in numbers_after(comment, "from ") {
            let allows_zero = comment.contains("; 0 if");
            let gap = allows_zero && minimum > 1;
            self.value.insert("minimum".to_owned(), if allows_zero { 0 } else { minimum }.into());
            if gap {
                let gap = json!({ "exclusiveMinimum": 0, "exclusiveMaximum": minimum });
                self.value.insert("not".to_owned(), gap);
            }
            // "from 0 (worst) to 10 (best)"
            let rest =
                rest.strip_prefix(" (").and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
            if let Some((maximum, _)) = rest.strip_prefix(" to ").and_then(number) {
                self.value.insert("maximum".to_owned(), maximum.into());
            }
        }
        for (divisor, _) in numbers_after(comment, "a multiple of ") {
            self.value.insert("multipleOf".to_owned(), divisor.into());
        }
        for (example, _) in numbers_after(comment, "such as ") {
            self.value.insert("examples".to_owned(), json!([example]));
        }
    }
}

/// Returns the numbers that follow a phrase, each with the rest of the text.
fn numbers_after<'a>(text: &'a str, phrase: &str) -> impl Iterator<Item = (u64, &'a str)> {
    text.match_indices(phrase).filter_map(move |(at, phrase)| number(&text[at + phrase.len()..]))
}

/// Returns the number at the start of a text, such as `1,000`, and the rest of the text.
fn number(text: &str) -> Option<(u64, &str)> {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let is_group = |at: usize| text.as_bytes().get(at) == Some(&b',') && is_digit(at + 1);
    let length = (0..=text.len()).find(|at| !is_digit(*at) && !is_group(*at))?;
    let digits = text[..length].replace(',', "");
    Some((digits.parse().ok()?, &text[length..]))
}

/// Returns the values of a list such as `"json", "sqlite" or "postgres"` at the start of a text.
fn quoted_list(text: &str) -> Vec<&str> {
    let (mut values, mut rest) = (Vec::new(), text);
    while let Some((value, after)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        values.push(value);
        let separators = [", ", " and ", " or "];
        rest = separators.iter().find_map(|separator| after.strip_prefix(separator)).unwrap_or_default();
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(comment: &str, value_type: Type, is_list: bool, value: &Value, list: &Value) {
        let limits = Limits::parse(comment, value_type, is_list);
        assert_eq!(Value::Object(limits.value), *value, "{comment}");
        assert_eq!(Value::Object(limits.list), *list, "{comment}");
    }

    #[test]
    fn texts_are_limited_in_characters() {
        for (comment, expected) in [
            ("The title: at most 1,000 characters.", json!({ "maxLength": 1000 })),
            ("At least 5 characters are a good choice.", json!({})),
            ("May be sent again. At most 128 characters; or not.", json!({ "maxLength": 128 })),
            ("May be sent again: at most\n128 characters; or not.", json!({ "maxLength": 128 })),
            (
                "The id: 1 to 128 characters, none of them a control character. Unique.",
                json!({ "minLength": 1, "maxLength": 128, "pattern": NO_CONTROL_CHARACTER }),
            ),
            (
                "The address: an absolute https URI (RFC 3986), of at most 1,000 bytes; empty if there is none.",
                json!({ "maxLength": 1000, "format": "uri", "pattern": "^(https://.+)?$" }),
            ),
            ("Only the first 60 words of a title are searched.", json!({})),
        ] {
            expect(comment, Type::Text, false, &expected, &json!({}));
        }
    }

    #[test]
    fn values_in_quotes_are_all_values_or_an_example() {
        for (comment, expected) in [
            (
                "The kind: \"json\", \"sqlite\" or \"postgres\".",
                json!({ "enum": ["json", "sqlite", "postgres"] }),
            ),
            ("The value; for decades the first year, such as \"1990\".", json!({ "examples": ["1990"] })),
            ("The director: several names separated by \", \"; empty if not known.", json!({})),
        ] {
            expect(comment, Type::Text, false, &expected, &json!({}));
        }
    }

    #[test]
    fn lists_are_limited_as_a_whole_and_in_their_elements() {
        expect(
            "The genres, such as \"Drama\": at most 50 different ones of 1 to 100 characters each.",
            Type::Text,
            true,
            &json!({ "minLength": 1, "maxLength": 100, "examples": ["Drama"] }),
            &json!({ "maxItems": 50, "uniqueItems": true }),
        );
        expect(
            "With these: at most 100. Texts are compared.",
            Type::Text,
            true,
            &json!({}),
            &json!({ "maxItems": 100 }),
        );
        expect(
            "The fields: \"genres\" and \"decades\", each at most once.",
            Type::Text,
            true,
            &json!({ "enum": ["genres", "decades"] }),
            &json!({ "uniqueItems": true }),
        );
        expect(
            "Each a multiple of 10 from 1870 to 2200, such as 1990: at most 100.",
            Type::Number,
            true,
            &json!({ "minimum": 1870, "maximum": 2200, "multipleOf": 10, "examples": [1990] }),
            &json!({ "maxItems": 100 }),
        );
    }

    #[test]
    fn numbers_have_bounds_and_0_is_allowed_where_it_means_none() {
        for (comment, expected) in [
            ("The rating from 0 to 10; unset if none.", json!({ "minimum": 0, "maximum": 10 })),
            (
                "The rating from 0 (worst) to 10 (best). 0 also means none.",
                json!({ "minimum": 0, "maximum": 10 }),
            ),
            ("In minutes, from 1 to 100,000; 0 if not known.", json!({ "minimum": 0, "maximum": 100_000 })),
            (
                "The year, from 1870 to 2200; 0 if not known.",
                json!({ "minimum": 0, "maximum": 2200, "not": { "exclusiveMinimum": 0, "exclusiveMaximum": 1870 } }),
            ),
            ("The index, from 0; 0 in other fields.", json!({ "minimum": 0 })),
            ("The number, not negative. 0 means 50; values above 1,000 mean 1,000.", json!({ "minimum": 0 })),
            ("In steps: a multiple of 10, such as 1990.", json!({ "multipleOf": 10, "examples": [1990] })),
            ("A part of the list, from the first. Released in this year.", json!({})),
        ] {
            expect(comment, Type::Number, false, &expected, &json!({}));
        }
        expect("From 1 to 10 of them, from 1 to 10.", Type::Other, false, &json!({}), &json!({}));
    }
}
