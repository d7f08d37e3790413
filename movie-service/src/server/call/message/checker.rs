//! Checks the size of request messages as their bytes arrive.
//!
//! tonic allocates a message as soon as it has read the prefix, so a message that is too large is refused before tonic
//! sees the prefix.

use crate::server::call::message::field_counter::FieldCounter;
use crate::server::call::message::prefix::{PREFIX_BYTES, Prefix, UNCOMPRESSED};

/// Checks the messages of a request as they arrive.
#[derive(Clone, Debug)]
pub struct MessageChecker {
    max_bytes: usize,
    /// Counts the fields of the current message, if their number is limited.
    fields: Option<FieldCounter>,
    /// The prefix read so far, and its length.
    prefix: [u8; PREFIX_BYTES],
    prefix_length: usize,
    /// Remaining bytes of the current message.
    remaining: usize,
}

/// The limit that a message exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceededLimit {
    /// The number of bytes.
    Bytes,
    /// The number of fields.
    Fields,
}

impl MessageChecker {
    /// Expects messages of at most `max_bytes` bytes and, if given, `max_fields` fields each. Every occurrence of a
    /// repeated field counts; fields of nested messages do not.
    #[must_use]
    pub fn new(max_bytes: usize, max_fields: Option<usize>) -> Self {
        Self {
            max_bytes,
            fields: max_fields.map(FieldCounter::new),
            prefix: [0; PREFIX_BYTES],
            prefix_length: 0,
            remaining: 0,
        }
    }

    /// Checks the next bytes of the request.
    ///
    /// # Errors
    ///
    /// If a message exceeds a limit. Too many bytes are detected at the prefix.
    pub fn check(&mut self, mut bytes: &[u8]) -> Result<(), ExceededLimit> {
        while !bytes.is_empty() {
            if self.remaining > 0 {
                let (part, rest) = bytes.split_at(self.remaining.min(bytes.len()));
                self.remaining -= part.len();
                if let Some(fields) = &mut self.fields {
                    fields.check(part)?;
                }
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at((PREFIX_BYTES - self.prefix_length).min(bytes.len()));
            self.prefix[self.prefix_length..][..part.len()].copy_from_slice(part);
            self.prefix_length += part.len();
            bytes = rest;
            if self.prefix_length == PREFIX_BYTES {
                let Prefix { flag, length } = Prefix::decode(self.prefix);
                (self.prefix_length, self.remaining) = (0, length);
                if let Some(fields) = &mut self.fields {
                    fields.restart();
                }
                // Other flags are left to the generated code, which refuses compressed messages.
                if flag == UNCOMPRESSED && length > self.max_bytes {
                    return Err(ExceededLimit::Bytes);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(length).unwrap().to_be_bytes());
        message.resize(PREFIX_BYTES + length, 7);
        message
    }

    /// An encoded field with each kind of value.
    fn field() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<u64>().prop_map(|value| {
                let mut field = vec![1 << 3];
                prost::encoding::encode_varint(value, &mut field);
                field
            }),
            any::<u32>().prop_map(|value| [&[2 << 3 | 5][..], &value.to_le_bytes()].concat()),
            any::<u64>().prop_map(|value| [&[3 << 3 | 1][..], &value.to_le_bytes()].concat()),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|value| {
                let mut field = vec![4 << 3 | 2];
                prost::encoding::encode_varint(value.len() as u64, &mut field);
                field.extend(value);
                field
            }),
        ]
    }

    proptest! {
        #[test]
        fn fields_are_counted_message_by_message_however_the_bytes_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(field(), 0..10), 1..4),
            cut in 1..40_usize,
            max_fields in 5..10_usize,
        ) {
            let mut bytes = Vec::new();
            for fields in &messages {
                let fields = fields.concat();
                bytes.push(0);
                bytes.extend(u32::try_from(fields.len()).unwrap().to_be_bytes());
                bytes.extend(fields);
            }
            let mut checker = MessageChecker::new(usize::MAX, Some(max_fields));
            let checked = bytes.chunks(cut).try_for_each(|part| checker.check(part));
            let is_exceeded = messages.iter().any(|fields| fields.len() > max_fields);
            prop_assert_eq!(checked, if is_exceeded { Err(ExceededLimit::Fields) } else { Ok(()) });
        }

        #[test]
        fn messages_are_checked_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(0..300_usize, 0..10),
            cuts in proptest::collection::vec(1..40_usize, 1..100),
            max_bytes in 200..300_usize,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let mut checker = MessageChecker::new(max_bytes, None);
            let (mut rest, mut is_refused) = (bytes.as_slice(), false);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || is_refused {
                    break;
                }
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                is_refused = checker.check(part).is_err();
                rest = after;
            }
            prop_assert_eq!(is_refused, lengths.iter().any(|length| *length > max_bytes));
        }
    }

    #[test]
    fn a_message_is_refused_at_its_prefix() {
        let mut checker = MessageChecker::new(10, None);
        assert_eq!(checker.check(&[0, 0, 0, 0]), Ok(()));
        assert_eq!(checker.check(&[11]), Err(ExceededLimit::Bytes));
    }
}
