//! The keys of the documents of a segment, and sets of places that copies share.

use std::sync::Arc;

/// The key of each document of a segment, by place, and the places in order of the keys.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Box<[u64]>,
    by_key: Box<[u32]>,
}

/// Key of a document that has been removed. No other document has it.
const REMOVED: u64 = u64::MAX;

impl Keys {
    /// Makes the keys of a segment from those of its documents, by place.
    pub(crate) fn new(keys: Vec<u64>) -> Self {
        let mut by_key: Box<[u32]> = (0..keys.len() as u32).collect();
        by_key.sort_unstable_by_key(|place| keys[*place as usize]);
        Self { keys: keys.into(), by_key }
    }

    /// Returns the key of the document at a place.
    #[inline]
    pub(crate) fn key(&self, place: u32) -> u64 {
        self.keys[place as usize]
    }

    /// Returns the place of the document that has a key.
    pub(crate) fn place(&self, key: u64) -> Option<u32> {
        let at = self.by_key.binary_search_by_key(&key, |place| self.key(*place)).ok()?;
        self.by_key.get(at).copied()
    }

    /// Returns the keys after documents have moved; those of removed documents are no longer found.
    pub(crate) fn moved(&self, is_live: impl Fn(u32) -> bool, new_key: impl Fn(u64) -> u64) -> Self {
        let key = |place| if is_live(place) { new_key(self.key(place)) } else { REMOVED };
        Self::new((0..self.keys.len() as u32).map(key).collect())
    }
}

/// Words of a chunk of a [`SharedPlaces`].
const CHUNK: usize = 64;

/// A set of places that shares its chunks with its copies.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedPlaces {
    chunks: Arc<Vec<Option<Arc<[u64; CHUNK]>>>>,
    len: usize,
}

impl SharedPlaces {
    /// Returns the number of places.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether a place is in it.
    #[inline]
    pub(crate) fn contains(&self, place: u32) -> bool {
        if self.len == 0 {
            return false;
        }
        let word = place as usize / 64;
        let chunk = self.chunks.get(word / CHUNK).and_then(Option::as_ref);
        chunk.is_some_and(|chunk| chunk[word % CHUNK] >> (place % 64) & 1 == 1)
    }

    /// Adds a place that is not in it.
    pub(crate) fn insert(&mut self, place: u32) {
        let word = place as usize / 64;
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= word / CHUNK {
            chunks.resize(word / CHUNK + 1, None);
        }
        let chunk = chunks[word / CHUNK].get_or_insert_with(|| Arc::new([0; CHUNK]));
        Arc::make_mut(chunk)[word % CHUNK] |= 1 << (place % 64);
        self.len += 1;
    }

    /// Returns the words of 64 places that are not empty, with their numbers.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        let chunks = self.chunks.iter().enumerate();
        let words = chunks.filter_map(|(at, chunk)| Some((at * CHUNK, chunk.as_deref()?)));
        words.flat_map(|(start, chunk)| (start..).zip(chunk.iter().copied())).filter(|(_, bits)| *bits != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_their_documents_are_removed() {
        let keys = Keys::new(vec![40, 10, 30]);
        assert_eq!([10, 30, 40, 20].map(|key| keys.place(key)), [Some(1), Some(2), Some(0), None]);
        let moved = keys.moved(|place| place != 2, |key| key / 10);
        assert_eq!([1, 3, 4, 10].map(|key| moved.place(key)), [Some(1), None, Some(0), None]);
    }

    #[test]
    fn a_copy_of_shared_places_stays_as_it_was() {
        let mut places = SharedPlaces::default();
        places.insert(70_000);
        let before = places.clone();
        places.insert(3);
        assert!(places.contains(3) && places.contains(70_000) && !places.contains(71_000));
        assert!(!before.contains(3) && before.contains(70_000));
        assert_eq!(places.words().collect::<Vec<_>>(), [(0, 8), (70_000 / 64, 1 << (70_000 % 64))]);
    }
}
