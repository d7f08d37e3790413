//! Compression of messages with gzip, each message by itself.
//!
//! The generated code sees no compressed message: [`DecompressedBody`](request::DecompressedBody) decompresses requests
//! before it, [`CompressedBody`](response::CompressedBody) compresses its responses. Unlike tonic's own support, this
//! limits the decompressed size per RPC and leaves short responses uncompressed.
//! <https://github.com/grpc/grpc/blob/master/doc/compression.md>
//!
//! * `negotiation` — the headers that name encodings;
//! * `request` and `response` — the bodies.

pub(crate) mod negotiation;
pub(crate) mod request;
pub(crate) mod response;
#[cfg(test)]
mod tests;
