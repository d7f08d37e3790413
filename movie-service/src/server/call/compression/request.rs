//! Decompression of requests.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame};
use tokio::task;
use tonic::Status;
use tonic::codegen::StdError;

use crate::blocking_pool::BlockingPool;
use crate::catalogue::encoding::frame;
use crate::server::call::message::prefix::{COMPRESSED, PREFIX_BYTES, Prefix};
use crate::server::call::refusal::Refusal;

/// Messages up to this size are decompressed on the worker thread; larger ones on the blocking threads, so that other
/// calls are not delayed.
pub(super) const MAX_INLINE_BYTES: usize = 64 * 1024;

/// A request body that decompresses its messages. Each data frame is a whole message.
pub(crate) struct DecompressedBody<B> {
    body: B,
    /// Maximum size of a message in bytes, before and after decompression.
    max_bytes: usize,
    pool: BlockingPool,
    /// Bytes received but not yet returned.
    buffer: BytesMut,
    decompressing: Option<BoxFuture<'static, Result<Bytes, Status>>>,
}

impl<B> DecompressedBody<B> {
    pub(crate) fn new(body: B, max_bytes: usize, pool: BlockingPool) -> Self {
        Self { body, max_bytes, pool, buffer: BytesMut::new(), decompressing: None }
    }

    /// Takes the next message with its prefix, if all of it has arrived. Returns whether it is compressed.
    fn take_message(&mut self) -> Result<Option<(bool, Bytes)>, Status> {
        let Some((Prefix { flag, length }, rest)) = Prefix::split(&self.buffer) else { return Ok(None) };
        if flag > COMPRESSED {
            return Err(Status::internal(format!("a message has the invalid compression flag {flag}")));
        }
        if length > self.max_bytes {
            return Err(Refusal::MessageTooLarge { max_bytes: self.max_bytes }.into());
        }
        if rest.len() < length {
            return Ok(None);
        }
        Ok(Some((flag == COMPRESSED, self.buffer.split_to(PREFIX_BYTES + length).freeze())))
    }

    /// Decompresses a message, which has its prefix.
    fn decompress(&self, message: Bytes) -> BoxFuture<'static, Result<Bytes, Status>> {
        let (max_bytes, pool) = (self.max_bytes, self.pool.clone());
        Box::pin(async move {
            if message.len() <= MAX_INLINE_BYTES {
                // One flow-control window may decompress to hundreds of messages of this size, so yield to other calls
                // between them.
                task::yield_now().await;
                if let Some(message) = decompress(&message[PREFIX_BYTES..], max_bytes.min(MAX_INLINE_BYTES))?
                {
                    return Ok(message);
                }
                if max_bytes <= MAX_INLINE_BYTES {
                    return Err(Refusal::MessageTooLarge { max_bytes }.into());
                }
            }
            // Start over: the size is known only after decompression.
            let decompressed = pool.run(move || decompress(&message[PREFIX_BYTES..], max_bytes)).await?;
            decompressed.ok_or_else(|| Refusal::MessageTooLarge { max_bytes }.into())
        })
    }
}

impl<B: Body<Data = Bytes, Error: Into<StdError>> + Unpin> Body for DecompressedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(decompressing) = &mut self.decompressing {
                let message = ready!(decompressing.as_mut().poll(cx));
                self.decompressing = None;
                return Poll::Ready(Some(message.map(Frame::data)));
            }
            match self.take_message()? {
                Some((true, message)) => {
                    self.decompressing = Some(self.decompress(message));
                    continue;
                }
                Some((false, message)) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                None => {}
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose();
            match frame.map_err(|error| Status::from_error(error.into()))?.map(Frame::into_data) {
                Some(Ok(data)) => self.buffer.extend_from_slice(&data),
                _ if !self.buffer.is_empty() => {
                    let error = Status::internal("the request ends in the middle of a message");
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.decompressing.is_none() && self.buffer.is_empty() && self.body.is_end_stream()
    }
}

/// Decompresses a message, and returns it with a prefix; `None` if it is larger than `max_bytes`. Allocates at most
/// `max_bytes` bytes for it.
fn decompress(gzip: &[u8], max_bytes: usize) -> Result<Option<Bytes>, Status> {
    // One extra byte distinguishes a message of exactly `max_bytes` bytes from a longer one.
    let mut message = Vec::with_capacity(PREFIX_BYTES + max_bytes + 1);
    message.extend([0; PREFIX_BYTES]);
    let length = MultiGzDecoder::new(gzip)
        .take(max_bytes as u64 + 1)
        .read_to_end(&mut message)
        .map_err(|error| Status::internal(format!("a message cannot be decompressed: {error}")))?;
    if length > max_bytes {
        return Ok(None);
    }
    frame::write_length(&mut message, 0);
    Ok(Some(message.into()))
}
