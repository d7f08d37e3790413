//! A movie in a JSON database: deserialization and serialization.
//!
//! The keys are the names of the fields in [`movie::field`](crate::movie::field). The rules there also determine the
//! JSON types.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::catalogue::{DetailsBuffer, Draft, MovieView};
use crate::movie::{Field, Rule, Value, Values};
use crate::store::json::mistake::similar_field;
use crate::store::json::window::ReadValue;

/// Maximum number of misspelled keys to warn of.
const MAX_MISSPELLED_KEYS: usize = 20;

/// Reads the movies of the file. Unknown keys are ignored.
#[derive(Default)]
pub(crate) struct MovieReader {
    /// The movies read so far.
    pub(crate) draft: Draft,
    details: DetailsBuffer,
    /// The unknown keys so far that resemble a known one, each with that one.
    pub(super) misspelled: Vec<(String, Field)>,
}

impl ReadValue for MovieReader {
    /// The full draft, if the movie completed it.
    type Output = Option<Draft>;

    fn read<'de, D: Deserializer<'de>>(
        &mut self,
        deserializer: D,
    ) -> Result<Result<Self::Output, String>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl MovieReader {
    /// Adds a misspelled key, once.
    fn add_misspelled(&mut self, misspelled: Option<(String, Field)>) {
        let new = misspelled.filter(|new| !self.misspelled.contains(new));
        self.misspelled.extend(new.filter(|_| self.misspelled.len() < MAX_MISSPELLED_KEYS));
    }

    /// Adds a movie. Fails with all violations of the rules, as one line.
    fn push(&mut self, values: &Values<'_>) -> Result<Option<Draft>, String> {
        if !values.are_valid() {
            let violations =
                values.violations().map(|(field, expected)| format!("`{}`: {expected}", field.name()));
            return Err(violations.collect::<Vec<_>>().join("; "));
        }
        let movie = MovieView::of(values, self.details.encode(values));
        self.draft.push(&movie).map_err(|error| error.to_string())
    }
}

/// Checks and encodes the movie within the visitor: returning its values would move hundreds of bytes for each movie.
impl<'de> Visitor<'de> for &mut MovieReader {
    type Value = Result<Option<Draft>, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a movie: `{...}`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        // The fields that were seen, a bit for each number.
        let (mut values, mut seen) = (Values::default(), 0_u64);
        while let Some(key) = map.next_key()? {
            let field = match key {
                Key::Known(field) => field,
                Key::Unknown(misspelled) => {
                    self.add_misspelled(misspelled);
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let bit = 1 << field.number();
            if seen & bit != 0 {
                return Err(M::Error::duplicate_field(field.name()));
            }
            seen |= bit;
            values.insert(field, map.next_value_seed(ValueSeed(field))?);
        }
        Ok(self.push(&values))
    }
}

/// A key.
enum Key {
    /// An input field.
    Known(Field),
    /// Any other key, which is ignored. If it resembles a known one, its text and that one.
    Unknown(Option<(String, Field)>),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
        let field = Field::from_name(key).filter(|field| field.is_input());
        let misspelled = || similar_field(key).map(|field| (key.to_owned(), field));
        Ok(field.map_or_else(|| Key::Unknown(misspelled()), Key::Known))
    }
}

/// Reads the value of a field.
struct ValueSeed(Field);

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let name = self.0.name();
        match self.0.rule() {
            Rule::Text { .. } | Rule::Uri => deserializer.deserialize_str(TextVisitor(name)).map(Value::Text),
            Rule::Id => deserializer.deserialize_any(IdVisitor(name)).map(Value::Text),
            Rule::Rating => deserializer.deserialize_any(RatingVisitor(name)).map(Some).map(Value::Rating),
            Rule::Number { .. } => deserializer.deserialize_any(NumberVisitor(name)).map(Value::Number),
            Rule::List { .. } => deserializer.deserialize_any(ListVisitor(name)).map(Value::List),
            Rule::OutputOnly => IgnoredAny::deserialize(deserializer).map(|_| Value::Time(None)),
        }
    }
}

/// Reads a string, borrowed unless JSON escapes it. Like the other visitors, holds the key for error messages.
struct TextVisitor(&'static str);

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a string", self.0)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads an id. A whole number, also one written as `603.0`, stands for its decimal text.
struct IdVisitor(&'static str);

/// Largest float up to which every whole number is exactly representable: 2^53.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

impl<'de> Visitor<'de> for IdVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a string or a whole number", self.0)
    }

    fn visit_borrowed_str<E: Error>(self, id: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(id))
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(id.to_owned()))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(id.to_string()))
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(id.to_string()))
    }

    fn visit_f64<E: Error>(self, id: f64) -> Result<Self::Value, E> {
        if id.fract() == 0.0 && id.abs() <= MAX_EXACT_INTEGER {
            // Negative zero has no text of its own.
            return Ok(Cow::Owned(format!("{:.0}", id + 0.0)));
        }
        Err(E::invalid_type(Unexpected::Float(id), &self))
    }
}

/// Returns the id that a value of the key `id` stands for, if it is valid as one.
pub(super) fn id_text(value: serde_json::Value) -> Option<String> {
    value.deserialize_any(IdVisitor(Field::Id.name())).ok().map(Cow::into_owned)
}

/// Reads a rating.
struct RatingVisitor(&'static str);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the contract's rating is a float, and the rule of its bounds follows"
)]
impl Visitor<'_> for RatingVisitor {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a number from 0 to 10", self.0)
    }

    fn visit_f64<E: Error>(self, rating: f64) -> Result<f32, E> {
        Ok(rating as f32)
    }

    fn visit_u64<E: Error>(self, rating: u64) -> Result<f32, E> {
        Ok(rating as f32)
    }

    fn visit_i64<E: Error>(self, rating: i64) -> Result<f32, E> {
        Ok(rating as f32)
    }
}

/// Reads a whole number; null means that it is not known.
struct NumberVisitor(&'static str);

impl Visitor<'_> for NumberVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a whole number, or none", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<i64, E> {
        Ok(0)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        // Above the bounds of every field.
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        // Some programs (pandas, for example) write integers as floats when the column has missing values.
        if number.fract() == 0.0 && number.abs() <= MAX_EXACT_INTEGER {
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within the bounds")]
            return Ok(number as i64);
        }
        Err(E::invalid_type(Unexpected::Float(number), &self))
    }
}

/// Reads a list of strings; null means an empty list.
struct ListVisitor(&'static str);

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a list of strings", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::with_capacity(list.size_hint().unwrap_or(4));
        while let Some(Item(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// A string in a list, borrowed unless JSON escapes it.
#[derive(serde::Deserialize)]
struct Item<'a>(#[serde(borrow)] Cow<'a, str>);

/// A movie to serialize. Fields that are not set have no key.
pub(crate) struct SerializedMovie<'a>(pub(crate) MovieView<'a>);

impl Serialize for SerializedMovie<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in Field::inputs() {
            match self.0.value(field) {
                value if !value.is_set() => {}
                Value::Text(text) => map.serialize_entry(field.name(), &text)?,
                Value::Rating(rating) => map.serialize_entry(field.name(), &rating)?,
                Value::Number(number) => map.serialize_entry(field.name(), &number)?,
                Value::List(items) => map.serialize_entry(field.name(), &items)?,
                // Not an input.
                Value::Time(_) => {}
            }
        }
        map.end()
    }
}
