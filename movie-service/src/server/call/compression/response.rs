//! Compression of responses.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame};
use tonic::Status;

use crate::blocking_pool::BlockingPool;
use crate::catalogue::encoding::frame;
use crate::server::call::message::prefix::{COMPRESSED, PREFIX_BYTES};

/// Size in bytes from which messages of responses are compressed. A movie of 55 bytes would become 75, and take 100
/// times the CPU time of an uncompressed response.
pub(super) const MIN_COMPRESSED_BYTES: usize = 1024;

/// Messages up to this size are compressed on the worker thread; larger ones on the blocking threads, so that other
/// calls are not delayed.
const MAX_INLINE_BYTES: usize = 16 * 1024;

/// Returns whether a message is long enough to be compressed. `length` includes its prefix.
pub(crate) fn is_long(length: usize) -> bool {
    length >= PREFIX_BYTES + MIN_COMPRESSED_BYTES
}

/// A response body that compresses its long messages.
pub(crate) struct CompressedBody {
    body: tonic::body::Body,
    pool: BlockingPool,
    compressing: Option<BoxFuture<'static, Bytes>>,
}

impl CompressedBody {
    /// Compresses the messages of generated code. Each data frame of `body` must contain whole messages.
    pub(crate) fn new(body: tonic::body::Body, pool: BlockingPool) -> Self {
        Self { body, pool, compressing: None }
    }
}

impl Body for CompressedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(compressing) = &mut self.compressing {
                let messages = ready!(compressing.as_mut().poll(cx));
                self.compressing = None;
                return Poll::Ready(Some(Ok(Frame::data(messages))));
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
            let messages = match frame.transpose()?.map(Frame::into_data) {
                Some(Ok(messages)) => messages,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            };
            if !frame::each(&messages).any(|(_, message)| is_long(message.len())) {
                return Poll::Ready(Some(Ok(Frame::data(messages))));
            }
            if messages.len() <= MAX_INLINE_BYTES {
                return Poll::Ready(Some(Ok(Frame::data(compress(&messages)))));
            }
            self.compressing = Some(Box::pin(self.pool.run(move || compress(&messages))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.compressing.is_none() && self.body.is_end_stream()
    }
}

/// Compresses each long message, unless compression makes it longer.
pub(super) fn compress(messages: &[u8]) -> Bytes {
    let mut compressed = Vec::with_capacity(messages.len() / 2);
    for (_, message) in frame::each(messages) {
        let start = compressed.len();
        if is_long(message.len()) {
            compressed.extend([COMPRESSED, 0, 0, 0, 0]);
            let gzip =
                GzEncoder::new(&message[PREFIX_BYTES..], Compression::fast()).read_to_end(&mut compressed);
            if gzip.is_ok_and(|length| PREFIX_BYTES + length < message.len()) {
                frame::write_length(&mut compressed, start);
                continue;
            }
            compressed.truncate(start);
        }
        compressed.extend_from_slice(message);
    }
    compressed.into()
}
