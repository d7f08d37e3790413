//! Sends a response on its HTTP/2 stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::DATE;
use http::{HeaderValue, Response};
use http_body::{Body, Frame};
use tracing::debug;

use crate::server::call::body::ResponseBody;
use crate::server::call::data::Data;
use crate::server::call::task::Call;

/// A call and its stream. Completes when h2 has the whole response or the peer reset the stream.
///
/// Written by hand, not as an `async fn`: most complete on their first poll, before they are spawned, and need no
/// allocation.
pub(crate) enum Reply {
    /// There is no response yet.
    Awaited { call: Call, respond: SendResponse<Data> },
    /// The response has begun.
    Begun(Sending),
}

/// A response on its way.
pub(crate) struct Sending {
    answer: ResponseBody,
    stream: SendStream<Data>,
    /// Data that waits for flow-control capacity.
    next: Option<Data>,
}

impl Reply {
    pub(crate) fn new(call: Call, respond: SendResponse<Data>) -> Self {
        Self::Awaited { call, respond }
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        // Checked first, because tonic treats a cancelled request as a finished one. Polling also registers the waker
        // for a reset.
        let reset = match self {
            Self::Awaited { call, .. } if call.is_answered() => Poll::Pending,
            Self::Awaited { respond, .. } => respond.poll_reset(cx),
            Self::Begun(sending) => sending.stream.poll_reset(cx),
        };
        if let Poll::Ready(reason) = reset {
            return Poll::Ready(Err(reason?.into()));
        }
        let (call, respond) = match self {
            Self::Awaited { call, respond } => (call, respond),
            Self::Begun(sending) => return sending.poll_done(cx),
        };
        let (mut head, answer) = ready!(call.poll_response(cx)).into_parts();
        head.headers.insert(DATE, date());
        let is_whole = answer.is_end_stream();
        match respond.send_response(Response::from_parts(head, ()), is_whole) {
            Ok(_) if is_whole => Poll::Ready(Ok(())),
            Ok(stream) => {
                let mut sending = Sending { answer, stream, next: None };
                let done = sending.poll_done(cx);
                if done.is_pending() {
                    *self = Self::Begun(sending);
                }
                done
            }
            Err(error) => {
                respond.send_reset(Reason::INTERNAL_ERROR);
                Poll::Ready(Err(error))
            }
        }
    }
}

impl Future for Reply {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_done(cx).map(|done| {
            if let Err(error) = done {
                debug!(%error, "a stream failed");
            }
        })
    }
}

impl Sending {
    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Self { answer, stream, next } = self;
        loop {
            if let Some(data) = next.take() {
                while stream.capacity() == 0 {
                    match stream.poll_capacity(cx) {
                        Poll::Ready(Some(room)) => drop(room?),
                        // The stream is closed.
                        Poll::Ready(None) => return Poll::Ready(Ok(())),
                        Poll::Pending => {
                            *next = Some(data);
                            return Poll::Pending;
                        }
                    }
                }
                stream.send_data(data, false)?;
            }
            match ready!(Pin::new(&mut *answer).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                // Reserve the minimum: h2 extends the reservation to the data when it is sent, and reserved capacity
                // is unavailable to other streams.
                Some(Ok(Ok(data))) => {
                    if data.has_remaining() {
                        stream.reserve_capacity(1);
                        *next = Some(data);
                    }
                }
                Some(Ok(Err(frame))) => {
                    return Poll::Ready(stream.send_trailers(frame.into_trailers().unwrap_or_default()));
                }
                Some(Err(status)) => {
                    debug!(%status, "an answer broke off");
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(stream.send_data(Data::made(Bytes::new(), None), true)),
            }
        }
    }
}

/// Returns the time as a header (RFC 9110, section 6.6.1).
fn date() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<Option<(Instant, HeaderValue)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| date_at(last, Instant::now(), SystemTime::now))
}

/// Returns the time as a header; the `last` one for a second from when it was made.
fn date_at(
    last: &mut Option<(Instant, HeaderValue)>,
    now: Instant,
    time: impl FnOnce() -> SystemTime,
) -> HeaderValue {
    match last {
        Some((made, value)) if now.duration_since(*made) < Duration::from_secs(1) => value.clone(),
        _ => {
            let value = HeaderValue::try_from(httpdate::fmt_http_date(time()));
            let value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
            *last = Some((now, value.clone()));
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_made_anew_each_second() {
        let (mut last, now) = (None, Instant::now());
        let mut date = |milliseconds, seconds| {
            let time = || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            date_at(&mut last, now + Duration::from_millis(milliseconds), time)
        };
        assert_eq!(date(0, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(999, 5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(1_000, 7), "Thu, 01 Jan 1970 00:00:07 GMT");
    }
}
