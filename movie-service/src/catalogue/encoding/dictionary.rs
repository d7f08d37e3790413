//! The dictionary of a segment: the values that occur several times in its details, each stored once.
//!
//! Movies share genres, countries and languages, and a movie that was never updated has the same time twice. In the details
//! of a segment, such a value is a reference: the key of its field with [`REFERENCE`] as its wire type, and the number of
//! the value as a varint.

use std::cmp::Reverse;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::catalogue::encoding::details::Details;
use crate::catalogue::encoding::offsets::Offsets;

/// The wire type of a reference, which protobuf does not use.
pub(super) const REFERENCE: u64 = 7;

/// The number of values that [`Dictionary::find`] compares: those whose references take two bytes.
const MAX_COMPARED: usize = 128;

/// The size of an entry without its bytes.
const END_BYTES: usize = size_of::<u16>();

/// Values, numbered from the most frequent one.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    bytes: Box<[u8]>,
    /// For each value, its end in `bytes`.
    ends: Offsets,
}

impl Dictionary {
    /// Returns the values that take less memory in a dictionary than in these details, and their numbers.
    pub(crate) fn of<'a>(all: impl Iterator<Item = Details<'a>>) -> (Self, Numbers<'a>) {
        let mut counts = HashMap::<&[u8], usize, _>::with_hasher(RandomState::default());
        all.flat_map(Details::values_with_lengths).for_each(|value| *counts.entry(value).or_default() += 1);
        let saves_memory = |(value, count): &(&[u8], usize)| (count - 1) * value.len() > END_BYTES + count;
        let mut values: Vec<_> = counts.into_iter().filter(saves_memory).collect();
        values.sort_unstable_by_key(|(value, count)| (Reverse(*count), *value));
        let (mut bytes, mut ends, mut numbers) = (Vec::new(), Vec::new(), Numbers::default());
        for (value, _) in &values {
            bytes.extend_from_slice(value);
            let Ok(end) = u32::try_from(bytes.len()) else { break };
            numbers.insert(value, ends.len());
            ends.push(end);
        }
        (Self { bytes: bytes.into(), ends: ends.into() }, numbers)
    }

    /// Returns the value with this number.
    pub(super) fn get(&self, number: usize) -> Option<&[u8]> {
        let is_known = number < self.ends.len();
        is_known.then(|| &self.bytes[self.ends.start(number)..self.ends.start(number + 1)])
    }

    /// Returns the number of a value, if it is one of the most frequent.
    pub(crate) fn find(&self, value: &[u8]) -> Option<usize> {
        (0..self.ends.len().min(MAX_COMPARED)).find(|number| self.get(*number) == Some(value))
    }
}

/// The numbers of the values of a dictionary.
pub(crate) type Numbers<'a> = HashMap<&'a [u8], usize, RandomState>;
