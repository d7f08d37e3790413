//! The dictionary of a segment: the values that occur several times in its details, each stored once.
//!
//! Movies share genres, countries and languages, and a movie that was never updated has the same time twice. In the details
//! of a segment, such a value is a reference: the key of its field with [`REFERENCE`] as its wire type, and the number of
//! the value as a varint.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::mem;

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
        // Neighbours often have the same times. They are counted without hashing them.
        let (mut last, mut repeated) = (&[][..], 0);
        for value in all.flat_map(Details::values_with_lengths) {
            if value == last {
                repeated += 1;
            } else {
                *counts.entry(last).or_default() += mem::replace(&mut repeated, 1);
                last = value;
            }
        }
        *counts.entry(last).or_default() += repeated;
        let saves_memory =
            |(value, count): &(&[u8], usize)| count.saturating_sub(1) * value.len() > END_BYTES + count;
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

    /// Returns the memory that the values take, in bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + self.ends.size()
    }

    /// Reads some of the memory that the values are in, and returns what it read.
    pub(super) fn prefetch(&self) -> u8 {
        let first = self.get(0).and_then(<[u8]>::first);
        first.copied().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::encoding::record::Record;
    use crate::movie::{Movie, Timestamp};

    fn movie() -> impl Strategy<Value = Movie> {
        let texts = || proptest::collection::vec("(Drama|War|É|[a-z]{1,200})", 0..4);
        let time = || proptest::option::of((0..3_i64, 0..3_i32));
        (texts(), texts(), time(), time(), 0..3_i64, proptest::option::of(0.0..1.0_f32)).prop_map(
            |(genres, cast, create_time, update_time, year, rating)| {
                let [create_time, update_time] = [create_time, update_time]
                    .map(|time| time.map(|(seconds, nanos)| Timestamp { seconds, nanos }));
                Movie { rating, year, genres, create_time, update_time, cast, ..Movie::default() }
            },
        )
    }

    proptest! {
        #[test]
        fn details_with_references_are_those_without(
            movies in proptest::collection::vec(movie(), 0..20),
            other in movie(),
        ) {
            let records: Vec<_> = movies.iter().map(Record::of).collect();
            let (dictionary, numbers) = Dictionary::of(records.iter().map(|record| record.movie().details));
            for (value, number) in &numbers {
                prop_assert_eq!(dictionary.get(*number), Some(*value));
                prop_assert_eq!(dictionary.find(value), Some(*number).filter(|number| *number < MAX_COMPARED));
            }
            prop_assert_eq!(dictionary.get(numbers.len()), None);
            let other = Record::of(&other);
            for record in records.iter().chain([&other]) {
                let plain = record.movie().details;
                let mut stored = Vec::new();
                plain.put_with_references(|value| numbers.get(value).copied(), &mut stored);
                let details = Details::with_references(&stored, &dictionary);
                let mut bytes = Vec::new();
                details.put(&mut bytes);
                prop_assert_eq!(details, plain);
                prop_assert_eq!(details.len(), bytes.len());
                prop_assert_eq!(record.bytes().strip_suffix(&*bytes).is_some(), true);
                prop_assert_eq!(plain.len(), bytes.len());
            }
        }
    }
}
