//! Page tokens of `ListMovies` and `SearchMovies`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use movie_proto::catalog::v1::{ListMoviesRequest, SearchMoviesRequest};
use prost::Message;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::catalogue::HistoryPoint;

/// Maximum length of a token, in bytes. Ids have at most 128 characters.
const MAX_TOKEN_BYTES: usize = 1_024;

/// A position in a list: the movie after which the page starts, and the history point of the list.
///
/// A token is not confidential and grants no access. Its checksum detects altered tokens and tokens of another list.
/// Every node of the same version can read it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::servicer) struct PageToken {
    /// The history point that all pages of the list share.
    pub(in crate::servicer) point: HistoryPoint,
    /// Where the page starts: the id of the last movie before it or, for a search, the number of movies before it.
    pub(in crate::servicer) position: String,
}

impl PageToken {
    /// Encodes the token; `list` is the hash of the list's arguments.
    pub(in crate::servicer) fn encode(&self, list: u64) -> String {
        let checksum = self.checksum(list).to_be_bytes();
        URL_SAFE_NO_PAD.encode([&checksum[..], &self.point.to_bytes(), self.position.as_bytes()].concat())
    }

    /// Parses a token; `None` if it is invalid or belongs to another list.
    pub(in crate::servicer) fn parse(text: &str, list: u64) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (checksum, rest) = bytes.split_first_chunk()?;
        let (point, position) = rest.split_first_chunk()?;
        let token = Self {
            point: HistoryPoint::from_bytes(*point),
            position: str::from_utf8(position).ok()?.to_owned(),
        };
        (token.checksum(list) == u64::from_be_bytes(*checksum)).then_some(token)
    }

    fn checksum(&self, list: u64) -> u64 {
        xxh3_64_with_seed(&[&self.point.to_bytes(), self.position.as_bytes()].concat(), list)
    }
}

/// Returns a hash of the arguments that all pages of a list share.
pub(in crate::servicer) fn hash_of_list(request: &ListMoviesRequest) -> u64 {
    let shared = ListMoviesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    xxh3_64_with_seed(&shared.encode_to_vec(), 1)
}

/// Returns a hash of the arguments that all pages of a search share.
pub(in crate::servicer) fn hash_of_search(request: &SearchMoviesRequest) -> u64 {
    let shared = SearchMoviesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    xxh3_64_with_seed(&shared.encode_to_vec(), 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_parsed_as_it_was_encoded_and_refused_once_it_is_altered(
            point in any::<[u8; HistoryPoint::BYTES]>(), position in ".{0,20}", list in any::<u64>(), at in any::<usize>(),
            bit in 0..6_u8,
        ) {
            let token = PageToken { point: HistoryPoint::from_bytes(point), position };
            let mut text = token.encode(list);
            prop_assert_eq!(PageToken::parse(&text, list), Some(token));
            prop_assert_eq!(PageToken::parse(&text, list ^ 1), None);
            let at = at % text.len();
            let other = char::from(text.as_bytes()[at] ^ 1 << bit).to_string();
            if other.is_ascii() {
                text.replace_range(at..=at, &other);
                prop_assert_eq!(PageToken::parse(&text, list), None);
            }
        }

        #[test]
        fn text_that_is_not_a_token_is_refused(text in ".{0,40}") {
            prop_assert_eq!(PageToken::parse(&text, 0), None);
        }
    }
}
