//! Resume tokens of `WatchMovies`: a history point as text.
//!
//! A token is not confidential and grants no access. Every node of the same store can read it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::catalogue::HistoryPoint;

/// Encodes a point.
pub(in crate::servicer) fn encode(point: HistoryPoint) -> String {
    URL_SAFE_NO_PAD.encode(point.to_bytes())
}

/// Parses a token; `None` if it is invalid.
pub(in crate::servicer) fn parse(token: &str) -> Option<HistoryPoint> {
    // Base64 encodes 3 bytes as 4 characters.
    if token.len() != HistoryPoint::BYTES / 3 * 4 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    Some(HistoryPoint::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::ChainValue;
    use crate::movie::Revision;

    proptest! {
        #[test]
        fn a_token_is_parsed_as_it_was_encoded(revision in any::<u64>(), chain in any::<[u8; 16]>()) {
            let point = HistoryPoint { revision: Revision::new(revision), chain: ChainValue::from_bytes(chain) };
            prop_assert_eq!(parse(&encode(point)), Some(point));
        }

        #[test]
        fn text_that_is_not_a_token_is_refused(text in "[ -~]{0,31}|[A-Za-z0-9_-]{33,40}|.{0,40} ") {
            prop_assert_eq!(parse(&text), None);
        }
    }
}
