//! Numbers for words while a segment is made.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::catalogue::search::segment::forward::MAX_ORDINAL;

/// Distinct words, numbered in the order in which they come. Their texts are in one buffer: a merge has many words, each of
/// them short.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    text: String,
    /// Where each word ends in `text`.
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Interner {
    /// Returns the number of words.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns a word.
    pub(crate) fn word(&self, number: u32) -> &str {
        word(&self.text, &self.ends, number)
    }

    /// Returns the number of a word.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let Self { text: all, ends, numbers, hasher } = self;
        let is_same = |number: &u32| word(all, ends, *number) == text;
        let hash = |number: &u32| hasher.hash_one(word(all, ends, *number));
        match numbers.entry(hasher.hash_one(text), is_same, hash) {
            Entry::Occupied(entry) => *entry.get(),
            // Beyond what the forward index can store, words count as the last one before.
            Entry::Vacant(_) if ends.len() as u32 == MAX_ORDINAL => MAX_ORDINAL - 1,
            Entry::Vacant(entry) => {
                let number = ends.len() as u32;
                entry.insert(number);
                all.push_str(text);
                ends.push(all.len() as u32);
                number
            }
        }
    }

    /// Returns the numbers of the words for which `is_wanted` is true, in order of the bytes of the words.
    pub(crate) fn sorted(&self, is_wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let numbers = (0..self.len() as u32).filter(|number| is_wanted(*number));
        // Most words differ in their first bytes, which are compared as one number.
        let mut sorted: Vec<(u64, u32)> =
            numbers.map(|number| (first_bytes(self.word(number)), number)).collect();
        sorted.sort_unstable_by(|(bytes, number), (other_bytes, other)| {
            bytes.cmp(other_bytes).then_with(|| match bytes & 0xff {
                0 => Ordering::Equal,
                _ => self.word(*number).cmp(self.word(*other)),
            })
        });
        sorted.into_iter().map(|(_, number)| number).collect()
    }
}

fn word<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let number = number as usize;
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &text[start as usize..ends[number] as usize]
}

/// Returns the first eight bytes of a word, zeros after its end. Words contain no zeros.
fn first_bytes(word: &str) -> u64 {
    let mut bytes = [0; 8];
    let len = word.len().min(8);
    bytes[..len].copy_from_slice(&word.as_bytes()[..len]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_have_one_number_each_and_are_sorted_by_their_bytes(
            words in prop::collection::vec("[ab]{1,3}|[a-zé千]{6,12}|a{7,10}", 0..40),
        ) {
            let mut interner = Interner::default();
            let numbers: Vec<u32> = words.iter().map(|word| interner.number(word)).collect();
            for (word, number) in words.iter().zip(numbers) {
                prop_assert_eq!(interner.word(number), word);
            }
            let sorted: Vec<&str> =
                interner.sorted(|number| number != 1).into_iter().map(|number| interner.word(number)).collect();
            let mut expected: BTreeSet<&str> = words.iter().map(String::as_str).collect();
            prop_assert_eq!(interner.len(), expected.len());
            if interner.len() > 1 {
                expected.remove(interner.word(1));
            }
            prop_assert_eq!(sorted, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
