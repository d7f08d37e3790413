//! A movie with all its fields, and the rules for its values.
//!
//! * [`Movie`] — the fields as received, possibly invalid; [`ValidMovie`] — a movie that follows the rules;
//! * [`field`] — the table of the fields: names, numbers and rules;
//! * [`MovieId`], [`Revision`], [`Timestamp`], [`Violation`].

pub mod field;
mod id;
mod revision;
mod uri;

use std::fmt;
use std::ops::Deref;
use std::time::SystemTime;

pub use self::field::{Field, Rule, Value, Values, is_longer};
pub use self::id::{MAX_ID_CHARS, MovieId};
pub use self::revision::Revision;

/// A movie. A field that is 0, empty or `None` is not known.
///
/// Holds the fields of a request, a file or a row. They may break the rules, and the id may be missing. Stores write
/// only [`ValidMovie`]s.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movie {
    /// The title.
    pub title: String,
    /// The rating from 0 to 10.
    pub rating: Option<f32>,
    /// The director.
    pub director: String,
    /// The id, unique in a catalogue. Plain text, because it may be missing or invalid; see [`ValidMovie::id`].
    pub id: String,
    /// The year of the first release.
    pub year: i64,
    /// The genres.
    pub genres: Vec<String>,
    /// The running time in minutes.
    pub runtime_minutes: i64,
    /// The countries.
    pub countries: Vec<String>,
    /// The languages.
    pub languages: Vec<String>,
    /// When the movie was added to the store. The store sets it.
    pub create_time: Option<Timestamp>,
    /// When the movie was last changed. The store sets it.
    pub update_time: Option<Timestamp>,
    /// The title in the original language.
    pub original_title: String,
    /// The names of the actors.
    pub cast: Vec<String>,
    /// The names of the writers.
    pub writers: Vec<String>,
    /// The number of votes or reviews behind the rating.
    pub rating_count: i64,
    /// A summary of the plot.
    pub overview: String,
    /// The address of a poster.
    pub poster_uri: String,
}

impl Movie {
    /// Returns the movie without its times.
    #[must_use]
    pub fn without_times(self) -> Self {
        Self { create_time: None, update_time: None, ..self }
    }
}

/// A movie that follows the rules of all its fields. The only way to make one is to validate a [`Movie`].
#[derive(Clone, Debug, PartialEq)]
pub struct ValidMovie(Movie);

impl ValidMovie {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> MovieId {
        MovieId::of_valid(&self.0.id)
    }

    /// Returns the movie with these times.
    #[must_use]
    pub fn with_times(self, create_time: Option<Timestamp>, update_time: Option<Timestamp>) -> Self {
        Self(Movie { create_time, update_time, ..self.0 })
    }
}

/// Fails with all violations; the paths of their fields begin with `movie.`.
impl TryFrom<Movie> for ValidMovie {
    type Error = Vec<Violation>;

    fn try_from(movie: Movie) -> Result<Self, Vec<Violation>> {
        let violations = violations(&movie);
        if violations.is_empty() { Ok(Self(movie)) } else { Err(violations) }
    }
}

impl Deref for ValidMovie {
    type Target = Movie;

    fn deref(&self) -> &Movie {
        &self.0
    }
}

/// A UTC timestamp, relative to the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds within the second, from 0 to 999,999,999.
    pub nanos: i32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().cast_signed(), nanos: since.subsec_nanos().cast_signed() }
    }
}

/// A field with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field in the request, such as `movie.title`.
    pub field: String,
    /// The expected value.
    pub description: String,
}

impl Violation {
    /// Returns a violation: the path of a field, and the expected value.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }

    /// Returns violations as one line.
    #[must_use]
    pub fn join(violations: &[Self]) -> String {
        violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// Returns all violations of a movie in a request.
#[must_use]
pub fn violations(movie: &Movie) -> Vec<Violation> {
    violations_of(movie, |_| true)
}

/// Returns the violations of the selected fields of a movie in a request.
#[must_use]
pub fn violations_of(movie: &Movie, is_selected: impl Fn(Field) -> bool) -> Vec<Violation> {
    let values = Values::from(movie);
    let selected = values.violations().filter(|(field, _)| is_selected(*field));
    selected.map(|(field, expected)| Violation::new(field.path(), expected)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creed() -> Movie {
        Movie { id: "7".into(), title: "Creed".into(), ..Movie::default() }
    }

    fn invalid_fields(movie: Movie) -> Vec<String> {
        let violations = ValidMovie::try_from(movie).err().unwrap_or_default();
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_movie_needs_an_id_and_a_title_and_nothing_else() {
        assert!(invalid_fields(creed()).is_empty());
        assert_eq!(invalid_fields(Movie::default()), ["movie.title", "movie.id"]);
    }

    #[test]
    fn every_invalid_field_is_named_at_once() {
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
            create_time: None,
            update_time: None,
            original_title: "x".repeat(1_001),
            cast: vec!["x".into(); 2],
            writers: vec!["x".repeat(101)],
            rating_count: -1,
            overview: "é".repeat(4_001),
            poster_uri: "http://posters.example/creed.jpg".into(),
        };
        let inputs: Vec<_> = Field::inputs().map(Field::path).collect();
        assert_eq!(invalid_fields(movie), inputs);
    }

    #[test]
    fn the_bounds_themselves_are_valid() {
        let movie = Movie {
            title: "é".repeat(1_000),
            rating: Some(10.0),
            director: "x".repeat(1_000),
            id: "x".repeat(128),
            year: 2200,
            runtime_minutes: 100_000,
            genres: (0..50).map(|number| number.to_string()).collect(),
            original_title: "é".repeat(1_000),
            cast: (0..200).map(|number| format!("{number:é>100}")).collect(),
            writers: (0..50).map(|number| number.to_string()).collect(),
            rating_count: 1_000_000_000_000,
            overview: "é".repeat(4_000),
            poster_uri: format!("https://posters.example/{:x>976}", ""),
            ..Movie::default()
        };
        assert_eq!(movie.poster_uri.len(), 1_000);
        assert_eq!(ValidMovie::try_from(movie.clone()), Ok(ValidMovie(movie)));
    }

    #[test]
    fn each_list_has_its_own_maximum() {
        let items = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        let with = |count| Movie { cast: items(count + 150), writers: items(count), ..creed() };
        assert!(invalid_fields(with(50)).is_empty());
        assert_eq!(invalid_fields(with(51)), ["movie.cast", "movie.writers"]);
    }

    #[test]
    fn a_repeated_item_is_found_in_a_list_of_any_length() {
        for count in [2, 32, 33, 200] {
            let mut cast: Vec<_> = (0..count).map(|number| number.to_string()).collect();
            assert!(invalid_fields(Movie { cast: cast.clone(), ..creed() }).is_empty(), "{count}");
            cast[count - 1] = cast[0].clone();
            assert_eq!(invalid_fields(Movie { cast, ..creed() }), ["movie.cast"], "{count}");
        }
    }

    #[test]
    fn a_field_that_is_copied_is_the_only_one_that_changes() {
        let from = Movie {
            title: "Creed II".into(),
            rating: Some(0.0),
            director: "Steven Caple Jr.".into(),
            id: "8".into(),
            year: 2018,
            genres: vec!["Drama".into()],
            runtime_minutes: 130,
            countries: vec!["USA".into()],
            languages: vec!["English".into()],
            create_time: Some(Timestamp { seconds: 1, nanos: 2 }),
            update_time: Some(Timestamp { seconds: 3, nanos: 4 }),
            original_title: "Creed 2".into(),
            cast: vec!["Tessa Thompson".into()],
            writers: vec!["Juel Taylor".into()],
            rating_count: 7,
            overview: "A fight.".into(),
            poster_uri: "https://posters.example/creed.jpg".into(),
        };
        for field in Field::ALL {
            let mut to = creed();
            field.copy(&from, &mut to);
            for other in Field::ALL {
                let expected = if other == field { &from } else { &creed() };
                assert_eq!(other.value(&to), other.value(expected), "{field:?}");
            }
            assert_eq!(Field::from_name(field.name()), Some(*field));
            assert!(field.value(&from).is_set());
        }
    }
}
