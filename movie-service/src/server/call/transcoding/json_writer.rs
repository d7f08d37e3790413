//! Writes encoded messages as JSON, without decoding them first.
//!
//! The result is the canonical JSON of protobuf (<https://protobuf.dev/programming-guides/json/>): names in camel case,
//! 64-bit integers as strings, and no fields that are unset. A test compares it with the JSON of prost-reflect.

use std::collections::HashMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost::DecodeError;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use prost_types::Timestamp;

/// Spaces of indentation a level.
const INDENT: usize = 2;

/// Writes messages of one type as JSON.
#[derive(Debug)]
pub(crate) struct JsonWriter {
    /// The type itself first, then the types of its fields.
    types: Vec<MessageType>,
}

/// A field of this type cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the type of the field {0} is not supported")]
pub(crate) struct UnsupportedField(String);

/// A message that cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidMessage {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Malformed(&'static str),
}

/// The fields of a message, by their numbers.
#[derive(Debug, Default)]
struct MessageType {
    fields: Vec<Option<Field>>,
}

#[derive(Debug)]
struct Field {
    /// The name in JSON, quoted.
    name: String,
    is_list: bool,
    value: ValueType,
}

#[derive(Debug)]
enum ValueType {
    Bool,
    Int32,
    Sint32,
    Uint32,
    Fixed32,
    Sfixed32,
    Int64,
    Sint64,
    Uint64,
    Fixed64,
    Sfixed64,
    Float,
    Double,
    String,
    Bytes,
    Enum(EnumDescriptor),
    Timestamp,
    /// The position of its type.
    Message(usize),
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Without white space.
    Compact,
    /// A line for each value.
    Pretty,
}

impl JsonWriter {
    /// Returns a writer of messages of this type.
    ///
    /// # Errors
    ///
    /// If the message has a field whose type is not supported: a map, a group, or a well-known type other than `Timestamp`.
    pub(crate) fn new(message: &MessageDescriptor) -> Result<Self, UnsupportedField> {
        let mut types = Types { by_name: HashMap::new(), types: Vec::new() };
        types.add(message)?;
        Ok(Self { types: types.types })
    }

    /// Appends an encoded message as JSON. The elements of a repeated field must follow each other, and any other field be
    /// there at most once, as prost encodes them.
    ///
    /// # Errors
    ///
    /// If the message cannot be decoded.
    pub(crate) fn write(
        &self,
        message: &[u8],
        layout: Layout,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidMessage> {
        Output { types: &self.types, layout, depth: 0, out }.message(0, message)
    }
}

/// Collects the types of messages.
struct Types {
    by_name: HashMap<String, usize>,
    types: Vec<MessageType>,
}

impl Types {
    /// Adds a type and those of its fields, unless they are there; returns its position.
    fn add(&mut self, message: &MessageDescriptor) -> Result<usize, UnsupportedField> {
        if let Some(known) = self.by_name.get(message.full_name()) {
            return Ok(*known);
        }
        let position = self.types.len();
        self.by_name.insert(message.full_name().to_owned(), position);
        self.types.push(MessageType::default());
        let mut fields = Vec::new();
        for field in message.fields() {
            let number = field.number() as usize;
            fields.resize_with(fields.len().max(number + 1), || None);
            let name = serde_json::Value::from(field.json_name()).to_string();
            fields[number] = Some(Field { name, is_list: field.is_list(), value: self.value_type(&field)? });
        }
        self.types[position] = MessageType { fields };
        Ok(position)
    }

    fn value_type(&mut self, field: &FieldDescriptor) -> Result<ValueType, UnsupportedField> {
        let unsupported = || UnsupportedField(field.full_name().to_owned());
        if field.is_map() || field.is_group() {
            return Err(unsupported());
        }
        Ok(match field.kind() {
            Kind::Bool => ValueType::Bool,
            Kind::Int32 => ValueType::Int32,
            Kind::Sint32 => ValueType::Sint32,
            Kind::Uint32 => ValueType::Uint32,
            Kind::Fixed32 => ValueType::Fixed32,
            Kind::Sfixed32 => ValueType::Sfixed32,
            Kind::Int64 => ValueType::Int64,
            Kind::Sint64 => ValueType::Sint64,
            Kind::Uint64 => ValueType::Uint64,
            Kind::Fixed64 => ValueType::Fixed64,
            Kind::Sfixed64 => ValueType::Sfixed64,
            Kind::Float => ValueType::Float,
            Kind::Double => ValueType::Double,
            Kind::String => ValueType::String,
            Kind::Bytes => ValueType::Bytes,
            Kind::Enum(names) => ValueType::Enum(names),
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => ValueType::Timestamp,
                name if name.starts_with("google.protobuf.") && name != "google.protobuf.Empty" => {
                    return Err(unsupported());
                }
                _ => ValueType::Message(self.add(&message)?),
            },
        })
    }
}

/// The JSON that is being written.
struct Output<'a> {
    types: &'a [MessageType],
    layout: Layout,
    /// The number of open objects and lists.
    depth: usize,
    out: &'a mut Vec<u8>,
}

impl Output<'_> {
    fn message(&mut self, message_type: usize, mut message: &[u8]) -> Result<(), InvalidMessage> {
        self.open(b'{');
        let mut is_empty = true;
        let mut open_list = None;
        while !message.is_empty() {
            let (number, wire_type) = decode_key(&mut message)?;
            let Some(Some(field)) = self.types[message_type].fields.get(number as usize) else {
                Scalar::read(wire_type, &mut message)?;
                continue;
            };
            let is_same_list = open_list == Some(number);
            if open_list.is_some() && !is_same_list {
                open_list = None;
                self.close(b']', false);
            }
            if !is_same_list {
                self.separate(is_empty);
                self.out.extend_from_slice(field.name.as_bytes());
                self.out.extend_from_slice(if self.layout == Layout::Pretty { b": " } else { b":" });
                if field.is_list {
                    open_list = Some(number);
                    self.open(b'[');
                }
            }
            is_empty = false;
            let scalar = Scalar::read(wire_type, &mut message)?;
            match scalar {
                // Repeated numbers are packed into one field.
                Scalar::Bytes(mut packed) if field.is_list && field.value.is_packable() => {
                    let mut is_first = !is_same_list;
                    while !packed.is_empty() {
                        let element = Scalar::read(field.value.wire_type(), &mut packed)?;
                        self.separate(is_first);
                        is_first = false;
                        self.value(&field.value, element)?;
                    }
                }
                scalar @ (Scalar::Number(_) | Scalar::Bytes(_)) => {
                    if field.is_list {
                        self.separate(!is_same_list);
                    }
                    self.value(&field.value, scalar)?;
                }
            }
        }
        if open_list.is_some() {
            self.close(b']', false);
        }
        self.close(b'}', is_empty);
        Ok(())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "numbers of 32 bits are encoded as ones of 64 bits, and signed ones as unsigned ones"
    )]
    fn value(&mut self, value_type: &ValueType, scalar: Scalar<'_>) -> Result<(), InvalidMessage> {
        match (value_type, scalar) {
            (ValueType::Bool, Scalar::Number(number)) => {
                self.text(if number == 0 { "false" } else { "true" });
            }
            (ValueType::Int32 | ValueType::Sfixed32, Scalar::Number(number)) => self.display(number as i32),
            (ValueType::Sint32, Scalar::Number(number)) => self.display(zigzag(number) as i32),
            (ValueType::Uint32 | ValueType::Fixed32, Scalar::Number(number)) => self.display(number as u32),
            (ValueType::Int64 | ValueType::Sfixed64, Scalar::Number(number)) => self.quoted(number as i64),
            (ValueType::Sint64, Scalar::Number(number)) => self.quoted(zigzag(number)),
            (ValueType::Uint64 | ValueType::Fixed64, Scalar::Number(number)) => self.quoted(number),
            (ValueType::Float, Scalar::Number(bits)) => {
                let number = f32::from_bits(bits as u32);
                if number.is_finite() {
                    self.json(&number);
                } else {
                    self.not_finite(number.into());
                }
            }
            (ValueType::Double, Scalar::Number(bits)) => {
                let number = f64::from_bits(bits);
                if number.is_finite() {
                    self.json(&number);
                } else {
                    self.not_finite(number);
                }
            }
            (ValueType::Enum(names), Scalar::Number(number)) => match names.get_value(number as i32) {
                Some(value) => self.json(value.name()),
                None => self.display(number as i32),
            },
            (ValueType::String, Scalar::Bytes(text)) => {
                let text = str::from_utf8(text).map_err(|_| invalid("text is not valid UTF-8"))?;
                self.json(text);
            }
            (ValueType::Bytes, Scalar::Bytes(bytes)) => self.json(&BASE64.encode(bytes)),
            (ValueType::Timestamp, Scalar::Bytes(message)) => {
                let time = Timestamp::decode(message)?;
                self.quoted(time);
            }
            (ValueType::Message(message_type), Scalar::Bytes(message)) => {
                self.message(*message_type, message)?;
            }
            _ => return Err(invalid("a field has the wire type of another")),
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
    }

    fn close(&mut self, bracket: u8, is_empty: bool) {
        self.depth -= 1;
        if !is_empty {
            self.new_line();
        }
        self.out.push(bracket);
    }

    /// Begins the next value of an object or a list.
    fn separate(&mut self, is_first: bool) {
        if !is_first {
            self.out.push(b',');
        }
        self.new_line();
    }

    fn new_line(&mut self) {
        if self.layout == Layout::Pretty {
            self.out.push(b'\n');
            self.out.resize(self.out.len() + self.depth * INDENT, b' ');
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    // Writing to memory cannot fail.
    fn display(&mut self, number: impl std::fmt::Display) {
        let _ = write!(self.out, "{number}");
    }

    fn quoted(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.out, "\"{value}\"");
    }

    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    fn not_finite(&mut self, number: f64) {
        self.text(if number.is_nan() {
            "\"NaN\""
        } else if number > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

/// Returns the value of a text field of an encoded message.
pub(crate) fn text_field(mut message: &[u8], number: u32) -> Option<&str> {
    while !message.is_empty() {
        let (found, wire_type) = decode_key(&mut message).ok()?;
        match Scalar::read(wire_type, &mut message).ok()? {
            Scalar::Bytes(text) if found == number => return str::from_utf8(text).ok(),
            Scalar::Bytes(_) | Scalar::Number(_) => {}
        }
    }
    None
}

/// A value as it is encoded.
enum Scalar<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Scalar<'a> {
    fn read(wire_type: WireType, message: &mut &'a [u8]) -> Result<Self, InvalidMessage> {
        let truncated = || invalid("the message is cut off");
        Ok(match wire_type {
            WireType::Varint => Self::Number(decode_varint(message)?),
            WireType::ThirtyTwoBit => {
                let (bytes, rest) = message.split_first_chunk().ok_or_else(truncated)?;
                *message = rest;
                Self::Number(u32::from_le_bytes(*bytes).into())
            }
            WireType::SixtyFourBit => {
                let (bytes, rest) = message.split_first_chunk().ok_or_else(truncated)?;
                *message = rest;
                Self::Number(u64::from_le_bytes(*bytes))
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(message)?).map_err(|_| truncated())?;
                let (bytes, rest) = message.split_at_checked(length).ok_or_else(truncated)?;
                *message = rest;
                Self::Bytes(bytes)
            }
            WireType::StartGroup | WireType::EndGroup => return Err(invalid("groups are not supported")),
        })
    }
}

impl ValueType {
    /// Returns the wire type of a value outside of a packed field.
    fn wire_type(&self) -> WireType {
        match self {
            Self::Bool
            | Self::Int32
            | Self::Sint32
            | Self::Uint32
            | Self::Int64
            | Self::Sint64
            | Self::Uint64
            | Self::Enum(_) => WireType::Varint,
            Self::Fixed32 | Self::Sfixed32 | Self::Float => WireType::ThirtyTwoBit,
            Self::Fixed64 | Self::Sfixed64 | Self::Double => WireType::SixtyFourBit,
            Self::String | Self::Bytes | Self::Timestamp | Self::Message(_) => WireType::LengthDelimited,
        }
    }

    fn is_packable(&self) -> bool {
        self.wire_type() != WireType::LengthDelimited
    }
}

/// Decodes a signed number of the `sint` types.
#[expect(clippy::cast_possible_wrap, reason = "the encoding of signed numbers")]
fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn invalid(problem: &'static str) -> InvalidMessage {
    InvalidMessage::Malformed(problem)
}

#[cfg(test)]
mod tests;
