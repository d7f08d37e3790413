//! Length-prefixed messages of gRPC (gRPC over HTTP/2, "Requests").

use std::io::Read;

use flate2::Compression;
use flate2::bufread::GzEncoder;

/// Returns a length-prefixed message: the body of a call with one message.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// Returns a length-prefixed message that [`gzip`] has compressed.
pub(crate) fn framed_gzip(gzip: &[u8]) -> Vec<u8> {
    let mut framed = framed(gzip);
    framed[0] = 1;
    framed
}

/// Compresses a message.
pub(crate) fn gzip(message: &[u8]) -> Vec<u8> {
    let mut gzip = Vec::new();
    GzEncoder::new(message, Compression::best()).read_to_end(&mut gzip).unwrap();
    gzip
}
