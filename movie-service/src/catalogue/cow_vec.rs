//! A vector that is cheap to clone and to change after that.

use std::sync::Arc;

/// Items that one chunk holds. The square root of the lengths to expect (10 million movies make 30,000
/// segments), so that cloning the vector costs about as much as cloning one chunk.
const CHUNK: usize = 256;

/// A vector in two levels of shared, copy-on-write parts.
///
/// A clone shares everything. A change to one item copies that item and the two short lists of
/// pointers above it, and only if a clone still shares them.
#[derive(Clone, Debug)]
pub(super) struct CowVec<T> {
    chunks: Vec<Arc<Vec<Arc<T>>>>,
}

impl<T> CowVec<T> {
    pub(super) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        full + self.chunks.last().map_or(0, |last| last.len())
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK).map(Arc::as_ref)
    }

    pub(super) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(Arc::new(item)),
            _ => self.chunks.push(Arc::new(vec![Arc::new(item)])),
        }
    }
}

impl<T: Clone> CowVec<T> {
    /// Returns an item to change it, copied first if it is shared.
    ///
    /// # Panics
    ///
    /// If there is no such item.
    pub(super) fn make_mut(&mut self, index: usize) -> &mut T {
        Arc::make_mut(&mut Arc::make_mut(&mut self.chunks[index / CHUNK])[index % CHUNK])
    }
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> FromIterator<T> for CowVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut vec = Self::default();
        items.into_iter().for_each(|item| vec.push(item));
        vec
    }
}

impl<T> std::ops::Index<usize> for CowVec<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_pushed_across_many_chunks() {
        let vec: CowVec<usize> = (0..=3 * CHUNK).collect();
        assert_eq!(vec.len(), 3 * CHUNK + 1);
        assert!((0..vec.len()).all(|index| vec[index] == index));
        assert_eq!(vec.get(vec.len()), None);
    }

    #[test]
    fn a_change_is_not_seen_by_clones() {
        let before: CowVec<usize> = (0..2 * CHUNK).collect();
        let mut after = before.clone();
        *after.make_mut(CHUNK + 1) = 0;
        after.push(7);
        assert_eq!((before[CHUNK + 1], after[CHUNK + 1]), (CHUNK + 1, 0));
        assert_eq!((before.len(), after.len()), (2 * CHUNK, 2 * CHUNK + 1));
    }

    #[test]
    fn a_change_copies_only_what_it_touches() {
        let before: CowVec<usize> = (0..2 * CHUNK).collect();
        let mut after = before.clone();
        *after.make_mut(0) = 9;
        assert!(!Arc::ptr_eq(&before.chunks[0], &after.chunks[0]));
        assert!(Arc::ptr_eq(&before.chunks[0][1], &after.chunks[0][1]));
        assert!(Arc::ptr_eq(&before.chunks[1], &after.chunks[1]));
    }
}
