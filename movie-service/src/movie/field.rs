//! The table of the fields of a movie.
//!
//! Code that handles all fields alike reads this table: validation, update masks, the encoding of records, and the
//! keys of JSON databases. It is a compile error if a field of [`Movie`] is missing here, or if `servicer/convert.rs`
//! omits a field of the wire type.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use smallvec::SmallVec;

use crate::movie::{Movie, MovieId, Timestamp, uri};

/// Maximum number of characters of an item in a list.
const MAX_ITEM_CHARS: usize = 100;

/// Maximum number of items whose pairs are compared to find a repeated one: for a short list, that is faster than a set.
const MAX_PAIRWISE_ITEMS: usize = 32;

/// Makes [`Field`] from the table: variant, number, name and rule.
macro_rules! fields {
    ($($variant:ident = $number:literal $name:ident: $rule:expr;)*) => {
        /// A field of a movie. Numbers and names are those of `movie.catalog.v1.Movie`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the field of that name")]
        pub enum Field {
            $($variant = $number),*
        }

        impl Field {
            /// All fields, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name)),*
                }
            }

            /// Returns the field with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name {
                    $(stringify!($name) => Self::$variant,)*
                    _ => return None,
                })
            }

            /// Returns the rule for the values.
            #[must_use]
            pub const fn rule(self) -> Rule {
                match self {
                    $(Self::$variant => $rule),*
                }
            }

            /// Returns the value in a movie.
            #[must_use]
            pub fn value(self, movie: &Movie) -> Value<'_> {
                match self {
                    $(Self::$variant => movie.$name.to_value()),*
                }
            }

            /// Sets the value in a movie.
            pub fn set(self, movie: &mut Movie, value: Value<'_>) {
                match self {
                    $(Self::$variant => movie.$name.set(value)),*
                }
            }
        }

        impl<'a> From<&'a Movie> for Values<'a> {
            fn from(movie: &'a Movie) -> Self {
                // Without `..`: a field that is missing in the table does not compile.
                let Movie { $($name),* } = movie;
                let mut values = Self::default();
                $(values.insert(Field::$variant, $name.to_value());)*
                values
            }
        }
    };
}

fields! {
    Title = 1 title: Rule::Text { min_chars: 1, max_chars: 1_000 };
    Rating = 2 rating: Rule::Rating;
    Director = 3 director: Rule::Text { min_chars: 0, max_chars: 1_000 };
    Id = 4 id: Rule::Id;
    Year = 5 year: Rule::Number { min: 1_870, max: 2_200 };
    Genres = 6 genres: Rule::List { max_items: 50 };
    RuntimeMinutes = 7 runtime_minutes: Rule::Number { min: 1, max: 100_000 };
    Countries = 8 countries: Rule::List { max_items: 50 };
    Languages = 9 languages: Rule::List { max_items: 50 };
    CreateTime = 10 create_time: Rule::OutputOnly;
    UpdateTime = 11 update_time: Rule::OutputOnly;
    OriginalTitle = 13 original_title: Rule::Text { min_chars: 0, max_chars: 1_000 };
    Cast = 14 cast: Rule::List { max_items: 200 };
    Writers = 15 writers: Rule::List { max_items: 50 };
    RatingCount = 16 rating_count: Rule::Number { min: 1, max: 1_000_000_000_000 };
    Overview = 17 overview: Rule::Text { min_chars: 0, max_chars: 4_000 };
    PosterUri = 18 poster_uri: Rule::Uri;
}

impl Field {
    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Returns the fields that a request, or a JSON database, sets: all but the times.
    pub fn inputs() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|field| field.is_input())
    }

    /// Returns whether a request, or a JSON database, sets the field.
    #[must_use]
    pub const fn is_input(self) -> bool {
        !matches!(self.rule(), Rule::OutputOnly)
    }

    /// Returns whether the value is a list.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self.rule(), Rule::List { .. })
    }

    /// Copies the value from one movie to another.
    pub fn copy(self, from: &Movie, to: &mut Movie) {
        self.set(to, self.value(from));
    }

    /// Returns the path in a request.
    #[must_use]
    pub fn path(self) -> String {
        format!("movie.{}", self.name())
    }
}

/// The values of the fields of a movie that are set, borrowed where possible.
///
/// Loading a JSON database makes one for each movie. Most movies have few of the fields, so only those are held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values<'a> {
    /// In the order of the numbers of the fields.
    set: SmallVec<[(Field, Value<'a>); 8]>,
}

impl<'a> Values<'a> {
    /// Returns the value of a field, if it is set.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&Value<'a>> {
        self.iter().find_map(|(other, value)| (other == field).then_some(value))
    }

    /// Adds the value of a field; ignores a value that is not set. The field must not have a value yet.
    pub fn insert(&mut self, field: Field, value: Value<'a>) {
        debug_assert!(self.get(field).is_none(), "{field:?} has a value");
        if value.is_set() {
            let is_later = |(other, _): &&(Field, Value<'_>)| other.number() > field.number();
            let later = self.set.iter().rev().take_while(is_later).count();
            self.set.insert(self.set.len() - later, (field, value));
        }
    }

    /// Returns the text of a field; empty if it is not set, or if its values are not texts.
    #[must_use]
    pub fn text(&self, field: Field) -> &str {
        if let Some(Value::Text(text)) = self.get(field) { text } else { "" }
    }

    /// Returns the rating.
    #[must_use]
    pub fn rating(&self) -> Option<f32> {
        if let Some(Value::Rating(rating)) = self.get(Field::Rating) { *rating } else { None }
    }

    /// Returns the fields that are set with their values, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Field, &Value<'a>)> {
        self.set.iter().map(|(field, value)| (*field, value))
    }

    /// Returns whether all values are valid, and none is missing. Faster than [`Self::violations`].
    #[must_use]
    pub fn are_valid(&self) -> bool {
        let is_required_set = |field: &Field| !field.rule().is_required() || self.get(*field).is_some();
        self.iter().all(|(field, value)| field.rule().allows(value)) && Field::ALL.iter().all(is_required_set)
    }

    /// Returns the fields with invalid or missing values, each with the expected value.
    pub fn violations(&self) -> impl Iterator<Item = (Field, String)> {
        let is_invalid = |field: &Field| match self.get(*field) {
            Some(value) => !field.rule().allows(value),
            None => field.rule().is_required(),
        };
        let invalid = Field::ALL.iter().copied().filter(is_invalid);
        invalid.map(|field| (field, format!("expected {}", field.rule())))
    }
}

/// The type of a field and the constraints on its values.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// A text, bounded in characters.
    Text {
        /// Minimum number of characters: 0 or 1.
        min_chars: usize,
        /// Maximum number of characters.
        max_chars: usize,
    },
    /// An optional rating from 0 to 10.
    Rating,
    /// A [`MovieId`].
    Id,
    /// A whole number within bounds, or 0 if it is not known.
    Number {
        /// The lowest value.
        min: i64,
        /// The highest value.
        max: i64,
    },
    /// A list of distinct texts.
    List {
        /// Maximum number of texts.
        max_items: usize,
    },
    /// An absolute `https` URI with a host and without user information, or empty.
    Uri,
    /// A time that the store sets.
    OutputOnly,
}

impl Rule {
    /// Returns whether a movie is invalid if the field is not set.
    const fn is_required(self) -> bool {
        match self {
            Self::Text { min_chars, .. } => min_chars > 0,
            Self::Id => true,
            Self::Rating | Self::Number { .. } | Self::List { .. } | Self::Uri | Self::OutputOnly => false,
        }
    }

    /// Returns whether a value follows the rule.
    #[must_use]
    pub fn allows(self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Text { min_chars, max_chars }, Value::Text(text)) => {
                text.len() >= min_chars && !is_longer(text, max_chars)
            }
            (Self::Rating, Value::Rating(rating)) => {
                rating.is_none_or(|rating| (0.0..=10.0).contains(&rating))
            }
            (Self::Id, Value::Text(id)) => MovieId::is_valid(id),
            (Self::Number { min, max }, Value::Number(number)) => {
                *number == 0 || (min..=max).contains(number)
            }
            (Self::List { max_items }, Value::List(items)) => {
                let is_item = |item: &Cow<'_, str>| !item.is_empty() && !is_longer(item, MAX_ITEM_CHARS);
                items.len() <= max_items && items.iter().all(is_item) && are_distinct(items)
            }
            (Self::Uri, Value::Text(text)) => text.is_empty() || uri::is_valid(text),
            (Self::OutputOnly, Value::Time(_)) => true,
            _ => false,
        }
    }
}

/// Describes the expected values.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { min_chars: 0, max_chars } => write!(f, "at most {max_chars} characters"),
            Self::Text { min_chars, max_chars } => write!(f, "{min_chars} to {max_chars} characters"),
            Self::Rating => f.write_str("a number from 0 to 10, or none"),
            Self::Id => f.write_str(MovieId::RULE),
            Self::Number { min, max } => write!(f, "{min} to {max}, or 0 if not known"),
            Self::List { max_items } => {
                write!(f, "at most {max_items} texts of 1 to {MAX_ITEM_CHARS} characters, each once")
            }
            Self::Uri => f.write_str(uri::RULE),
            Self::OutputOnly => f.write_str("nothing"),
        }
    }
}

/// The value of a field, borrowed where possible.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text; empty if it is not known.
    Text(Cow<'a, str>),
    /// A rating, if there is one.
    Rating(Option<f32>),
    /// A number; 0 if it is not known.
    Number(i64),
    /// A list of texts.
    List(Vec<Cow<'a, str>>),
    /// A time, if it is known.
    Time(Option<Timestamp>),
}

impl Value<'_> {
    /// Returns whether the field has a value.
    #[must_use]
    pub fn is_set(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Rating(rating) => rating.is_some(),
            Self::Number(number) => *number != 0,
            Self::List(items) => !items.is_empty(),
            Self::Time(time) => time.is_some(),
        }
    }
}

/// A type of fields of [`Movie`].
trait FieldType {
    fn to_value(&self) -> Value<'_>;

    /// Sets a value of the same type and ignores others, which do not occur: the rule of a field matches its type.
    fn set(&mut self, value: Value<'_>);
}

impl FieldType for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(Cow::Borrowed(self))
    }

    fn set(&mut self, value: Value<'_>) {
        if let Value::Text(text) = value {
            *self = text.into_owned();
        }
    }
}

impl FieldType for Option<f32> {
    fn to_value(&self) -> Value<'_> {
        Value::Rating(*self)
    }

    fn set(&mut self, value: Value<'_>) {
        if let Value::Rating(rating) = value {
            *self = rating;
        }
    }
}

impl FieldType for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Number(*self)
    }

    fn set(&mut self, value: Value<'_>) {
        if let Value::Number(number) = value {
            *self = number;
        }
    }
}

impl FieldType for Vec<String> {
    fn to_value(&self) -> Value<'_> {
        Value::List(self.iter().map(|item| Cow::Borrowed(item.as_str())).collect())
    }

    fn set(&mut self, value: Value<'_>) {
        if let Value::List(items) = value {
            *self = items.into_iter().map(Cow::into_owned).collect();
        }
    }
}

impl FieldType for Option<Timestamp> {
    fn to_value(&self) -> Value<'_> {
        Value::Time(*self)
    }

    fn set(&mut self, value: Value<'_>) {
        if let Value::Time(time) = value {
            *self = time;
        }
    }
}

/// Returns whether a text has more than `chars` characters, without counting all of them.
#[must_use]
pub fn is_longer(text: &str, chars: usize) -> bool {
    text.len() > chars && text.chars().nth(chars).is_some()
}

/// Returns whether no item is repeated.
fn are_distinct(items: &[Cow<'_, str>]) -> bool {
    if items.len() <= MAX_PAIRWISE_ITEMS {
        return items.iter().enumerate().all(|(index, item)| !items[..index].contains(item));
    }
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| seen.insert(item))
}
