//! A copy-on-write vector: cheap to clone, and cheap to change after a clone.

use std::sync::Arc;

/// Number of items in a chunk. About the square root of the expected length (10 million movies make 30,000 segments),
/// so that cloning the vector costs about as much as cloning one chunk.
const CHUNK_ITEMS: usize = 256;

/// A vector in shared, copy-on-write chunks, of items that are cheap to clone.
///
/// A clone shares all chunks. Changing an item copies its chunk only if a clone still shares it. Items are adjacent
/// in their chunk, so that an access costs a single cache miss.
#[derive(Clone, Debug)]
pub(crate) struct CowVec<T> {
    chunks: Vec<Arc<Vec<T>>>,
}

impl<T> CowVec<T> {
    pub(crate) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1) * CHUNK_ITEMS;
        full + self.chunks.last().map_or(0, |last| last.len())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_ITEMS)?.get(index % CHUNK_ITEMS)
    }
}

impl<T: Clone> CowVec<T> {
    pub(crate) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ITEMS => Arc::make_mut(chunk).push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_ITEMS);
                chunk.push(item);
                self.chunks.push(Arc::new(chunk));
            }
        }
    }

    /// Returns a mutable item. Copies its chunk first if the chunk is shared.
    ///
    /// # Panics
    ///
    /// If there is no such item.
    pub(crate) fn make_mut(&mut self, index: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[index / CHUNK_ITEMS])[index % CHUNK_ITEMS]
    }
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T: Clone> FromIterator<T> for CowVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut vec = Self::default();
        items.into_iter().for_each(|item| vec.push(item));
        vec
    }
}

impl<T> std::ops::Index<usize> for CowVec<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK_ITEMS][index % CHUNK_ITEMS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_pushed_across_many_chunks() {
        let vec: CowVec<usize> = (0..=3 * CHUNK_ITEMS).collect();
        assert_eq!(vec.len(), 3 * CHUNK_ITEMS + 1);
        assert!((0..vec.len()).all(|index| vec[index] == index));
        assert_eq!(vec.get(vec.len()), None);
    }

    #[test]
    fn a_change_is_not_seen_by_clones() {
        let before: CowVec<usize> = (0..2 * CHUNK_ITEMS).collect();
        let mut after = before.clone();
        *after.make_mut(CHUNK_ITEMS + 1) = 0;
        after.push(7);
        assert_eq!((before[CHUNK_ITEMS + 1], after[CHUNK_ITEMS + 1]), (CHUNK_ITEMS + 1, 0));
        assert_eq!((before.len(), after.len()), (2 * CHUNK_ITEMS, 2 * CHUNK_ITEMS + 1));
    }

    #[test]
    fn a_change_copies_only_the_chunk_that_it_touches() {
        let before: CowVec<usize> = (0..2 * CHUNK_ITEMS).collect();
        let mut after = before.clone();
        *after.make_mut(0) = 9;
        assert!(!Arc::ptr_eq(&before.chunks[0], &after.chunks[0]));
        assert!(Arc::ptr_eq(&before.chunks[1], &after.chunks[1]));
    }
}
