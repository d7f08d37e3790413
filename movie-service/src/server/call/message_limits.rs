//! Limits of request messages, checked as their bytes arrive.
//!
//! A decoder allocates memory for a message once it has read its prefix. So a message that is too large is refused at
//! its prefix.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use crate::catalogue::encoding::frame::PREFIX_BYTES;
use crate::server::call::refusal::Refusal;
use crate::servicer::import::{MAX_MESSAGE_MOVIES, too_many_movies};

/// Checks messages of a request as they arrive.
#[derive(Clone, Debug)]
pub struct Messages {
    max_bytes: usize,
    /// Counts fields, if their number is limited.
    fields: Option<FieldCounter>,
    /// What arrived of a prefix.
    prefix: [u8; PREFIX_BYTES],
    arrived: usize,
    /// What is still to come of a message.
    rest: usize,
}

/// The limit that a message exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// It has more bytes.
    Bytes,
    /// It has more fields.
    Fields,
}

impl Messages {
    /// Expects messages of at most `max_bytes` bytes and, if that is given, `max_fields` fields each. Every
    /// occurrence of a repeated field counts; fields of nested messages do not.
    #[must_use]
    pub fn of_at_most(max_bytes: usize, max_fields: Option<usize>) -> Self {
        let fields = max_fields.map(FieldCounter::new);
        Self { max_bytes, fields, prefix: [0; PREFIX_BYTES], arrived: 0, rest: 0 }
    }

    /// Takes the next bytes of the request.
    ///
    /// # Errors
    ///
    /// If a message is larger than allowed. Too many bytes are detected at the prefix.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let part = self.rest.min(bytes.len());
                self.rest -= part;
                if let Some(fields) = &mut self.fields {
                    fields.take(&bytes[..part])?;
                }
                bytes = &bytes[part..];
                continue;
            }
            let part = (PREFIX_BYTES - self.arrived).min(bytes.len());
            self.prefix[self.arrived..self.arrived + part].copy_from_slice(&bytes[..part]);
            self.arrived += part;
            bytes = &bytes[part..];
            if self.arrived == PREFIX_BYTES {
                let [flag, length @ ..] = self.prefix;
                self.rest = u32::from_be_bytes(length) as usize;
                self.arrived = 0;
                // Other flags are left to the generated code, which refuses compressed messages.
                if flag == 0 && self.rest > self.max_bytes {
                    return Err(Excess::Bytes);
                }
                if let Some(fields) = &mut self.fields {
                    *fields = FieldCounter::new(fields.max);
                }
            }
        }
        Ok(())
    }
}

/// Counts the fields of an encoded message as it arrives. A field of two bytes can decode to a value of several
/// hundred bytes.
#[derive(Clone, Debug)]
struct FieldCounter {
    max: usize,
    count: usize,
    /// The part of the field that comes next, a varint.
    next: Part,
    /// The value of its bytes so far, and how many bits those are.
    varint: u64,
    bits: u32,
    /// Bytes of a field's value that are still to come.
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
    fn new(max: usize) -> Self {
        Self { max, count: 0, next: Part::Tag, varint: 0, bits: 0, skip: 0 }
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while let [byte, rest @ ..] = bytes {
            if self.skip > 0 {
                let part = self.skip.min(bytes.len());
                self.skip -= part;
                bytes = &bytes[part..];
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

    fn end_varint(&mut self) -> Result<(), Excess> {
        let varint = mem::take(&mut self.varint);
        self.next = match self.next {
            Part::Tag => {
                self.count += 1;
                if self.count > self.max {
                    return Err(Excess::Fields);
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

/// The limits of the messages of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    /// Bytes of a message, compressed or not.
    pub(crate) max_bytes: usize,
    /// Whether the messages are those of an import, which hold at most [`MAX_MESSAGE_MOVIES`].
    pub(crate) is_import: bool,
}

/// The body of a request in which messages that are too large are errors, and so is waiting for one past the deadline:
/// generated code may read it in a task that does not end with its call.
pub(crate) struct Bounded<B> {
    body: B,
    messages: Messages,
    deadline: Option<Instant>,
    /// Deadline timer, created when the body is first pending.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Bounded<B> {
    pub(crate) fn new(body: B, limits: MessageLimits, deadline: Option<Instant>) -> Self {
        let max_fields = limits.is_import.then_some(MAX_MESSAGE_MOVIES);
        Self { body, messages: Messages::of_at_most(limits.max_bytes, max_fields), deadline, timer: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Unpin> Body for Bounded<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let Some(deadline) = self.deadline else { return Poll::Pending };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
            ready!(timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Refusal::Late.into())));
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        if let Some(data) = frame.data_ref() {
            let most = self.messages.max_bytes;
            self.messages.take(data).map_err(|excess| match excess {
                Excess::Bytes => Status::from(Refusal::TooLarge { most }),
                Excess::Fields => too_many_movies().into(),
            })?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
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
            let mut follower = Messages::of_at_most(usize::MAX, Some(max_fields));
            let taken = bytes.chunks(cut).try_for_each(|part| follower.take(part));
            let is_excess = messages.iter().any(|fields| fields.len() > max_fields);
            prop_assert_eq!(taken, if is_excess { Err(Excess::Fields) } else { Ok(()) });
        }

        #[test]
        fn messages_are_followed_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(0..300_usize, 0..10),
            cuts in proptest::collection::vec(1..40_usize, 1..100),
            most in 200..300_usize,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let (mut messages, mut rest, mut refused) = (Messages::of_at_most(most, None), bytes.as_slice(), false);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() || refused {
                    break;
                }
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                refused = messages.take(part).is_err();
                rest = after;
            }
            prop_assert_eq!(refused, lengths.iter().any(|length| *length > most));
        }
    }

    #[test]
    fn a_message_is_refused_at_its_prefix() {
        let mut messages = Messages::of_at_most(10, None);
        assert_eq!(messages.take(&[0, 0, 0, 0]), Ok(()));
        assert_eq!(messages.take(&[11]), Err(Excess::Bytes));
    }
}
