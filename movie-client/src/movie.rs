//! What a movie is, and which movies to list.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use movie_proto::MovieData;
use movie_proto::catalog::v1;

/// A movie. What is right in a field is in the contract, `proto/movie/catalog/v1/catalog.proto`; the service checks it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movie {
    /// The title.
    pub title: String,
    /// The rating from 0 to 10, if there is one.
    pub rating: Option<f32>,
    /// The director: several names separated by ", "; empty if not known.
    pub director: String,
    /// The id, unique in the catalogue.
    pub id: String,
    /// The year of the first release, if known.
    pub year: Option<u32>,
    /// The genres, such as "Drama".
    pub genres: Vec<String>,
    /// The running time in minutes, if known.
    pub runtime_minutes: Option<u32>,
    /// The countries where it was made.
    pub countries: Vec<String>,
    /// The languages spoken.
    pub languages: Vec<String>,
    /// When it was added, if the store knows. The service sets it.
    pub create_time: Option<SystemTime>,
    /// When it was changed last, if the store knows. The service sets it.
    pub update_time: Option<SystemTime>,
    /// Changes whenever the movie does. Sent back with a write, that write is done only if it is still this.
    pub etag: String,
}

/// A field of a movie that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "see the fields of a movie")]
pub enum Field {
    Title,
    Rating,
    Director,
    Year,
    Genres,
    RuntimeMinutes,
    Countries,
    Languages,
}

impl Field {
    /// Returns the name that the contract has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Rating => "rating",
            Self::Director => "director",
            Self::Year => "year",
            Self::Genres => "genres",
            Self::RuntimeMinutes => "runtime_minutes",
            Self::Countries => "countries",
            Self::Languages => "languages",
        }
    }
}

/// Which movies to list: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Of this year or later.
    pub year_from: Option<u32>,
    /// Of this year or earlier.
    pub year_to: Option<u32>,
    /// With at least this rating.
    pub rating_min: Option<f32>,
    /// Of any of these genres. Compared exactly, as are countries, languages and the director.
    pub genres: Vec<String>,
    /// Made in any of these countries.
    pub countries: Vec<String>,
    /// With any of these languages.
    pub languages: Vec<String>,
    /// Of this director: the whole field.
    pub director: String,
}

impl From<v1::Movie> for Movie {
    fn from(movie: v1::Movie) -> Self {
        Self {
            title: movie.title,
            rating: movie.rating,
            director: movie.director,
            id: movie.id,
            year: positive(movie.year),
            genres: movie.genres,
            runtime_minutes: positive(movie.runtime_minutes),
            countries: movie.countries,
            languages: movie.languages,
            create_time: movie.create_time.and_then(time),
            update_time: movie.update_time.and_then(time),
            etag: movie.etag,
        }
    }
}

impl From<Movie> for v1::Movie {
    /// Leaves out the times, which the service sets. A number that the contract has no room for becomes the largest
    /// that it has, which the service refuses.
    fn from(movie: Movie) -> Self {
        Self {
            title: movie.title,
            rating: movie.rating,
            director: movie.director,
            id: movie.id,
            year: number(movie.year),
            genres: movie.genres,
            runtime_minutes: number(movie.runtime_minutes),
            countries: movie.countries,
            languages: movie.languages,
            create_time: None,
            update_time: None,
            etag: movie.etag,
        }
    }
}

impl From<MovieData> for Movie {
    /// The course's contract cannot tell a rating of 0 from none.
    fn from(MovieData { title, rating, director, id }: MovieData) -> Self {
        let rating = (rating.to_bits() != 0).then_some(rating);
        Self { title, rating, director, id, ..Self::default() }
    }
}

impl From<Filter> for v1::MovieFilter {
    fn from(filter: Filter) -> Self {
        Self {
            year_from: number(filter.year_from),
            year_to: number(filter.year_to),
            rating_min: filter.rating_min,
            genres: filter.genres,
            countries: filter.countries,
            languages: filter.languages,
            director: filter.director,
        }
    }
}

/// In the contract 0 stands for a number that is not known.
fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn number(number: Option<u32>) -> i32 {
    number.map_or(0, |number| i32::try_from(number).unwrap_or(i32::MAX))
}

/// The contract has no unsigned numbers, and means none below 0.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn time(time: prost_types::Timestamp) -> Option<SystemTime> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let seconds = u64::try_from(time.seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}
