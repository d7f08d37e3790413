//! Parsers for flag values.

use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::search::MAX_HITS;

/// Parses a whole number, 0 or more.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "expected a whole number, 0 or more".to_owned())
}

/// Parses the first year of a decade. The service checks whether it is one.
pub(super) fn decade(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected the first year of a decade, such as 1950".to_owned())
}

/// Parses a maximum number of movies of a search.
pub(super) fn max_hits(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit <= MAX_HITS);
    limit.ok_or_else(|| format!("expected a whole number from 0 to {MAX_HITS}"))
}

/// Parses a maximum number of attempts.
pub(super) fn tries(text: &str) -> Result<u32, String> {
    let tries = text.parse().ok().filter(|tries| (1..=100).contains(tries));
    tries.ok_or_else(|| "expected a number from 1, which means no retries, to 100".to_owned())
}

/// Parses one item of a comma-separated list, with optional blanks around it. An empty item, as after a trailing
/// comma, is `None`.
pub(super) fn list_item<T: FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Parses a rating. The service checks the range.
pub(super) fn rating(text: &str) -> Result<f32, String> {
    let rating = text.parse().ok().filter(|rating: &f32| rating.is_finite());
    rating.ok_or_else(|| "expected a number, such as 7.5".to_owned())
}

/// Parses one value of a comma-separated list, with optional blanks around it.
pub(super) fn word(text: &str) -> Result<String, String> {
    let word = Some(text.trim()).filter(|word| !word.is_empty());
    word.map(str::to_owned)
        .ok_or_else(|| "expected a value, or several separated by commas, none of them empty".to_owned())
}

/// Parses the name of a facet.
pub(super) fn facet() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(["genres", "countries", "languages", "decades"])
}

/// Parses an etag. Adds the quotes, which a shell may have removed. Rejects an empty etag, because the write would be
/// unconditional.
pub(super) fn etag(text: &str) -> Result<String, String> {
    match text {
        "" => Err("expected the etag that `get` prints".to_owned()),
        _ if text.starts_with('"') => Ok(text.to_owned()),
        _ => Ok(format!("\"{text}\"")),
    }
}

/// Parses a duration with its unit.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("`{text}` is not a duration; expected a number and a unit, such as 500ms, 10s or 2m");
    humantime::parse_duration(text).ok().filter(|time| !time.is_zero()).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_value_is_rejected_with_the_expected_form() {
        assert_eq!((number::<u32>("1999"), rating("-1")), (Ok(1999), Ok(-1.0)));
        for text in ["soon", "-1", "", "1.5", "4294967296"] {
            assert_eq!(number::<u32>(text), Err("expected a whole number, 0 or more".to_owned()), "{text}");
        }
        assert_eq!((decade("1950"), max_hits("0"), max_hits("1000")), (Ok(1950), Ok(0), Ok(1000)));
        let expected = "expected the first year of a decade, such as 1950".to_owned();
        assert_eq!(decade("1950s"), Err(expected));
        for text in ["1001", "5000", "-1", "all"] {
            let expected = "expected a whole number from 0 to 1000".to_owned();
            assert_eq!(max_hits(text), Err(expected), "{text}");
        }
        for text in ["good", "NaN", "inf", ""] {
            assert_eq!(rating(text), Err("expected a number, such as 7.5".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_word_is_trimmed() {
        assert_eq!((word(" War"), word("Film noir ")), (Ok("War".to_owned()), Ok("Film noir".to_owned())));
        assert!(word(" ").is_err());
    }

    #[test]
    fn an_etag_gets_its_quotes_back_and_is_never_empty() {
        assert_eq!(etag("\"cff7\""), Ok("\"cff7\"".to_owned()));
        assert_eq!(etag("cff7"), Ok("\"cff7\"".to_owned()));
        assert!(etag("").is_err());
    }
}
