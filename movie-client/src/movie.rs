//! Movies and filters.

use std::convert::identity;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use movie_proto::MovieData;
use movie_proto::catalog::v1;
use prost_types::Timestamp;

/// Declares the fields of a movie in the order of the contract: name, type, and the variant of [`Field`] if a caller can
/// update the field. Everything else in this crate that deals with all fields follows from this table.
macro_rules! fields {
    ($($(#[$doc:meta])+ $name:ident: $type:ty $(= $variant:ident)?,)+) => {
        /// A movie. The contract `proto/movie/catalog/v1/catalog.proto` has the constraints of the fields; the service
        /// validates them.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Movie {
            $($(#[$doc])+ pub $name: $type,)+
        }

        /// A field that can be updated.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "see the fields of a movie")]
        pub enum Field {
            $($($variant,)?)+
        }

        impl Field {
            /// Returns the name of the field in the contract.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $($(Self::$variant => stringify!($name),)?)+
                }
            }
        }

        #[cfg(feature = "cli")]
        impl Movie {
            /// Returns the names and the values of all fields.
            pub(crate) fn fields(&self) -> impl Iterator<Item = (&'static str, Value<'_>)> {
                [$((stringify!($name), self.$name.value()),)+].into_iter()
            }

            /// Returns the names and the values of all fields.
            pub(crate) fn fields_mut(&mut self) -> impl Iterator<Item = (&'static str, ValueMut<'_>)> {
                [$((stringify!($name), self.$name.value_mut()),)+].into_iter()
            }

            /// Returns the value of a field.
            pub(crate) fn value_mut(&mut self, field: Field) -> ValueMut<'_> {
                match field {
                    $($(Field::$variant => self.$name.value_mut(),)?)+
                }
            }

            /// Moves the value of a field out of another movie.
            pub(crate) fn take(&mut self, field: Field, from: &mut Self) {
                match field {
                    $($(Field::$variant => self.$name = std::mem::take(&mut from.$name),)?)+
                }
            }
        }

        impl From<v1::Movie> for Movie {
            fn from(movie: v1::Movie) -> Self {
                let v1::Movie { $($name,)+ } = movie;
                Self { $($name: FieldType::from_wire($name),)+ }
            }
        }

        impl From<Movie> for v1::Movie {
            /// Omits the times, which the service sets. A number that overflows the contract's type becomes its largest
            /// value, which the service rejects.
            fn from(movie: Movie) -> Self {
                let Movie { $($name,)+ } = movie;
                Self { $($name: FieldType::into_wire($name),)+ }
            }
        }
    };
}

fields! {
    /// The title.
    title: String = Title,
    /// Rating from 0 to 10.
    rating: Option<f32> = Rating,
    /// The director: several names separated by ", "; empty if not known.
    director: String = Director,
    /// Id, unique in the catalogue.
    id: String,
    /// Year of the first release.
    year: Option<u32> = Year,
    /// The genres, such as "Drama".
    genres: Vec<String> = Genres,
    /// Running time in minutes.
    runtime_minutes: Option<u32> = RuntimeMinutes,
    /// The countries where it was made.
    countries: Vec<String> = Countries,
    /// The languages spoken.
    languages: Vec<String> = Languages,
    /// Time of creation, set by the service. `None` if the store does not record it.
    create_time: Option<SystemTime>,
    /// Time of the last update, set by the service. `None` if the store does not record it.
    update_time: Option<SystemTime>,
    /// Etag of this version of the movie (AIP-154). A write with an etag succeeds only if the stored movie has the
    /// same etag.
    etag: String,
    /// The title in the original language. Empty if it is the title, or not known.
    original_title: String = OriginalTitle,
    /// The names of the actors.
    cast: Vec<String> = Cast,
    /// The names of the writers.
    writers: Vec<String> = Writers,
    /// Number of votes or reviews behind the rating.
    rating_count: Option<u64> = RatingCount,
    /// A summary of the plot.
    overview: String = Overview,
    /// The `https` address of a poster.
    poster_uri: String = PosterUri,
}

/// Fields that the service sets. They are part of no JSON database.
#[cfg(feature = "cli")]
pub(crate) const SET_BY_SERVICE: [&str; 3] = ["create_time", "update_time", "etag"];

/// Value of a field. Empty text, an empty list and `None` stand for an unknown value.
#[cfg(feature = "cli")]
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Rating(&'a Option<f32>),
    Number(&'a Option<u32>),
    Count(&'a Option<u64>),
    List(&'a [String]),
    Time(&'a Option<SystemTime>),
}

/// Value of a field that can be changed.
#[cfg(feature = "cli")]
pub(crate) enum ValueMut<'a> {
    Text(&'a mut String),
    Rating(&'a mut Option<f32>),
    Number(&'a mut Option<u32>),
    Count(&'a mut Option<u64>),
    List(&'a mut Vec<String>),
    #[expect(dead_code, reason = "only the service sets times")]
    Time(&'a mut Option<SystemTime>),
}

/// Type of a field: its conversion from and to its type in the contract, and its variant of [`Value`].
trait FieldType {
    type Wire;

    fn from_wire(wire: Self::Wire) -> Self;
    fn into_wire(self) -> Self::Wire;
    #[cfg(feature = "cli")]
    fn value(&self) -> Value<'_>;
    #[cfg(feature = "cli")]
    fn value_mut(&mut self) -> ValueMut<'_>;
}

/// Implements [`FieldType`] for a type.
macro_rules! field_type {
    ($variant:ident: $type:ty, from $wire:ty: $from_wire:path, to: $into_wire:path) => {
        impl FieldType for $type {
            type Wire = $wire;

            fn from_wire(wire: $wire) -> Self {
                $from_wire(wire)
            }

            fn into_wire(self) -> $wire {
                $into_wire(self)
            }

            #[cfg(feature = "cli")]
            fn value(&self) -> Value<'_> {
                Value::$variant(self)
            }

            #[cfg(feature = "cli")]
            fn value_mut(&mut self) -> ValueMut<'_> {
                ValueMut::$variant(self)
            }
        }
    };
}

field_type!(Text: String, from String: identity, to: identity);
field_type!(Rating: Option<f32>, from Option<f32>: identity, to: identity);
field_type!(Number: Option<u32>, from i32: positive, to: number);
field_type!(Count: Option<u64>, from i64: positive_count, to: count);
field_type!(List: Vec<String>, from Vec<String>: identity, to: identity);
field_type!(Time: Option<SystemTime>, from Option<Timestamp>: time, to: omitted);

/// Filter of a list. A movie must match all fields that are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Earliest year, inclusive.
    pub year_from: Option<u32>,
    /// Latest year, inclusive.
    pub year_to: Option<u32>,
    /// Lowest rating, inclusive.
    pub rating_min: Option<f32>,
    /// The movie has any of these genres. All strings are compared without regard to case and accents.
    pub genres: Vec<String>,
    /// The movie was made in any of these countries.
    pub countries: Vec<String>,
    /// The movie has any of these languages.
    pub languages: Vec<String>,
    /// The director, or one of several. Empty for any director.
    pub director: String,
    /// The movie has all of these people in its cast.
    pub cast: Vec<String>,
    /// The start of the title. Empty for any title.
    pub title_prefix: String,
    /// The movie is of any of these decades, each given as its first year, such as 1990.
    pub decades: Vec<u32>,
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
            cast: filter.cast,
            title_prefix: filter.title_prefix,
            decades: filter.decades.into_iter().map(|decade| number(Some(decade))).collect(),
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

fn positive_count(count: i64) -> Option<u64> {
    u64::try_from(count).ok().filter(|count| *count > 0)
}

fn count(count: Option<u64>) -> i64 {
    count.map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX))
}

/// The contract has signed types only, but its counts and revisions are never negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn time(time: Option<Timestamp>) -> Option<SystemTime> {
    let time = time?;
    let nanos = u32::try_from(time.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let seconds = u64::try_from(time.seconds).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// A time that the service sets is not sent.
fn omitted(_: Option<SystemTime>) -> Option<Timestamp> {
    None
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn the_fields_have_the_names_and_the_order_of_the_contract() {
        let contract = FileDescriptorSet::decode(movie_proto::FILE_DESCRIPTOR_SET).unwrap();
        let messages = contract.file.iter().filter(|file| file.package() == "movie.catalog.v1");
        let movie = messages.flat_map(|file| &file.message_type).find(|message| message.name() == "Movie");
        let mut expected: Vec<_> =
            movie.unwrap().field.iter().map(|field| (field.number(), field.name())).collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().map(|(_, name)| name).collect();
        let movie = Movie::default();
        assert_eq!(movie.fields().map(|(name, _)| name).collect::<Vec<_>>(), expected);
        assert!(SET_BY_SERVICE.iter().all(|name| expected.contains(name)));
    }
}
