//! Movies and filters.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use movie_proto::MovieData;
use movie_proto::catalog::v1;

/// A movie. The contract `proto/movie/catalog/v1/catalog.proto` has the constraints of the fields; the service
/// validates them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Movie {
    /// The title.
    pub title: String,
    /// Rating from 0 to 10.
    pub rating: Option<f32>,
    /// The director: several names separated by ", "; empty if not known.
    pub director: String,
    /// Id, unique in the catalogue.
    pub id: String,
    /// Year of the first release.
    pub year: Option<u32>,
    /// The genres, such as "Drama".
    pub genres: Vec<String>,
    /// Running time in minutes.
    pub runtime_minutes: Option<u32>,
    /// The countries where it was made.
    pub countries: Vec<String>,
    /// The languages spoken.
    pub languages: Vec<String>,
    /// Time of creation, set by the service. `None` if the store does not record it.
    pub create_time: Option<SystemTime>,
    /// Time of the last update, set by the service. `None` if the store does not record it.
    pub update_time: Option<SystemTime>,
    /// Etag of this version of the movie (AIP-154). A write with an etag succeeds only if the stored movie has the
    /// same etag.
    pub etag: String,
}

/// A field that can be updated.
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
    /// Returns the name of the field in the contract.
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

/// Filter of a list. A movie must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Earliest year, inclusive.
    pub year_from: Option<u32>,
    /// Latest year, inclusive.
    pub year_to: Option<u32>,
    /// Lowest rating, inclusive.
    pub rating_min: Option<f32>,
    /// The movie has any of these genres. Strings are compared exactly.
    pub genres: Vec<String>,
    /// The movie was made in any of these countries.
    pub countries: Vec<String>,
    /// The movie has any of these languages.
    pub languages: Vec<String>,
    /// The whole field `director`. Empty for any director.
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
    /// Omits the times, which the service sets. A number that overflows the contract's type becomes its largest value,
    /// which the service rejects.
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
    /// In the course's contract, a rating of 0 means no rating.
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

/// In the contract, 0 stands for an unknown number.
fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

fn number(number: Option<u32>) -> i32 {
    number.map_or(0, |number| i32::try_from(number).unwrap_or(i32::MAX))
}

/// The contract has signed types only, but its counts and revisions are never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn time(time: prost_types::Timestamp) -> Option<SystemTime> {
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let seconds = u64::try_from(time.seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}
