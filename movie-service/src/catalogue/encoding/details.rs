//! The fields of a movie that are not in its frame: fields 5 and up of `movie.catalog.v1.Movie`, encoded.
//!
//! The bytes are the standard protobuf encoding. The table of the fields and their types is in
//! [`movie::field`](crate::movie::field).

use std::borrow::Cow;
use std::iter;

use bytes::BufMut;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::catalogue::encoding::dictionary::{Dictionary, REFERENCE};
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
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    bytes: &'a [u8],
    /// The values of the references in `bytes`; without one, there are none.
    dictionary: Option<&'a Dictionary>,
}

/// Compares the fields: references are equal to their values.
impl PartialEq for Details<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.fields().eq(other.fields())
    }
}

impl<'a> Details<'a> {
    /// Wraps encoded details of a record.
    pub(crate) fn from_encoded(bytes: &'a [u8]) -> Self {
        Self { bytes, dictionary: None }
    }

    /// Wraps encoded details of a segment, whose references are to `dictionary`.
    pub(crate) fn with_references(bytes: &'a [u8], dictionary: &'a Dictionary) -> Self {
        Self { bytes, dictionary: Some(dictionary) }
    }

    /// Returns whether no field is set.
    pub(crate) fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether any field is set, except for the rating and the times, which a store sets.
    pub(crate) fn has_input_fields(self) -> bool {
        let is_input = |number| Field::inputs().any(|field| field.number() == number);
        self.fields().any(|(number, _)| number >= FIRST_NUMBER && is_input(number))
    }

    /// Reads some of the memory that the details are in, and returns what it read.
    pub(crate) fn prefetch(self) -> u8 {
        let of_dictionary = self.dictionary.map_or(0, Dictionary::prefetch);
        self.bytes.first().map_or(0, |first| first.wrapping_add(of_dictionary))
    }

    /// Returns the size without references, in bytes.
    pub(crate) fn len(self) -> usize {
        if self.dictionary.is_none() {
            return self.bytes.len();
        }
        let len = |StoredField { number, value, bytes, has_length }: StoredField<'_>| match value {
            WireValue::Bytes(value) if has_length => {
                key_len(number) + encoded_len_varint(value.len() as u64) + value.len()
            }
            WireValue::Bytes(_) | WireValue::Number(_) => bytes.len(),
        };
        self.stored().map(len).sum()
    }

    /// Appends the details without references: the standard protobuf encoding.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        if self.dictionary.is_none() {
            out.extend_from_slice(self.bytes);
            return;
        }
        self.put_with_references(|_| None, out);
    }

    /// Appends the details with references to the values that `number_of` returns a number of.
    pub(crate) fn put_with_references(self, number_of: impl Fn(&[u8]) -> Option<usize>, out: &mut Vec<u8>) {
        for StoredField { number, value, bytes, has_length } in self.stored() {
            match value {
                WireValue::Bytes(value) if has_length => match number_of(value) {
                    Some(reference) => {
                        encode_varint(u64::from(number) << 3 | REFERENCE, out);
                        encode_varint(reference as u64, out);
                    }
                    None => put_bytes(number, value, out),
                },
                WireValue::Bytes(_) | WireValue::Number(_) => out.extend_from_slice(bytes),
            }
        }
    }

    /// Returns the values that are texts or messages.
    pub(super) fn values_with_lengths(self) -> impl Iterator<Item = &'a [u8]> {
        self.stored().filter(|field| field.has_length).filter_map(|field| match field.value {
            WireValue::Bytes(value) => Some(value),
            WireValue::Number(_) => None,
        })
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
        self.bytes.starts_with(&RATED_ZERO)
    }

    /// Returns the time in a field, if it is known.
    pub(crate) fn time(self, field: Field) -> Option<Timestamp> {
        let message = Self::from_encoded(self.messages(field).last()?);
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

    /// Returns whether the bytes are exactly the encoding of the values in them, beside a frame with or without a rating.
    pub(crate) fn is_canonical(self, has_rating: bool) -> bool {
        let bytes = self.bytes;
        let rest = if has_rating { bytes } else { bytes.strip_prefix(&RATED_ZERO).unwrap_or(bytes) };
        let mut later = Field::ALL.iter().filter(|field| field.number() >= FIRST_NUMBER);
        let (mut length, mut last) = (0, None);
        for (number, value) in Self::from_encoded(rest).fields() {
            let is_next_item = last.is_some_and(|last: Field| last.number() == number && last.is_list());
            if !is_next_item {
                last = later.find(|field| field.number() == number).copied();
            }
            let Some(field) = last else { return false };
            let is_valid = match (field.rule(), &value) {
                (Rule::Number { .. }, WireValue::Number(value)) => *value != 0,
                (Rule::List { .. }, WireValue::Bytes(text)) => str::from_utf8(text).is_ok(),
                (Rule::Text { .. } | Rule::Uri, WireValue::Bytes(text)) => {
                    !text.is_empty() && str::from_utf8(text).is_ok()
                }
                (Rule::OutputOnly, WireValue::Bytes(time)) => Self::from_encoded(time).is_canonical_time(),
                _ => false,
            };
            if !is_valid {
                return false;
            }
            length += value.encoded_len(number);
        }
        // Otherwise, a field is malformed, or a varint has more bytes than it needs.
        length == rest.len()
    }

    fn is_canonical_time(self) -> bool {
        let (mut length, mut last) = (0, 0);
        for (number, value) in self.fields() {
            let is_valid = match value {
                WireValue::Number(value) if number == SECONDS => value != 0,
                WireValue::Number(value) if number == NANOS => value != 0 && i32::try_from(value).is_ok(),
                WireValue::Number(_) | WireValue::Bytes(_) => false,
            };
            if !is_valid || number <= last {
                return false;
            }
            last = number;
            length += value.encoded_len(number);
        }
        length == self.bytes.len()
    }

    /// Returns the numbers and values of the fields, up to the first malformed one.
    fn fields(self) -> impl Iterator<Item = (u32, WireValue<'a>)> {
        self.stored().map(|StoredField { number, value, .. }| (number, value))
    }

    fn stored(self) -> impl Iterator<Item = StoredField<'a>> {
        let mut rest = self.bytes;
        iter::from_fn(move || {
            let all = rest;
            // An error of `decode_varint` is an allocation.
            if all.is_empty() {
                return None;
            }
            let key = decode_varint(&mut rest).ok()?;
            let number = u32::try_from(key >> 3).ok()?;
            let value = match key & 7 {
                0 => WireValue::Number(decode_varint(&mut rest).ok()?),
                1 => WireValue::Bytes(rest.split_off(..8)?),
                2 => {
                    let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                    WireValue::Bytes(rest.split_off(..length)?)
                }
                5 => WireValue::Bytes(rest.split_off(..4)?),
                REFERENCE => {
                    let reference = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                    WireValue::Bytes(self.dictionary?.get(reference)?)
                }
                _ => return None,
            };
            let bytes = &all[..all.len() - rest.len()];
            Some(StoredField { number, value, bytes, has_length: matches!(key & 7, 2 | REFERENCE) })
        })
    }
}

/// A field as it is stored.
struct StoredField<'a> {
    number: u32,
    value: WireValue<'a>,
    bytes: &'a [u8],
    /// Whether the value is a text or a message, or a reference to one.
    has_length: bool,
}

/// The value of an encoded field.
#[derive(PartialEq)]
enum WireValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl WireValue<'_> {
    /// Returns the size of the field with its key, in bytes, if its varints are as short as possible.
    fn encoded_len(&self, number: u32) -> usize {
        let value = match self {
            Self::Number(value) => encoded_len_varint(*value),
            Self::Bytes(bytes) => encoded_len_varint(bytes.len() as u64) + bytes.len(),
        };
        key_len(number) + value
    }
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
        Details::from_encoded(bytes)
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
