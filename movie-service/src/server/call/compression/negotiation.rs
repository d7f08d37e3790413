//! The headers that name the encodings of messages.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::server::call::refusal::Refusal;

pub(crate) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The encoding of a response in which messages may be compressed.
pub(crate) const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// The encodings of requests that are accepted.
pub(crate) const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,identity");

/// Returns whether `grpc-encoding` is gzip. Without the header, messages are uncompressed.
///
/// # Errors
///
/// [`Refusal::UnsupportedEncoding`] if it is another encoding.
pub(crate) fn is_request_compressed(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Refusal::UnsupportedEncoding),
    }
}

/// Returns whether a caller accepts messages that are compressed with gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(GRPC_ACCEPT_ENCODING).iter();
    accepted
        .any(|names| names.as_bytes().split(|&byte| byte == b',').any(|name| name.trim_ascii() == b"gzip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_accepted_if_the_headers_list_it() {
        let headers = |values: &[&'static str]| {
            let values = values.iter().map(|value| (GRPC_ACCEPT_ENCODING, HeaderValue::from_static(value)));
            values.collect::<HeaderMap>()
        };
        for accepted in [&["gzip"][..], &["identity, deflate, gzip"], &["identity", "gzip"]] {
            assert!(accepts_gzip(&headers(accepted)), "{accepted:?}");
        }
        for other in [&[][..], &[""], &["identity,deflate,xgzip"], &["gzip;q=0"]] {
            assert!(!accepts_gzip(&headers(other)), "{other:?}");
        }
    }
}
