//! Random choices that are the same in every run with the same seed.

use crate::bench::data::mixed;

/// A sequence of random numbers. Not for secrets.
pub(super) struct Random(u64);

impl Random {
    /// Returns the sequence of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(mixed(seed))
    }

    /// Returns a number below `limit`, which must not be 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = mixed(self.0);
        // The remainder prefers small numbers by less than one in 2^40 for all lists here.
        usize::try_from(self.0 >> 1).unwrap_or(usize::MAX) % limit
    }

    /// Returns an item of a list, which must not be empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Returns `count` items of a list at different positions, in random order; all items if there are fewer.
    pub(super) fn sample<T: Clone>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut items = items.to_vec();
        let count = count.min(items.len());
        for chosen in 0..count {
            let left = items.len() - chosen;
            items.swap(chosen, chosen + self.below(left));
        }
        items.truncate(count);
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_each_item_at_most_once() {
        let items: Vec<u32> = (0..100).collect();
        let mut sample = Random::new(1).sample(&items, 60);
        assert_ne!(sample, Random::new(2).sample(&items, 60));
        sample.sort_unstable();
        sample.dedup();
        assert_eq!(sample.len(), 60);
        assert_eq!(Random::new(1).sample(&items, 200).len(), 100);
    }
}
