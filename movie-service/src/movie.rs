//! A movie with every field that is known of it, and the rules of what may be written.

use std::collections::HashSet;
use std::fmt;
use std::num::TryFromIntError;
use std::ops::RangeInclusive;
use std::time::SystemTime;

/// The most characters of an id.
pub const MAX_ID_CHARS: usize = 128;

/// The most characters of a title, and of a director.
const MAX_TEXT_CHARS: usize = 1_000;

/// The most genres, countries or languages of a movie, and the most characters of one.
const MAX_WORDS: usize = 50;
const MAX_WORD_CHARS: usize = 100;

/// The years that a movie can be of, if its year is known.
pub const YEARS: RangeInclusive<u32> = 1870..=2200;

/// How many minutes a movie can take, if that is known.
pub const RUNTIMES: RangeInclusive<u32> = 1..=100_000;

/// A movie. What is 0, empty or `None` is not known. May be invalid; see [`violations`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movie {
    /// The title.
    pub title: String,
    /// The rating from 0 to 10.
    pub rating: Option<f32>,
    /// The director.
    pub director: String,
    /// The id, unique in a catalogue.
    pub id: String,
    /// The year of the first release.
    pub year: i32,
    /// The genres.
    pub genres: Vec<String>,
    /// The running time in minutes.
    pub runtime_minutes: i32,
    /// The countries.
    pub countries: Vec<String>,
    /// The languages.
    pub languages: Vec<String>,
    /// When the movie was added to its store, which sets it.
    pub create_time: Option<Time>,
    /// When it was changed last; the store sets it.
    pub update_time: Option<Time>,
}

impl Movie {
    /// Returns the movie without its times.
    #[must_use]
    pub fn without_times(self) -> Self {
        Self { create_time: None, update_time: None, ..self }
    }
}

/// How many changes led to a state of the catalogue. Each change adds one.
///
/// The same number can stand for different states in different histories, as after a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Returns the revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Returns the number as SQL and protobuf have it. Numbers beyond [`i64::MAX`] do not occur.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Returns the revision that is this many changes later.
    #[must_use]
    pub const fn plus(self, changes: u64) -> Self {
        Self(self.0.saturating_add(changes))
    }

    /// Returns the revision that is this many changes earlier, but no earlier than the first.
    #[must_use]
    pub const fn minus(self, changes: u64) -> Self {
        Self(self.0.saturating_sub(changes))
    }

    /// Returns the number of changes since an earlier revision; `None` if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

/// Fails for negative numbers.
impl TryFrom<i64> for Revision {
    type Error = TryFromIntError;

    fn try_from(number: i64) -> Result<Self, TryFromIntError> {
        u64::try_from(number).map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in UTC since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds beyond them, from 0 to 999,999,999.
    pub nanos: i32,
}

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().cast_signed(), nanos: since.subsec_nanos().cast_signed() }
    }
}

/// Something is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field in the request, such as `movie.title`.
    pub field: String,
    /// What was expected.
    pub description: String,
}

impl Violation {
    /// Says what was expected of a field.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// Returns all that is wrong with a movie that is to be written; `path` is that of the movie in the request.
#[must_use]
pub fn violations(movie: &Movie, path: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |is_wrong: bool, field: &str, expected: String| {
        if is_wrong {
            found.push(Violation::new(format!("{path}.{field}"), format!("expected {expected}")));
        }
    };
    let Movie { title, rating, director, id, year, genres, runtime_minutes, countries, languages, .. } =
        movie;
    wrong(
        title.is_empty() || is_longer(title, MAX_TEXT_CHARS),
        "title",
        format!("1 to {MAX_TEXT_CHARS} characters"),
    );
    let is_rating = |rating: f32| (0.0..=10.0).contains(&rating);
    wrong(rating.is_some_and(|rating| !is_rating(rating)), "rating", "a number from 0 to 10, or none".into());
    wrong(is_longer(director, MAX_TEXT_CHARS), "director", format!("at most {MAX_TEXT_CHARS} characters"));
    wrong(!is_id(id), "id", ID.to_string());
    for (number, within, field) in [(year, YEARS, "year"), (runtime_minutes, RUNTIMES, "runtime_minutes")] {
        let fits = *number == 0 || u32::try_from(*number).is_ok_and(|number| within.contains(&number));
        wrong(!fits, field, format!("{} to {}, or 0 if not known", within.start(), within.end()));
    }
    for (words, field) in [(genres, "genres"), (countries, "countries"), (languages, "languages")] {
        let mut seen = HashSet::new();
        let is_word = |word: &String| !word.is_empty() && !is_longer(word, MAX_WORD_CHARS);
        let fit = words.len() <= MAX_WORDS && words.iter().all(|word| is_word(word) && seen.insert(word));
        wrong(
            !fit,
            field,
            format!("at most {MAX_WORDS} words of 1 to {MAX_WORD_CHARS} characters, each once"),
        );
    }
    found
}

/// What an id has to be.
pub const ID: &str = "1 to 128 characters, none of them a control character";

/// Returns whether a movie can have this id.
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.is_empty() && !is_longer(id, MAX_ID_CHARS) && !id.chars().any(char::is_control)
}

/// Returns whether a text has more than `characters` characters, without counting all of them.
#[must_use]
pub fn is_longer(text: &str, characters: usize) -> bool {
    text.len() > characters && text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creed() -> Movie {
        Movie { id: "7".into(), title: "Creed".into(), ..Movie::default() }
    }

    fn wrong_fields(movie: &Movie) -> Vec<String> {
        violations(movie, "movie").into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_movie_needs_an_id_and_a_title_and_nothing_else() {
        assert!(wrong_fields(&creed()).is_empty());
        assert_eq!(wrong_fields(&Movie::default()), ["movie.title", "movie.id"]);
    }

    #[test]
    fn every_field_that_is_wrong_is_named_at_once() {
        let movie = Movie {
            title: "é".repeat(1_001),
            rating: Some(f32::NAN),
            director: "x".repeat(1_001),
            id: "a\nb".into(),
            year: 1800,
            genres: vec!["Drama".into(), "Drama".into()],
            runtime_minutes: -1,
            countries: vec![String::new()],
            languages: vec!["x".repeat(101)],
            ..Movie::default()
        };
        let fields = [
            "title",
            "rating",
            "director",
            "id",
            "year",
            "runtime_minutes",
            "genres",
            "countries",
            "languages",
        ];
        assert_eq!(wrong_fields(&movie), fields.map(|field| format!("movie.{field}")));
    }

    #[test]
    fn revisions_count_changes_and_are_never_negative() {
        let [three, five] = [3, 5].map(Revision::new);
        assert_eq!((three.plus(2), five.minus(2), three.minus(9)), (five, three, Revision::default()));
        assert_eq!((five.since(three), three.since(five)), (Some(2), None));
        assert_eq!(
            (Revision::try_from(5), Revision::try_from(-1).is_err(), five.to_i64()),
            (Ok(five), true, 5)
        );
    }

    #[test]
    fn the_bounds_themselves_are_within() {
        let movie = Movie {
            title: "é".repeat(1_000),
            rating: Some(10.0),
            director: "x".repeat(1_000),
            id: "x".repeat(128),
            year: 2200,
            runtime_minutes: 100_000,
            genres: (0..50).map(|number| number.to_string()).collect(),
            ..Movie::default()
        };
        assert!(wrong_fields(&movie).is_empty(), "{:?}", violations(&movie, "movie"));
    }
}
