//! Compression of messages with gzip, each message by itself.
//!
//! The generated code sees no compressed message: [`DecompressedBody`] decompresses requests
//! before it, [`CompressedBody`] compresses its responses. Unlike tonic's own support, this limits the decompressed
//! size per RPC and leaves short responses uncompressed.
//! <https://github.com/grpc/grpc/blob/master/doc/compression.md>

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame};
use tokio::task;
use tonic::Status;
use tonic::codegen::StdError;

use crate::blocking_pool::BlockingPool;
use crate::catalogue::encoding::frame::{self, PREFIX_BYTES};
use crate::server::call::refusal::Refusal;

pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The encoding of a response in which messages may be compressed.
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// The encodings of requests that are accepted.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip,identity");

/// The shortest message of a response that is compressed, in bytes. A movie of 55 bytes would become 75, and take 100
/// times the CPU time of an uncompressed response.
const MIN_PACKED_BYTES: usize = 1024;

/// Messages up to this size are compressed on the worker thread; larger ones on the blocking pool, so that other
/// calls are not delayed.
const MAX_INLINE_PACK_BYTES: usize = 16 * 1024;

/// The same for decompression, which is faster.
const MAX_INLINE_UNPACK_BYTES: usize = 64 * 1024;

/// The flag of a message that is compressed.
const COMPRESSED: u8 = 1;

/// Returns whether a request names gzip as the encoding of its compressed messages. If it names none, there are none.
///
/// # Errors
///
/// [`Refusal::Encoding`] if it names another one.
pub(crate) fn is_named(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Refusal::Encoding),
    }
}

/// Returns whether a caller accepts messages that are compressed with gzip.
pub(crate) fn is_accepted(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(GRPC_ACCEPT_ENCODING).iter();
    accepted
        .any(|names| names.as_bytes().split(|&byte| byte == b',').any(|name| name.trim_ascii() == b"gzip"))
}

/// Returns whether a frame of this many bytes is long enough to be compressed.
pub(crate) fn is_long(frame: usize) -> bool {
    frame >= PREFIX_BYTES + MIN_PACKED_BYTES
}

/// What is made of a message, in the making.
type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The body of a request whose messages may be compressed with gzip, as one whose messages are not.
pub(crate) struct DecompressedBody<B> {
    body: B,
    /// The most bytes that a message may have, compressed or not.
    most: usize,
    pool: BlockingPool,
    /// What arrived of the messages that are to come.
    arrived: BytesMut,
    unpacking: Option<Job<Result<Bytes, Status>>>,
}

impl<B> DecompressedBody<B> {
    pub(crate) fn new(body: B, most: usize, pool: BlockingPool) -> Self {
        Self { body, most, pool, arrived: BytesMut::new(), unpacking: None }
    }

    /// Takes the next message with its prefix, if all of it has arrived.
    fn take_message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(([flag, length @ ..], rest)) = self.arrived.split_first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let (length, most) = (u32::from_be_bytes(*length) as usize, self.most);
        if *flag > COMPRESSED {
            return Err(Status::internal(format!("a message has the flag {flag}")));
        }
        if length > most {
            return Err(Refusal::TooLarge { most }.into());
        }
        Ok((rest.len() >= length).then(|| self.arrived.split_to(PREFIX_BYTES + length).freeze()))
    }

    /// Unpacks a compressed message, which has its prefix.
    fn unpack(&self, message: Bytes) -> Job<Result<Bytes, Status>> {
        let most = self.most;
        if most > MAX_INLINE_UNPACK_BYTES {
            return Box::pin(self.pool.run(move || unpack(&message[PREFIX_BYTES..], most)));
        }
        Box::pin(async move {
            // One flow-control window may decompress to hundreds of messages of maximum size, so yield to other calls
            // between them.
            task::yield_now().await;
            unpack(&message[PREFIX_BYTES..], most)
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
            if let Some(unpacking) = &mut self.unpacking {
                let message = ready!(unpacking.as_mut().poll(cx));
                self.unpacking = None;
                return Poll::Ready(Some(message.map(Frame::data)));
            }
            match self.take_message()? {
                Some(message) if message[0] == COMPRESSED => {
                    self.unpacking = Some(self.unpack(message));
                    continue;
                }
                Some(message) => return Poll::Ready(Some(Ok(Frame::data(message)))),
                None => {}
            }
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose();
            match frame.map_err(|error| Status::from_error(error.into()))?.map(Frame::into_data) {
                Some(Ok(data)) => self.arrived.extend_from_slice(&data),
                _ if !self.arrived.is_empty() => {
                    return Poll::Ready(Some(Err(Status::internal("a message is cut off"))));
                }
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.unpacking.is_none() && self.arrived.is_empty() && self.body.is_end_stream()
    }
}

/// Returns the message, with its prefix, that was compressed to `gzip`. Allocates at most `most` bytes for it.
fn unpack(gzip: &[u8], most: usize) -> Result<Bytes, Status> {
    // One extra byte distinguishes a message of exactly `most` bytes from a longer one.
    let mut message = Vec::with_capacity(PREFIX_BYTES + most + 1);
    message.extend([0; PREFIX_BYTES]);
    let length = MultiGzDecoder::new(gzip)
        .take(most as u64 + 1)
        .read_to_end(&mut message)
        .map_err(|error| Status::internal(format!("a message cannot be unpacked: {error}")))?;
    if length > most {
        return Err(Refusal::TooLarge { most }.into());
    }
    frame::write_length(&mut message, 0);
    Ok(message.into())
}

/// The body of a response, in which long messages are compressed with gzip.
pub(crate) struct CompressedBody {
    body: tonic::body::Body,
    pool: BlockingPool,
    packing: Option<Job<Bytes>>,
}

impl CompressedBody {
    /// Compresses messages of the generated code, each part of whose bodies is some whole messages.
    pub(crate) fn new(body: tonic::body::Body, pool: BlockingPool) -> Self {
        Self { body, pool, packing: None }
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
            if let Some(packing) = &mut self.packing {
                let messages = ready!(packing.as_mut().poll(cx));
                self.packing = None;
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
            if messages.len() <= MAX_INLINE_PACK_BYTES {
                return Poll::Ready(Some(Ok(Frame::data(pack(&messages)))));
            }
            self.packing = Some(Box::pin(self.pool.run(move || pack(&messages))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.packing.is_none() && self.body.is_end_stream()
    }
}

/// Compresses each long message, unless compression makes it longer.
fn pack(messages: &[u8]) -> Bytes {
    let mut packed = Vec::with_capacity(messages.len() / 2);
    for (_, message) in frame::each(messages) {
        let start = packed.len();
        if is_long(message.len()) {
            packed.extend([COMPRESSED, 0, 0, 0, 0]);
            let gzip = GzEncoder::new(&message[PREFIX_BYTES..], Compression::fast()).read_to_end(&mut packed);
            if gzip.is_ok_and(|length| PREFIX_BYTES + length < message.len()) {
                frame::write_length(&mut packed, start);
                continue;
            }
            packed.truncate(start);
        }
        packed.extend_from_slice(message);
    }
    packed.into()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    /// Returns a message with its prefix.
    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let mut framed = vec![flag, 0, 0, 0, 0];
        framed.extend(message);
        frame::write_length(&mut framed, 0);
        framed
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut gzip = Vec::new();
        GzEncoder::new(message, Compression::default()).read_to_end(&mut gzip).unwrap();
        gzip
    }

    /// A request body of some parts, then trailers if it has any.
    struct Parts(VecDeque<Frame<Bytes>>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    /// Returns what is read of a request that arrives in parts of such a size.
    async fn read(request: &[u8], cut: usize, most: usize) -> Result<Vec<u8>, Status> {
        let parts = request.chunks(cut).map(|part| Frame::data(Bytes::copy_from_slice(part)));
        let body = DecompressedBody::new(Parts(parts.collect()), most, BlockingPool::new());
        body.collect().await.map(|read| read.to_bytes().into())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn messages_are_unpacked_however_the_bytes_are_cut(
            messages in proptest::collection::vec((any::<bool>(), proptest::collection::vec(0..4_u8, 0..300)), 0..6),
            cut in 1..400_usize,
            is_large in any::<bool>(),
        ) {
            let sent = messages.iter().flat_map(|(is_packed, message)| {
                if *is_packed { framed(1, &gzip(message)) } else { framed(0, message) }
            });
            let expected = messages.iter().flat_map(|(_, message)| framed(0, message));
            // On this thread, and in the pool.
            let most = if is_large { MAX_INLINE_UNPACK_BYTES + 1 } else { 1_000 };
            let read = block_on(read(&sent.collect::<Vec<_>>(), cut, most)).unwrap();
            prop_assert_eq!(read, expected.collect::<Vec<_>>());
        }

        #[test]
        fn packed_messages_are_unpacked_as_they_were(
            messages in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..3_000), 0..6),
        ) {
            let sent: Vec<u8> = messages.iter().flat_map(|message| framed(0, message)).collect();
            let packed = pack(&sent);
            let flags: Vec<_> = frame::each(&packed).map(|(_, frame)| frame[0] == COMPRESSED).collect();
            let long: Vec<_> = messages.iter().map(|message| message.len() >= MIN_PACKED_BYTES).collect();
            prop_assert_eq!(flags, long);
            prop_assert_eq!(block_on(read(&packed, 1_000, 3_000)).unwrap(), sent);
        }
    }

    #[test]
    fn a_message_that_gets_longer_is_not_packed() {
        let noise: Vec<u8> =
            (0..500_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
        let noise = framed(0, &gzip(&noise));
        assert!(is_long(noise.len()));
        assert_eq!(pack(&noise), noise);
    }

    #[tokio::test]
    async fn a_message_is_bounded_before_and_after_it_is_unpacked() {
        for most in [1_000, MAX_INLINE_UNPACK_BYTES + 1] {
            let fits = gzip(&vec![7; most]);
            assert_eq!(read(&framed(1, &fits), 99, most).await.unwrap(), framed(0, &vec![7; most]));
            let bomb = gzip(&vec![7; most + 1]);
            for too_large in [framed(1, &bomb), framed(1, &vec![0; most + 1])] {
                let refused = read(&too_large, 99, most).await.unwrap_err();
                assert_eq!(refused.message(), Refusal::TooLarge { most }.to_string());
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_gzip_or_cut_off_is_an_error() {
        let whole = gzip(b"Creed");
        let cut_off = framed(0, b"Creed");
        for bad in [
            framed(1, b""),
            framed(1, b"Creed"),
            framed(1, &whole[..whole.len() - 1]),
            framed(1, &[&whole[..], b"rest"].concat()),
            framed(2, &whole),
            cut_off[..3].to_vec(),
            cut_off[..PREFIX_BYTES].to_vec(),
            cut_off[..8].to_vec(),
        ] {
            let refused = read(&bad, 99, 1_000).await.unwrap_err();
            assert_eq!((refused.code(), refused.details()), (Code::Internal, &b""[..]), "{bad:?}");
        }
    }

    #[test]
    fn gzip_is_accepted_if_it_is_among_the_names() {
        let headers = |values: &[&'static str]| {
            let values = values.iter().map(|value| (GRPC_ACCEPT_ENCODING, HeaderValue::from_static(value)));
            values.collect::<HeaderMap>()
        };
        for accepted in [&["gzip"][..], &["identity, deflate, gzip"], &["identity", "gzip"]] {
            assert!(is_accepted(&headers(accepted)), "{accepted:?}");
        }
        for other in [&[][..], &[""], &["identity,deflate,xgzip"], &["gzip;q=0"]] {
            assert!(!is_accepted(&headers(other)), "{other:?}");
        }
    }
}
