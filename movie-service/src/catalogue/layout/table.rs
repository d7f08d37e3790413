//! A hash table of numbers whose entries are single words.
//!
//! Cache misses dominate the time of a lookup among millions of ids. Therefore a number and a part of the hash of its
//! key share eight bytes, and candidate entries are adjacent in memory.

/// The bits of a number.
pub(crate) const BITS: u32 = 40;

/// The bits of an entry that are part of the hash.
const TAG: u64 = !0 << BITS;

/// The content of an empty slot.
const EMPTY: u64 = !0;

/// Minimum number of slots of a table that is not empty.
const MIN_SLOTS: usize = 8;

/// A table with open addressing and linear probing: an entry is in its home slot or, if that is taken, in the run of
/// full slots after it (Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Zero or a power of two slots, of which at least an eighth is empty.
    slots: Vec<u64>,
    len: usize,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns a number that was added with this hash and for which `is_it` returns true.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(u64) -> bool) -> Option<u64> {
        self.slot(hash, |entry| is_it(entry & !TAG)).map(|slot| self.slots[slot] & !TAG)
    }

    /// Adds a number of at most [`BITS`] bits that are not all ones.
    pub(crate) fn insert(&mut self, hash: u64, number: u64) {
        debug_assert!(number < !TAG);
        self.reserve(1);
        self.put(hash & TAG | number);
    }

    /// Removes a number that was added with this hash.
    pub(crate) fn remove(&mut self, hash: u64, number: u64) {
        let Some(mut gap) = self.slot(hash, |entry| entry & !TAG == number) else { return };
        // The entries of the run move up, but not before their home slots (algorithm R, ibid.).
        let mut slot = self.next(gap);
        while self.slots[slot] != EMPTY {
            let home = self.home(self.slots[slot]);
            if self.distance(home, slot) >= self.distance(gap, slot) {
                self.slots[gap] = self.slots[slot];
                gap = slot;
            }
            slot = self.next(slot);
        }
        self.slots[gap] = EMPTY;
        self.len -= 1;
    }

    /// Reserves space for `more` numbers.
    pub(crate) fn reserve(&mut self, more: usize) {
        let wanted = self.len + more;
        if wanted > self.slots.len() / 8 * 7 {
            let slots = vec![EMPTY; (wanted * 8).div_ceil(7).next_power_of_two().max(MIN_SLOTS)];
            let old = std::mem::replace(&mut self.slots, slots);
            self.len = 0;
            old.into_iter().filter(|entry| *entry != EMPTY).for_each(|entry| self.put(entry));
        }
    }

    fn put(&mut self, entry: u64) {
        let mut slot = self.home(entry);
        while self.slots[slot] != EMPTY {
            slot = self.next(slot);
        }
        self.slots[slot] = entry;
        self.len += 1;
    }

    /// Returns the slot of an entry that has this hash and for which `is_it` returns true.
    fn slot(&self, hash: u64, is_it: impl Fn(u64) -> bool) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        let mut slot = self.home(hash);
        loop {
            match self.slots[slot] {
                EMPTY => return None,
                entry if (entry ^ hash) & TAG == 0 && is_it(entry) => return Some(slot),
                _ => slot = self.next(slot),
            }
        }
    }

    /// Returns the home slot of an entry or a hash. It depends only on the tag, so that the table can grow without
    /// the hashes.
    fn home(&self, entry: u64) -> usize {
        (entry >> BITS) as usize & (self.slots.len() - 1)
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Returns how many slots `to` is after `from`, with wrap-around.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_set_holds_however_hashes_collide(
            steps in proptest::collection::vec((0..4_u8, 0..40_u64), 0..300)
        ) {
            // Few hashes, so that runs are long, wrap around and share tags.
            let hash = |number: u64| (number % 5 * 0x0040_0003) << BITS | number;
            let (mut table, mut set) = (Table::default(), BTreeSet::new());
            for (step, number) in steps {
                if step == 0 {
                    table.remove(hash(number), number);
                    set.remove(&number);
                } else if set.insert(number) {
                    table.insert(hash(number), number);
                }
                prop_assert_eq!(table.len(), set.len());
                for number in 0..40 {
                    let found = table.find(hash(number), |other| other == number);
                    prop_assert_eq!(found, set.get(&number).copied());
                }
            }
        }
    }
}
