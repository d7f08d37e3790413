//! Limit on the number of fields of an encoded message, checked as its bytes arrive.

use std::mem;

use crate::server::call::message::checker::ExceededLimit;

/// Counts the fields of an encoded message. A field of two bytes can decode to a value of several hundred bytes.
#[derive(Clone, Debug)]
pub(super) struct FieldCounter {
    max: usize,
    count: usize,
    /// Which varint is being read.
    next: Part,
    /// Its value so far, and the number of bits read.
    varint: u64,
    bits: u32,
    /// Remaining bytes of the current field's value.
    skip: usize,
}

/// The parts of a field that are varints: <https://protobuf.dev/programming-guides/encoding/>.
#[derive(Clone, Copy, Debug)]
enum Part {
    Tag,
    Length,
    Value,
}

impl FieldCounter {
    /// A counter for one message of at most `max` fields.
    pub(super) fn new(max: usize) -> Self {
        Self { max, count: 0, next: Part::Tag, varint: 0, bits: 0, skip: 0 }
    }

    /// Starts to count the fields of the next message.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.max);
    }

    /// Reads the next bytes of the message, up to the first field that exceeds the limit.
    pub(super) fn check(&mut self, mut bytes: &[u8]) -> Result<(), ExceededLimit> {
        while let [byte, rest @ ..] = bytes {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            bytes = rest;
            self.varint |= u64::from(byte & 0x7f).checked_shl(self.bits).unwrap_or_default();
            self.bits = self.bits.saturating_add(7);
            if *byte < 0x80 {
                self.bits = 0;
                self.end_varint()?;
            }
        }
        Ok(())
    }

    fn end_varint(&mut self) -> Result<(), ExceededLimit> {
        let varint = mem::take(&mut self.varint);
        self.next = match self.next {
            Part::Tag => {
                self.count += 1;
                if self.count > self.max {
                    return Err(ExceededLimit::Fields);
                }
                match varint & 7 {
                    0 => Part::Value,
                    1 => {
                        self.skip = size_of::<u64>();
                        Part::Tag
                    }
                    2 => Part::Length,
                    5 => {
                        self.skip = size_of::<u32>();
                        Part::Tag
                    }
                    // The start and the end of a group have no value. The decoder refuses other wire types.
                    _ => Part::Tag,
                }
            }
            Part::Length => {
                self.skip = usize::try_from(varint).unwrap_or(usize::MAX);
                Part::Tag
            }
            Part::Value => Part::Tag,
        };
        Ok(())
    }
}
