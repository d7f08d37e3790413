//! The fields of a movie that are not in its frame: fields 5 and up of `movie.catalog.v1.Movie`, encoded.
//!
//! The bytes are the standard protobuf encoding. The table of the fields and their types is in
//! [`movie::field`](crate::movie::field).

use std::borrow::Cow;
use std::iter;

use bytes::BufMut;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};

use crate::catalogue::encoding::frame::RATING;
use crate::movie::{Field, Rule, Timestamp, Value, Values};

/// The number of the first field that is not in a frame.
const FIRST_NUMBER: u32 = 5;

// The fields of `google.protobuf.Timestamp`.
const SECONDS: u32 = 1;
const NANOS: u32 = 2;

/// A rating of exactly 0, which a `MovieData` frame cannot distinguish from no rating.
const RATED_ZERO: [u8; 5] = [RATING, 0, 0, 0, 0];

/// Encoded details. In a record, they follow the message of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Details<'a>(&'a [u8]);

impl<'a> Details<'a> {
    /// Wraps encoded details of a record or a segment.
    pub(crate) fn from_encoded(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the value of a field that is not in a frame.
    #[must_use]
    pub fn value(self, field: Field) -> Value<'a> {
        match field.rule() {
            Rule::Text { .. } | Rule::Id | Rule::Uri => {
                Value::Text(self.texts(field).last().unwrap_or_default().into())
            }
            Rule::Rating => Value::Rating(self.has_zero_rating().then_some(0.0)),
            Rule::Number { .. } => Value::Number(self.number(field)),
            Rule::List { .. } => Value::List(self.texts(field).map(Cow::Borrowed).collect()),
            Rule::OutputOnly => Value::Time(self.time(field)),
        }
    }

    /// Returns the number in a field; 0 if it is not known.
    #[must_use]
    pub fn number(self, field: Field) -> i64 {
        let number = self.values(field).find_map(|value| match value {
            WireValue::Number(value) => Some(value.cast_signed()),
            WireValue::Bytes(_) => None,
        });
        number.unwrap_or_default()
    }

    /// Returns the texts in a field.
    pub fn texts(self, field: Field) -> impl Iterator<Item = &'a str> {
        self.messages(field).filter_map(|text| str::from_utf8(text).ok())
    }

    /// Returns whether the details contain a rating of 0.
    pub(crate) fn has_zero_rating(self) -> bool {
        self.0.starts_with(&RATED_ZERO)
    }

    /// Returns the time in a field, if it is known.
    pub(crate) fn time(self, field: Field) -> Option<Timestamp> {
        let message = Self(self.messages(field).last()?);
        let mut time = Timestamp::default();
        for (number, value) in message.fields() {
            let WireValue::Number(value) = value else { continue };
            match number {
                SECONDS => time.seconds = value.cast_signed(),
                NANOS => time.nanos = i32::try_from(value).unwrap_or_default(),
                _ => {}
            }
        }
        Some(time)
    }

    fn messages(self, field: Field) -> impl Iterator<Item = &'a [u8]> {
        self.values(field).filter_map(|value| match value {
            WireValue::Bytes(bytes) => Some(bytes),
            WireValue::Number(_) => None,
        })
    }

    /// Returns the values of a field. Fields are in the order of their numbers, so the later ones are not read.
    fn values(self, field: Field) -> impl Iterator<Item = WireValue<'a>> {
        let fields = self.fields().take_while(move |(number, _)| *number <= field.number());
        fields.filter_map(move |(number, value)| (number == field.number()).then_some(value))
    }

    /// Returns the numbers and values of the fields, up to the first malformed one.
    fn fields(self) -> impl Iterator<Item = (u32, WireValue<'a>)> {
        let mut rest = self.0;
        iter::from_fn(move || {
            let key = decode_varint(&mut rest).ok()?;
            let number = u32::try_from(key >> 3).ok()?;
            let length = match key & 7 {
                0 => return Some((number, WireValue::Number(decode_varint(&mut rest).ok()?))),
                1 => 8,
                2 => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (value, next) = rest.split_at_checked(length)?;
            rest = next;
            Some((number, WireValue::Bytes(value)))
        })
    }
}

/// The value of an encoded field.
enum WireValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Reusable buffer for the encoded details of one movie.
#[derive(Debug, Default)]
pub struct DetailsBuffer(Vec<u8>);

impl DetailsBuffer {
    /// Encodes the details of a movie, replacing the previous ones.
    pub fn encode(&mut self, movie: &Values<'_>) -> Details<'_> {
        let Self(bytes) = self;
        bytes.clear();
        if movie.rating() == Some(0.0) {
            bytes.extend_from_slice(&RATED_ZERO);
        }
        for (field, value) in movie.iter().filter(|(field, _)| field.number() >= FIRST_NUMBER) {
            put(field, value, bytes);
        }
        Details(bytes)
    }
}

/// Appends a field to a message in the standard protobuf encoding: nothing if it is not set.
pub(super) fn put(field: Field, value: &Value<'_>, out: &mut Vec<u8>) {
    let number = field.number();
    match value {
        Value::Text(text) if !text.is_empty() => put_bytes(number, text.as_bytes(), out),
        Value::Rating(Some(rating)) => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.put_f32_le(*rating);
        }
        Value::Number(value) => put_number(number, *value, out),
        Value::List(items) => items.iter().for_each(|item| put_bytes(number, item.as_bytes(), out)),
        Value::Time(Some(Timestamp { seconds, nanos })) => {
            let mut message = Vec::new();
            put_number(SECONDS, *seconds, &mut message);
            put_number(NANOS, i64::from(*nanos), &mut message);
            put_bytes(number, &message, out);
        }
        Value::Text(_) | Value::Rating(None) | Value::Time(None) => {}
    }
}

fn put_number(number: u32, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        encode_key(number, WireType::Varint, out);
        // A negative number is the varint of its two's complement in 64 bits.
        encode_varint(value.cast_unsigned(), out);
    }
}

fn put_bytes(number: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}
