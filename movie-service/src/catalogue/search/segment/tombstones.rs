//! The deleted documents of a segment.

use std::sync::Arc;

use crate::catalogue::search::segment::doc_set::{DocId, bits_of};

/// Number of words of 64 bits in a chunk of [`Tombstones`].
const CHUNK_WORDS: usize = 64;

/// A set of deleted documents. It shares its chunks with its copies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tombstones {
    chunks: Arc<Vec<Option<Arc<[u64; CHUNK_WORDS]>>>>,
    len: usize,
}

impl Tombstones {
    /// Returns the number of documents.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether a document is deleted.
    #[inline]
    pub(crate) fn contains(&self, doc: DocId) -> bool {
        if self.len == 0 {
            return false;
        }
        let word = doc as usize / 64;
        let chunk = self.chunks.get(word / CHUNK_WORDS).and_then(Option::as_ref);
        chunk.is_some_and(|chunk| chunk[word % CHUNK_WORDS] >> (doc % 64) & 1 == 1)
    }

    /// Adds a document that is not deleted yet.
    pub(crate) fn insert(&mut self, doc: DocId) {
        let word = doc as usize / 64;
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.len() <= word / CHUNK_WORDS {
            chunks.resize(word / CHUNK_WORDS + 1, None);
        }
        let chunk = chunks[word / CHUNK_WORDS].get_or_insert_with(|| Arc::new([0; CHUNK_WORDS]));
        Arc::make_mut(chunk)[word % CHUNK_WORDS] |= 1 << (doc % 64);
        self.len += 1;
    }

    /// Returns the words of 64 bits that are not 0, each with its number.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        let chunks = self.chunks.iter().enumerate();
        let words = chunks.filter_map(|(at, chunk)| Some((at * CHUNK_WORDS, chunk.as_deref()?)));
        words.flat_map(|(start, chunk)| (start..).zip(chunk.iter().copied())).filter(|(_, bits)| *bits != 0)
    }

    /// Returns the documents, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DocId> {
        self.words().flat_map(|(word, bits)| bits_of(word, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_tombstones_stays_as_it_was() {
        let mut deleted = Tombstones::default();
        deleted.insert(70_000);
        let before = deleted.clone();
        deleted.insert(3);
        assert!(deleted.contains(3) && deleted.contains(70_000) && !deleted.contains(71_000));
        assert!(!before.contains(3) && before.contains(70_000));
        assert_eq!(deleted.iter().collect::<Vec<_>>(), [3, 70_000]);
        assert_eq!((deleted.len(), before.len()), (2, 1));
    }
}
