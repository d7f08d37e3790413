//! Sends a response on its HTTP/2 stream.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
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
use crate::server::call::response_data::ResponseData;
use crate::server::call::task::Call;
use crate::servicer::watch::{Batch, BatchSink};

/// A call and its stream. Completes when h2 has the whole response or the peer reset the stream.
///
/// It is not an `async fn`: most calls complete on their first poll, before a task is spawned, and need no
/// allocation.
pub(crate) enum ResponseTask {
    /// The response has not begun.
    Waiting { call: Call, respond: SendResponse<ResponseData> },
    /// The headers of the response are sent.
    Sending(SendingBody),
    /// The same for a watch, to which its feed sends changes, too.
    Watching(Arc<WatchedBody>),
}

/// The body of a response on its stream.
pub(crate) struct SendingBody {
    body: ResponseBody,
    stream: SendStream<ResponseData>,
    /// Data that waits for flow-control capacity.
    next: Option<ResponseData>,
}

/// The body of a watch on its stream. Never contended: the task of the call and the feed are on one thread.
pub(crate) struct WatchedBody(Mutex<SendingBody>);

impl ResponseTask {
    pub(crate) fn new(call: Call, respond: SendResponse<ResponseData>) -> Self {
        Self::Waiting { call, respond }
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let (call, respond) = match self {
            Self::Waiting { call, respond } => (call, respond),
            Self::Sending(sending) => return sending.poll(cx),
            Self::Watching(watched) => {
                return watched.0.lock().unwrap_or_else(PoisonError::into_inner).poll(cx);
            }
        };
        // Checked first, because tonic treats a cancelled request as a finished one. Polling also registers the waker
        // for a reset.
        if !call.is_answered()
            && let Poll::Ready(reason) = respond.poll_reset(cx)
        {
            return Poll::Ready(Err(reason?.into()));
        }
        let (mut head, body) = ready!(call.poll_response(cx)).into_parts();
        head.headers.insert(DATE, date());
        let is_trailers_only = body.is_end_stream();
        match respond.send_response(Response::from_parts(head, ()), is_trailers_only) {
            Ok(_) if is_trailers_only => Poll::Ready(Ok(())),
            Ok(stream) => {
                let mut sending = SendingBody { body, stream, next: None };
                let done = sending.poll_done(cx);
                if done.is_pending() {
                    *self = sending.into();
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

impl Future for ResponseTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_done(cx).map(|done| {
            if let Err(error) = done {
                debug!(%error, "a stream failed");
            }
        })
    }
}

impl From<SendingBody> for ResponseTask {
    fn from(sending: SendingBody) -> Self {
        if !sending.body.is_watch() {
            return Self::Sending(sending);
        }
        Self::Watching(Arc::new_cyclic(|watched: &Weak<WatchedBody>| {
            sending.body.attach(watched.clone());
            WatchedBody(Mutex::new(sending))
        }))
    }
}

impl BatchSink for WatchedBody {
    fn try_send(&self, batch: &Batch) -> bool {
        self.0.try_lock().is_ok_and(|mut sending| sending.try_send(batch))
    }
}

impl SendingBody {
    /// Completes when h2 has the whole body, or the peer reset the stream. Polling also registers the waker for a reset.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match self.stream.poll_reset(cx) {
            Poll::Ready(reason) => Poll::Ready(Err(reason?.into())),
            Poll::Pending => self.poll_done(cx),
        }
    }

    /// Sends a batch of changes, if nothing has to wait; returns whether it did.
    fn try_send(&mut self, batch: &Batch) -> bool {
        let Self { body, stream, next } = self;
        let data = if next.is_none() { body.next_batch(batch) } else { None };
        // h2 reserves the capacity itself. No more than one batch waits for it: the next one is sent when this one is
        // written.
        let sent = data.map(|data| stream.send_data(data, false));
        if let Some(Err(error)) = &sent {
            debug!(%error, "a watch failed");
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        matches!(sent, Some(Ok(())))
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Self { body, stream, next } = self;
        loop {
            if let Some(data) = next.take() {
                while stream.capacity() == 0 {
                    match stream.poll_capacity(cx) {
                        Poll::Ready(Some(capacity)) => drop(capacity?),
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
            match ready!(Pin::new(&mut *body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
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
                    debug!(%status, "a response failed");
                    stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(stream.send_data(ResponseData::owned(Bytes::new(), None), true)),
            }
        }
    }
}

/// Returns the value of the `date` header (RFC 9110, section 6.6.1).
fn date() -> HeaderValue {
    thread_local! {
        static CACHE: RefCell<Option<(Instant, HeaderValue)>> = const { RefCell::new(None) };
    }
    CACHE.with_borrow_mut(|cache| date_at(cache, Instant::now(), SystemTime::now))
}

/// Returns the cached value if it is less than one second old.
fn date_at(
    cache: &mut Option<(Instant, HeaderValue)>,
    now: Instant,
    time: impl FnOnce() -> SystemTime,
) -> HeaderValue {
    match cache {
        Some((made, value)) if now.duration_since(*made) < Duration::from_secs(1) => value.clone(),
        _ => {
            let value = HeaderValue::try_from(httpdate::fmt_http_date(time()));
            let value = value.unwrap_or_else(|_| HeaderValue::from_static(""));
            *cache = Some((now, value.clone()));
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_cached_for_one_second() {
        let (mut cache, now) = (None, Instant::now());
        let mut date = |milliseconds, seconds| {
            let time = || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            date_at(&mut cache, now + Duration::from_millis(milliseconds), time)
        };
        assert_eq!(date(0, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(999, 5), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(1_000, 7), "Thu, 01 Jan 1970 00:00:07 GMT");
    }
}
