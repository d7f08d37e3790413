//! A movie in a JSON database.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};

use crate::catalogue::{Facts, Movie};
use crate::movie::{RUNTIMES, YEARS};
use crate::store::json::window::Lend;

/// A movie in the file. Unknown keys are ignored.
#[derive(Deserialize)]
#[serde(expecting = "a movie: `{...}`")]
pub(crate) struct Entry<'a> {
    #[serde(default, borrow, deserialize_with = "title")]
    title: Cow<'a, str>,
    #[serde(default, deserialize_with = "rating")]
    rating: Option<f32>,
    #[serde(default, borrow, deserialize_with = "director")]
    director: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "id")]
    id: Cow<'a, str>,
    #[serde(default, deserialize_with = "year")]
    year: u32,
    #[serde(default, borrow, deserialize_with = "genres")]
    genres: Vec<Cow<'a, str>>,
    #[serde(default, deserialize_with = "runtime_minutes")]
    runtime_minutes: u32,
    #[serde(default, borrow, deserialize_with = "countries")]
    countries: Vec<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "languages")]
    languages: Vec<Cow<'a, str>>,
}

impl Entry<'_> {
    /// Returns the movie, and leaves in `buffer` what is encoded of it.
    pub(crate) fn movie<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Movie<'a> {
        let Self { title, rating, director, id, year, genres, runtime_minutes, countries, languages } = self;
        buffer.clear();
        let facts = Facts {
            is_rated_zero: *rating == Some(0.0),
            year: *year,
            genres,
            runtime_minutes: *runtime_minutes,
            countries,
            languages,
            create_time: None,
            update_time: None,
        };
        facts.encode(buffer);
        Movie { title, rating: rating.unwrap_or_default(), director, id, details: buffer }
    }
}

impl Lend for Entry<'_> {
    type Lent<'a> = Entry<'a>;
}

fn title<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_str(Text("title"))
}

fn director<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_str(Text("director"))
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_any(Id)
}

fn rating<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    deserializer.deserialize_any(Rating).map(Some)
}

fn year<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number { key: "year", within: YEARS })
}

fn runtime_minutes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number { key: "runtime_minutes", within: RUNTIMES })
}

fn genres<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("genres"))
}

fn countries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("countries"))
}

fn languages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("languages"))
}

/// Reads a string, borrowed where JSON needs no unescaping; holds the key, for errors.
struct Text(&'static str);

impl<'de> Visitor<'de> for Text {
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
struct Id;

/// The largest float up to which every whole number is one: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl<'de> Visitor<'de> for Id {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`id` to be a string or a whole number")
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
        if id.fract() == 0.0 && id.abs() <= MAX_EXACT {
            return Ok(Cow::Owned(format!("{id:.0}")));
        }
        Err(E::invalid_type(Unexpected::Float(id), &self))
    }
}

/// Reads a rating.
struct Rating;

impl Visitor<'_> for Rating {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`rating` to be a number from 0 to 10")
    }

    fn visit_f64<E: Error>(self, rating: f64) -> Result<f32, E> {
        if (0.0..=10.0).contains(&rating) {
            #[expect(clippy::cast_possible_truncation, reason = "the contract's rating is a float")]
            Ok(rating as f32)
        } else {
            Err(E::invalid_value(Unexpected::Float(rating), &self))
        }
    }

    fn visit_u64<E: Error>(self, rating: u64) -> Result<f32, E> {
        u8::try_from(rating)
            .ok()
            .filter(|rating| *rating <= 10)
            .map(f32::from)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(rating), &self))
    }

    fn visit_i64<E: Error>(self, rating: i64) -> Result<f32, E> {
        Err(E::invalid_value(Unexpected::Signed(rating), &self))
    }
}

/// Reads a whole number; 0 and null stand for one that is not known.
struct Number {
    key: &'static str,
    within: RangeInclusive<u32>,
}

impl Visitor<'_> for Number {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, within } = self;
        write!(f, "`{key}` to be a whole number from {} to {}, or none", within.start(), within.end())
    }

    fn visit_unit<E: Error>(self) -> Result<u32, E> {
        Ok(0)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        let known = u32::try_from(number).ok();
        let known = known.filter(|number| *number == 0 || self.within.contains(number));
        known.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u32, E> {
        // Some programs (pandas, for example) write integers as floats when the column has missing values.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounds and fraction are checked"
        )]
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return self.visit_u64(number as u64);
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

/// Reads a list of strings; null stands for none.
struct Words(&'static str);

impl<'de> Visitor<'de> for Words {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a list of strings", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut words = Vec::with_capacity(list.size_hint().unwrap_or(4));
        while let Some(Word(word)) = list.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

/// A string in a list, borrowed where JSON needs no unescaping.
#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);
