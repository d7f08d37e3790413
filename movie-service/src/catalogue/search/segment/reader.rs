//! A segment as one version of the index sees it.

use std::sync::Arc;

use crate::catalogue::search::document::Popularity;
use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::facet_values::FacetValues;
use crate::catalogue::search::segment::forward::Forward;
use crate::catalogue::search::segment::keys::Keys;
use crate::catalogue::search::segment::postings::Postings;
use crate::catalogue::search::segment::tombstones::Tombstones;
use crate::catalogue::search::segment::vocabulary::Vocabulary;

/// Documents, indexed. Immutable.
#[derive(Debug)]
pub(crate) struct IndexSegment {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) postings: Postings,
    pub(crate) forward: Forward,
    pub(crate) facet_values: FacetValues,
    /// By doc id, descending.
    pub(crate) popularity: Vec<Popularity>,
    /// Number of letters of each word.
    pub(crate) lengths: Box<[u8]>,
    /// Ordinals of the articles.
    pub(crate) articles: Vec<u32>,
}

impl IndexSegment {
    /// Returns the number of documents, deleted ones included.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.popularity.len()
    }

    /// Returns whether there are no documents.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.popularity.is_empty()
    }
}

/// A segment, the keys of its documents, and its tombstones.
#[derive(Clone, Debug)]
pub(crate) struct SegmentReader {
    pub(crate) segment: Arc<IndexSegment>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) tombstones: Tombstones,
    /// For each facet value, the number of deleted documents that have it.
    pub(crate) deleted_per_value: Arc<Vec<u32>>,
}

impl SegmentReader {
    /// Makes a reader without tombstones.
    pub(crate) fn new((segment, keys): (IndexSegment, Keys)) -> Self {
        let deleted_per_value = Arc::new(vec![0; segment.facet_values.len()]);
        let (segment, keys) = (Arc::new(segment), Arc::new(keys));
        Self { segment, keys, tombstones: Tombstones::default(), deleted_per_value }
    }

    /// Returns whether a document is not deleted.
    #[inline]
    pub(crate) fn is_live(&self, doc: DocId) -> bool {
        !self.tombstones.contains(doc)
    }

    /// Returns the number of documents that are not deleted.
    pub(crate) fn live_count(&self) -> usize {
        self.segment.len() - self.tombstones.len()
    }

    /// Deletes the document of a key. Returns whether there was one.
    pub(crate) fn delete(&mut self, key: u64) -> bool {
        let Some(doc) = self.keys.doc(key).filter(|doc| self.is_live(*doc)) else {
            return false;
        };
        self.tombstones.insert(doc);
        let mut values = self.segment.forward.get(doc).facet_values.peekable();
        if values.peek().is_some() {
            let deleted = Arc::make_mut(&mut self.deleted_per_value);
            values.for_each(|value| deleted[value] += 1);
        }
        true
    }

    /// Returns the same documents with other keys. `new_key` returns the new key of each.
    pub(crate) fn with_keys(&self, new_key: impl Fn(u64) -> u64) -> Self {
        let keys = self.keys.remapped(|doc| self.is_live(doc), new_key);
        Self { keys: Arc::new(keys), ..self.clone() }
    }

    /// Returns whether both have the same segment and keys. Their tombstones may differ.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.segment, &other.segment) && Arc::ptr_eq(&self.keys, &other.keys)
    }
}
