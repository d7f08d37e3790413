//! JSON representation of a movie.

use serde::{Serialize, Serializer};

use super::value::Time;
use crate::Movie;
use crate::movie::{SET_BY_SERVICE, Value};

/// Keys that every movie has. The others are omitted if their value is unknown.
const REQUIRED_KEYS: [&str; 2] = ["title", "id"];

/// A movie with the names of its fields as keys.
pub(super) struct MovieJson<'a> {
    movie: &'a Movie,
    /// Whether the fields that the service sets are omitted.
    is_stored: bool,
}

impl<'a> MovieJson<'a> {
    /// All fields of a movie.
    pub(super) fn of(movie: &'a Movie) -> Self {
        Self { movie, is_stored: false }
    }

    /// The fields of a movie in a JSON database.
    pub(super) fn stored(movie: &'a Movie) -> Self {
        Self { movie, is_stored: true }
    }
}

impl Serialize for MovieJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.movie.fields().filter(|(name, value)| {
            let is_shown = !self.is_stored || !SET_BY_SERVICE.contains(name);
            is_shown && (!value.is_empty() || REQUIRED_KEYS.contains(name))
        });
        serializer.collect_map(fields)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Rating(rating) => rating.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::List(list) => list.serialize(serializer),
            Self::Time(time) => Time::of(**time).serialize(serializer),
        }
    }
}
