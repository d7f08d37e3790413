//! JSON representation of a movie.

use serde::Serialize;

use super::value::Time;
use crate::Movie;

/// A movie with the keys of a JSON database, followed by the fields that the service sets. Unknown values are
/// omitted.
#[derive(Serialize)]
pub(super) struct MovieJson<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    director: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    genres: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_minutes: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    countries: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    languages: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<Time>,
    #[serde(skip_serializing_if = "str::is_empty")]
    etag: &'a str,
}

impl<'a> MovieJson<'a> {
    /// All fields of a movie.
    pub(super) fn of(movie: &'a Movie) -> Self {
        Self {
            create_time: Time::of(movie.create_time),
            update_time: Time::of(movie.update_time),
            etag: &movie.etag,
            ..Self::stored(movie)
        }
    }

    /// The fields of a movie in a JSON database.
    pub(super) fn stored(movie: &'a Movie) -> Self {
        Self {
            title: &movie.title,
            rating: movie.rating,
            director: &movie.director,
            id: &movie.id,
            year: movie.year,
            genres: &movie.genres,
            runtime_minutes: movie.runtime_minutes,
            countries: &movie.countries,
            languages: &movie.languages,
            create_time: None,
            update_time: None,
            etag: "",
        }
    }
}
