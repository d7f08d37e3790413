//! A request body that enforces the limits of messages, and the deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::codegen::StdError;

use crate::server::call::message::checker::{ExceededLimit, MessageChecker};
use crate::server::call::refusal::Refusal;
use crate::servicer::import::{MAX_MESSAGE_MOVIES, too_many_movies};

/// The limits of the messages of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageLimits {
    /// Maximum size of a message in bytes, before and after decompression.
    pub(crate) max_bytes: usize,
    /// Whether the messages are those of an import, which hold at most [`MAX_MESSAGE_MOVIES`].
    pub(crate) is_import: bool,
}

/// A request body that fails if a message is too large, or if reading continues past the deadline. Generated code may
/// read it in a task that outlives the call.
pub(crate) struct LimitedBody<B> {
    body: B,
    max_bytes: usize,
    checker: MessageChecker,
    deadline: Option<Instant>,
    /// Deadline timer, created when the body is first pending.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> LimitedBody<B> {
    pub(crate) fn new(body: B, limits: MessageLimits, deadline: Option<Instant>) -> Self {
        let MessageLimits { max_bytes, is_import } = limits;
        let checker = MessageChecker::new(max_bytes, is_import.then_some(MAX_MESSAGE_MOVIES));
        Self { body, max_bytes, checker, deadline, timer: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<StdError>> + Unpin> Body for LimitedBody<B> {
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
            return Poll::Ready(Some(Err(Refusal::DeadlineExceeded.into())));
        };
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(|error| Status::from_error(error.into()))?;
        if let Some(data) = frame.data_ref() {
            let max_bytes = self.max_bytes;
            self.checker.check(data).map_err(|exceeded| match exceeded {
                ExceededLimit::Bytes => Status::from(Refusal::MessageTooLarge { max_bytes }),
                ExceededLimit::Fields => too_many_movies().into(),
            })?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
