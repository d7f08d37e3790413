//! History points: a revision and a hash chain over the changes that led to it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::movie::Revision;

/// A hash over all changes of one history, from its beginning up to one revision.
///
/// A revision is only a number: after a failover that lost commits, or a restore, the same number can stand for other
/// movies. Two states with the same chain value were reached by the same changes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ChainValue([u8; Self::BYTES]);

impl ChainValue {
    /// The length of a chain value, in bytes: a SHA-256 truncated to half, or the 128-bit digest of a snapshot.
    pub const BYTES: usize = 16;

    /// Returns the chain value with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Displays hexadecimal digits, as SQL clients do.
impl fmt::Debug for ChainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A revision and the chain value at it: identifies one state of one history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryPoint {
    /// The revision. The history of an SQL store begins at 0, that of a JSON database at the modification time of its
    /// file.
    pub revision: Revision,
    /// The chain value at this revision.
    pub chain: ChainValue,
}

impl HistoryPoint {
    /// The length of [`Self::to_bytes`].
    pub const BYTES: usize = 8 + ChainValue::BYTES;

    /// Returns the point after one more change of the movie `id`: to the encoded `movie` or, if `None`, its removal.
    #[must_use]
    pub fn next(self, id: &str, movie: Option<&[u8]>) -> Self {
        let revision = self.revision.plus(1);
        let mut hash = Sha256::new();
        hash.update(self.chain.0);
        hash.update(revision.number().to_be_bytes());
        // The length makes the parts unambiguous.
        hash.update((id.len() as u64).to_be_bytes());
        hash.update(id);
        hash.update([u8::from(movie.is_some())]);
        hash.update(movie.unwrap_or_default());
        let mut chain = [0; ChainValue::BYTES];
        chain.copy_from_slice(&hash.finalize()[..ChainValue::BYTES]);
        Self { revision, chain: ChainValue(chain) }
    }

    /// Returns the point as bytes, for tokens.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.revision.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.chain.0);
        bytes
    }

    /// Reads a point from the bytes of [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (mut revision, mut chain) = ([0; 8], [0; ChainValue::BYTES]);
        revision.copy_from_slice(&bytes[..8]);
        chain.copy_from_slice(&bytes[8..]);
        Self { revision: Revision::new(u64::from_be_bytes(revision)), chain: ChainValue(chain) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: HistoryPoint = HistoryPoint { revision: Revision::new(7), chain: ChainValue([1; 16]) };

    #[test]
    fn a_chain_value_does_not_change_with_the_version_of_the_program() {
        let next = START.next("tt1", Some(b"movie"));
        assert_eq!(next.revision, Revision::new(8));
        assert_eq!(format!("{:?}", next.chain), CHAIN_VALUE);
    }

    #[test]
    fn a_chain_value_takes_16_bytes() {
        assert_eq!(size_of::<ChainValue>(), 16);
    }

    /// `sha256sum`, cut to 32 digits, of: 16 bytes 01, 8 as eight bytes, 3 as eight bytes, `tt1`, 01, `movie`.
    const CHAIN_VALUE: &str = "7564f100102adcf5107e529310e6abba";

    #[test]
    fn each_part_of_a_change_makes_another_chain_value() {
        let other = HistoryPoint { chain: ChainValue([2; 16]), ..START };
        let later = HistoryPoint { revision: Revision::new(8), ..START };
        let values = [
            START.next("tt1", Some(b"movie")),
            START.next("tt1", Some(b"Movie")),
            START.next("tt1", Some(b"")),
            START.next("tt1", None),
            START.next("tt1m", Some(b"ovie")),
            START.next("tt2", Some(b"movie")),
            other.next("tt1", Some(b"movie")),
            later.next("tt1", Some(b"movie")),
        ];
        for (number, value) in values.iter().enumerate() {
            assert!(values[..number].iter().all(|earlier| earlier.chain != value.chain), "{number}");
        }
    }

    proptest! {
        #[test]
        fn a_point_is_read_as_it_was_written(revision in any::<u64>(), chain in any::<[u8; 16]>()) {
            let point = HistoryPoint { revision: Revision::new(revision), chain: ChainValue(chain) };
            prop_assert_eq!(HistoryPoint::from_bytes(point.to_bytes()), point);
        }
    }
}
