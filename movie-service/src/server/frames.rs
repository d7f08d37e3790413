//! Length-prefixed messages of a request, followed as they arrive.
//!
//! What reads messages sets memory aside as soon as one is announced, so one that is too large is refused at its
//! prefix, before that.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;

use super::refusal::Refusal;
use crate::catalogue::frame::PREFIX;

/// Follows messages of at most so many bytes.
#[derive(Clone, Debug)]
pub struct Messages {
    most: usize,
    /// What arrived of a prefix.
    prefix: [u8; PREFIX],
    arrived: usize,
    /// What is still to come of a message.
    rest: usize,
}

/// A message is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

impl Messages {
    /// Expects messages of at most `most` bytes each.
    #[must_use]
    pub fn of_at_most(most: usize) -> Self {
        Self { most, prefix: [0; PREFIX], arrived: 0, rest: 0 }
    }

    /// Takes the next bytes of the request.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if a message is announced that is.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), TooLarge> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let part = self.rest.min(bytes.len());
                self.rest -= part;
                bytes = &bytes[part..];
                continue;
            }
            let part = (PREFIX - self.arrived).min(bytes.len());
            self.prefix[self.arrived..self.arrived + part].copy_from_slice(&bytes[..part]);
            self.arrived += part;
            bytes = &bytes[part..];
            if self.arrived == PREFIX {
                let [flag, length @ ..] = self.prefix;
                self.rest = u32::from_be_bytes(length) as usize;
                self.arrived = 0;
                // Any other flag is refused for itself: the generated code takes no compressed messages.
                if flag == 0 && self.rest > self.most {
                    return Err(TooLarge);
                }
            }
        }
        Ok(())
    }
}

/// The body of a request in which messages that are too large are errors, and so is waiting for one past the deadline:
/// generated code may read it in a task that does not end with its call.
pub(super) struct Bounded<B> {
    body: B,
    messages: Messages,
    deadline: Option<Instant>,
    /// Wakes who waits for the body; made for the first that does.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Bounded<B> {
    pub(super) fn new(body: B, most: usize, deadline: Option<Instant>) -> Self {
        Self { body, messages: Messages::of_at_most(most), deadline, timer: None }
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
            let most = self.messages.most;
            self.messages.take(data).map_err(|TooLarge| Status::from(Refusal::TooLarge { most }))?;
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
        message.resize(PREFIX + length, 7);
        message
    }

    proptest! {
        #[test]
        fn messages_are_followed_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(0..300_usize, 0..10),
            cuts in proptest::collection::vec(1..40_usize, 1..100),
            most in 200..300_usize,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            let (mut messages, mut rest, mut refused) = (Messages::of_at_most(most), bytes.as_slice(), false);
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
        let mut messages = Messages::of_at_most(10);
        assert_eq!(messages.take(&[0, 0, 0, 0]), Ok(()));
        assert_eq!(messages.take(&[11]), Err(TooLarge));
    }
}
