//! The prefix of a message: "Length-Prefixed-Message" in the gRPC over HTTP/2 protocol.

use crate::catalogue::encoding::frame;

/// Length of a prefix in bytes: the compression flag, and the length of the message in big-endian order.
pub(crate) const PREFIX_BYTES: usize = frame::PREFIX_BYTES;

/// The flag of a message that is not compressed.
pub(crate) const UNCOMPRESSED: u8 = 0;

/// The flag of a message that is compressed.
pub(crate) const COMPRESSED: u8 = 1;

/// A decoded prefix.
#[derive(Clone, Copy)]
pub(crate) struct Prefix {
    /// [`UNCOMPRESSED`] or [`COMPRESSED`]; a peer may also send an invalid flag.
    pub(crate) flag: u8,
    /// Length of the message in bytes, without the prefix.
    pub(crate) length: usize,
}

impl Prefix {
    /// Decodes a prefix. All bytes are valid.
    pub(crate) fn decode([flag, length @ ..]: [u8; PREFIX_BYTES]) -> Self {
        Self { flag, length: u32::from_be_bytes(length) as usize }
    }

    /// Decodes the prefix at the start of `bytes`, and returns the bytes after it; `None` if `bytes` are shorter than
    /// a prefix.
    pub(crate) fn split(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (prefix, rest) = bytes.split_first_chunk()?;
        Some((Self::decode(*prefix), rest))
    }
}
