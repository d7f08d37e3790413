//! The movie fields that are not in its frame: fields 5 and up of `movie.catalog.v1.Movie`, encoded.

use std::iter;

use prost::encoding::{decode_varint, encode_varint};

use crate::catalogue::encoding::frame::{RATING, put_text};
use crate::movie::Time;

// Tags, as in `frame`; 0 means a number.
const YEAR: u8 = 5 << 3;
const GENRES: u8 = 6 << 3 | 2;
const RUNTIME: u8 = 7 << 3;
const COUNTRIES: u8 = 8 << 3 | 2;
const LANGUAGES: u8 = 9 << 3 | 2;
const CREATE_TIME: u8 = 10 << 3 | 2;
const UPDATE_TIME: u8 = 11 << 3 | 2;

// The fields of `google.protobuf.Timestamp`.
const SECONDS: u8 = 1 << 3;
const NANOS: u8 = 2 << 3;

/// A rating of exactly 0, which a `MovieData` frame cannot distinguish from no rating.
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
    /// When the movie was added to its store.
    pub create_time: Option<Time>,
    /// When it was changed last.
    pub update_time: Option<Time>,
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
        put_time(CREATE_TIME, self.create_time, out);
        put_time(UPDATE_TIME, self.update_time, out);
    }
}

fn put_number(tag: u8, number: u32, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(tag);
        encode_varint(u64::from(number), out);
    }
}

fn put_texts<T: AsRef<str>>(tag: u8, texts: &[T], out: &mut Vec<u8>) {
    for text in texts {
        put_text(tag, text.as_ref(), out);
    }
}

fn put_time(tag: u8, time: Option<Time>, out: &mut Vec<u8>) {
    let Some(Time { seconds, nanos }) = time else { return };
    let mut message = Vec::new();
    // A negative number is the varint of its two's complement in 64 bits.
    for (tag, number) in [(SECONDS, seconds), (NANOS, i64::from(nanos))] {
        if number != 0 {
            message.push(tag);
            encode_varint(number.cast_unsigned(), &mut message);
        }
    }
    out.push(tag);
    encode_varint(message.len() as u64, out);
    out.extend_from_slice(&message);
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

    /// Returns when the movie was added to its store.
    #[must_use]
    pub fn create_time(self) -> Option<Time> {
        self.time(CREATE_TIME)
    }

    /// Returns when the movie was changed last.
    #[must_use]
    pub fn update_time(self) -> Option<Time> {
        self.time(UPDATE_TIME)
    }

    /// Returns whether there is a rating, of 0.
    pub(crate) fn are_rated_zero(self) -> bool {
        self.0.starts_with(&RATED_ZERO)
    }

    fn number(self, tag: u8) -> u32 {
        let number = self.fields().find_map(|(other, value)| match value {
            Value::Number(value) if other == u64::from(tag) => u32::try_from(value).ok(),
            Value::Number(_) | Value::Bytes(_) => None,
        });
        number.unwrap_or_default()
    }

    fn time(self, tag: u8) -> Option<Time> {
        let message = self.fields().find_map(|(other, value)| match value {
            Value::Bytes(message) if other == u64::from(tag) => Some(Details(message)),
            Value::Number(_) | Value::Bytes(_) => None,
        })?;
        let mut time = Time::default();
        for (tag, value) in message.fields() {
            let Value::Number(number) = value else { continue };
            match u8::try_from(tag) {
                Ok(SECONDS) => time.seconds = number.cast_signed(),
                Ok(NANOS) => time.nanos = i32::try_from(number).unwrap_or_default(),
                _ => {}
            }
        }
        Some(time)
    }

    fn texts(self, tag: u8) -> impl Iterator<Item = &'a str> {
        self.fields().filter_map(move |(other, value)| match value {
            Value::Bytes(text) if other == u64::from(tag) => str::from_utf8(text).ok(),
            Value::Number(_) | Value::Bytes(_) => None,
        })
    }

    /// Walks over the fields, tag and value, as far as they are well formed.
    fn fields(self) -> impl Iterator<Item = (u64, Value<'a>)> {
        let mut rest = self.0;
        iter::from_fn(move || {
            let tag = decode_varint(&mut rest).ok()?;
            let length = match tag & 7 {
                0 => return Some((tag, Value::Number(decode_varint(&mut rest).ok()?))),
                1 => 8,
                2 => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
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
    Number(u64),
    Bytes(&'a [u8]),
}
