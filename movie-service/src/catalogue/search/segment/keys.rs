//! The keys of the documents of a segment.

use crate::catalogue::search::segment::doc_set::DocId;

/// The key of each document of a segment, by doc id, and the doc ids in order of the keys.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Box<[u64]>,
    by_key: Box<[DocId]>,
}

/// Key of a deleted document. No other document has it.
const DELETED: u64 = u64::MAX;

impl Keys {
    /// Makes the keys of a segment from those of its documents, by doc id.
    pub(crate) fn new(keys: Vec<u64>) -> Self {
        let mut by_key: Box<[DocId]> = (0..keys.len() as DocId).collect();
        by_key.sort_unstable_by_key(|doc| keys[*doc as usize]);
        Self { keys: keys.into(), by_key }
    }

    /// Returns the key of a document.
    #[inline]
    pub(crate) fn key(&self, doc: DocId) -> u64 {
        self.keys[doc as usize]
    }

    /// Returns the document that has a key.
    pub(crate) fn doc(&self, key: u64) -> Option<DocId> {
        let at = self.by_key.binary_search_by_key(&key, |doc| self.key(*doc)).ok()?;
        self.by_key.get(at).copied()
    }

    /// Returns the keys after those of live documents have changed. Deleted documents are no longer found.
    pub(crate) fn remapped(&self, is_live: impl Fn(DocId) -> bool, new_key: impl Fn(u64) -> u64) -> Self {
        let key = |doc| if is_live(doc) { new_key(self.key(doc)) } else { DELETED };
        Self::new((0..self.keys.len() as DocId).map(key).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_their_documents_are_deleted() {
        let keys = Keys::new(vec![40, 10, 30]);
        assert_eq!([10, 30, 40, 20].map(|key| keys.doc(key)), [Some(1), Some(2), Some(0), None]);
        let remapped = keys.remapped(|doc| doc != 2, |key| key / 10);
        assert_eq!([1, 3, 4, 10].map(|key| remapped.doc(key)), [Some(1), None, Some(0), None]);
    }
}
