//! Requests and responses that are compressed, cut off, or too large.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzEncoder;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use proptest::prelude::*;
use tonic::{Code, Status};

use super::request::{DecompressedBody, MAX_INLINE_BYTES};
use super::response::{MIN_COMPRESSED_BYTES, compress, is_long};
use crate::blocking_pool::BlockingPool;
use crate::catalogue::encoding::frame;
use crate::server::call::message::prefix::{COMPRESSED, PREFIX_BYTES};
use crate::server::call::refusal::Refusal;

/// Returns the message with a prefix.
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

/// A request body that returns these frames.
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

/// Reads the request through a [`DecompressedBody`]; it arrives in parts of `cut` bytes.
async fn read(request: &[u8], cut: usize, max_bytes: usize) -> Result<Vec<u8>, Status> {
    let parts = request.chunks(cut).map(|part| Frame::data(Bytes::copy_from_slice(part)));
    let body = DecompressedBody::new(Parts(parts.collect()), max_bytes, BlockingPool::new());
    body.collect().await.map(|read| read.to_bytes().into())
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A message that is decompressed on this thread, or one that may be decompressed on a blocking thread.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let long = (0..4_u8, 0..=4_usize).prop_map(|(byte, excess)| vec![byte; MAX_INLINE_BYTES - 2 + excess]);
    prop_oneof![9 => proptest::collection::vec(0..4_u8, 0..300), 1 => long]
}

proptest! {
    #[test]
    fn messages_are_decompressed_however_the_bytes_are_cut(
        messages in proptest::collection::vec((any::<bool>(), any_message()), 0..6),
        cut in 1..400_usize,
    ) {
        let sent = messages.iter().flat_map(|(is_compressed, message)| {
            if *is_compressed { framed(1, &gzip(message)) } else { framed(0, message) }
        });
        let expected = messages.iter().flat_map(|(_, message)| framed(0, message));
        let read = block_on(read(&sent.collect::<Vec<_>>(), cut, MAX_INLINE_BYTES + 2)).unwrap();
        prop_assert_eq!(read, expected.collect::<Vec<_>>());
    }

    #[test]
    fn compressed_messages_are_decompressed_to_the_original(
        messages in proptest::collection::vec(proptest::collection::vec(0..4_u8, 0..3_000), 0..6),
    ) {
        let sent: Vec<u8> = messages.iter().flat_map(|message| framed(0, message)).collect();
        let compressed = compress(&sent);
        let flags: Vec<_> = frame::each(&compressed).map(|(_, frame)| frame[0] == COMPRESSED).collect();
        let long: Vec<_> = messages.iter().map(|message| message.len() >= MIN_COMPRESSED_BYTES).collect();
        prop_assert_eq!(flags, long);
        prop_assert_eq!(block_on(read(&compressed, 1_000, 3_000)).unwrap(), sent);
    }
}

#[test]
fn a_message_that_would_get_longer_is_not_compressed() {
    let noise: Vec<u8> =
        (0..500_u64).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect();
    let noise = framed(0, &gzip(&noise));
    assert!(is_long(noise.len()));
    assert_eq!(compress(&noise), noise);
}

#[tokio::test]
async fn the_size_of_a_message_is_limited_before_and_after_decompression() {
    for max_bytes in [1_000, MAX_INLINE_BYTES + 1] {
        let fits = gzip(&vec![7; max_bytes]);
        assert_eq!(read(&framed(1, &fits), 99, max_bytes).await.unwrap(), framed(0, &vec![7; max_bytes]));
        let bomb = gzip(&vec![7; max_bytes + 1]);
        for too_large in [framed(1, &bomb), framed(1, &vec![0; max_bytes + 1])] {
            let refused = read(&too_large, 99, max_bytes).await.unwrap_err();
            assert_eq!(refused.message(), Refusal::MessageTooLarge { max_bytes }.to_string());
        }
    }
}

#[tokio::test]
async fn invalid_gzip_and_truncated_messages_are_errors() {
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
