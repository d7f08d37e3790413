//! What is known of a movie beyond what its frame has: fields 5 and up of `movie.catalog.v1.Movie`, encoded.

use std::iter;

use crate::catalogue::encoding::frame::{RATING, put_text, put_varint, take_varint};

// Tags, as in `frame`; 0 means a number.
const YEAR: u8 = 5 << 3;
const GENRES: u8 = 6 << 3 | 2;
const RUNTIME: u8 = 7 << 3;
const COUNTRIES: u8 = 8 << 3 | 2;
const LANGUAGES: u8 = 9 << 3 | 2;

/// A rating that is there and 0, which a frame has no room for.
const RATED_ZERO: [u8; 5] = [RATING, 0, 0, 0, 0];

/// Encoded details, as they are in a record after what is in the frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a>(pub &'a [u8]);

/// Details that are not encoded yet. What is 0 or empty is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a, T> {
    /// Whether the rating is there and 0; a frame cannot tell that from none.
    pub is_rated_zero: bool,
    /// The year of the first release.
    pub year: u32,
    /// The genres.
    pub genres: &'a [T],
    /// The running time in minutes.
    pub runtime_minutes: u32,
    /// The countries.
    pub countries: &'a [T],
    /// The languages.
    pub languages: &'a [T],
}

impl<T: AsRef<str>> Facts<'_, T> {
    /// Appends the details to `out`, as any protobuf library writes them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if self.is_rated_zero {
            out.extend_from_slice(&RATED_ZERO);
        }
        put_number(YEAR, self.year, out);
        put_texts(GENRES, self.genres, out);
        put_number(RUNTIME, self.runtime_minutes, out);
        put_texts(COUNTRIES, self.countries, out);
        put_texts(LANGUAGES, self.languages, out);
    }
}

fn put_number(tag: u8, number: u32, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(tag);
        put_varint(number as usize, out);
    }
}

fn put_texts<T: AsRef<str>>(tag: u8, texts: &[T], out: &mut Vec<u8>) {
    for text in texts {
        put_text(tag, text.as_ref(), out);
    }
}

impl<'a> Details<'a> {
    /// Returns the year of the first release; 0 if it is not known.
    #[must_use]
    pub fn year(self) -> u32 {
        self.number(YEAR)
    }

    /// Returns the running time in minutes; 0 if it is not known.
    #[must_use]
    pub fn runtime_minutes(self) -> u32 {
        self.number(RUNTIME)
    }

    /// Returns the genres.
    pub fn genres(self) -> impl Iterator<Item = &'a str> {
        self.texts(GENRES)
    }

    /// Returns the countries.
    pub fn countries(self) -> impl Iterator<Item = &'a str> {
        self.texts(COUNTRIES)
    }

    /// Returns the languages.
    pub fn languages(self) -> impl Iterator<Item = &'a str> {
        self.texts(LANGUAGES)
    }

    /// Returns whether there is a rating, of 0.
    pub(crate) fn are_rated_zero(self) -> bool {
        self.0.starts_with(&RATED_ZERO)
    }

    fn number(self, tag: u8) -> u32 {
        let number = self.fields().find_map(|(other, value)| match value {
            Value::Number(value) if other == usize::from(tag) => u32::try_from(value).ok(),
            Value::Number(_) | Value::Bytes(_) => None,
        });
        number.unwrap_or_default()
    }

    fn texts(self, tag: u8) -> impl Iterator<Item = &'a str> {
        self.fields().filter_map(move |(other, value)| match value {
            Value::Bytes(text) if other == usize::from(tag) => str::from_utf8(text).ok(),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    /// Walks over the fields, tag and value, as far as they are well formed.
    fn fields(self) -> impl Iterator<Item = (usize, Value<'a>)> {
        let mut rest = self.0;
        iter::from_fn(move || {
            let tag = take_varint(&mut rest)?;
            let length = match tag & 7 {
                0 => return Some((tag, Value::Number(take_varint(&mut rest)?))),
                1 => 8,
                2 => take_varint(&mut rest)?,
                5 => 4,
                _ => return None,
            };
            let (value, next) = rest.split_at_checked(length)?;
            rest = next;
            Some((tag, Value::Bytes(value)))
        })
    }
}

/// The value of a field.
enum Value<'a> {
    Number(usize),
    Bytes(&'a [u8]),
}
