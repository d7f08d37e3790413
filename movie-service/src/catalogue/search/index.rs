//! The index of one version: an immutable base and small deltas. A copy shares everything.

use std::collections::HashMap;

use crate::catalogue::search::document::Document;
use crate::catalogue::search::segment::builder::SegmentBuilder;
use crate::catalogue::search::segment::reader::SegmentReader;

/// Number of deltas of a tier that are merged into one of the next tier.
const FAN_OUT: usize = 8;
/// Maximum number of documents that a write merges. Larger merges run on a background thread, as a [`Merge`].
const MAX_MERGED_BY_WRITE: usize = 512;
/// The base is rebuilt once it has less than this many times the documents of the deltas and the deleted documents.
const MIN_BASE_TO_DELTAS_RATIO: usize = 8;

/// A change of the documents.
#[derive(Clone, Debug)]
pub(crate) enum DocumentChange<'a> {
    /// Adds a document, or replaces the one of the same key.
    Put(Document<'a>),
    /// Removes the document of a key, if there is one.
    Remove(u64),
}

impl DocumentChange<'_> {
    fn key(&self) -> u64 {
        match self {
            Self::Put(document) => document.key,
            Self::Remove(key) => *key,
        }
    }
}

/// The documents of one version, indexed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchIndex {
    /// From the oldest, the base, to the newest.
    segments: Vec<SegmentReader>,
}

impl SearchIndex {
    /// Indexes documents.
    pub(crate) fn build<'a>(documents: impl Iterator<Item = Document<'a>>) -> Self {
        let mut builder = SegmentBuilder::default();
        documents.for_each(|document| builder.push(&document));
        Self { segments: vec![SegmentReader::new(builder.finish())] }
    }

    /// Returns the number of documents.
    pub(crate) fn len(&self) -> usize {
        self.segments.iter().map(SegmentReader::live_count).sum()
    }

    /// Returns the segments, from the oldest to the newest.
    pub(crate) fn segments(&self) -> &[SegmentReader] {
        &self.segments
    }

    /// Returns the index after `changes`. Later ones of the same key prevail.
    #[must_use]
    pub(crate) fn with(&self, changes: &[DocumentChange<'_>]) -> Self {
        let mut next = self.clone();
        let last: HashMap<u64, usize> =
            changes.iter().enumerate().map(|(at, change)| (change.key(), at)).collect();
        let mut builder = SegmentBuilder::default();
        for (at, change) in changes.iter().enumerate() {
            if last.get(&change.key()) != Some(&at) {
                continue;
            }
            // At most one segment has a live document of a key.
            let _ = next.segments.iter_mut().rev().any(|reader| reader.delete(change.key()));
            if let DocumentChange::Put(document) = change {
                builder.push(document);
            }
        }
        if !builder.is_empty() {
            next.segments.push(SegmentReader::new(builder.finish()));
        }
        while let Some(merge) = next.merge_of_tier(MAX_MERGED_BY_WRITE) {
            let merged = merge.run();
            next.install(&merge, merged);
        }
        next
    }

    /// Returns the same documents with other keys. `new_key` returns the new key of each.
    #[must_use]
    pub(crate) fn with_keys(&self, new_key: impl Fn(u64) -> u64) -> Self {
        Self { segments: self.segments.iter().map(|reader| reader.with_keys(&new_key)).collect() }
    }

    /// Returns a merge for a background thread that makes searches faster: of small deltas, or of all segments into a
    /// new base.
    #[must_use]
    pub(crate) fn merge_due(&self) -> Option<Merge> {
        let base = self.segments.first()?;
        let deltas: usize = self.segments[1..].iter().map(|reader| reader.segment.len()).sum();
        if (deltas + base.tombstones.len()) * MIN_BASE_TO_DELTAS_RATIO > base.segment.len()
            && deltas + base.tombstones.len() > MAX_MERGED_BY_WRITE
        {
            return Some(self.merge_of_all());
        }
        self.merge_of_tier(usize::MAX)
    }

    /// Returns a merge of all segments into a new base.
    #[must_use]
    pub(crate) fn merge_of_all(&self) -> Merge {
        Merge { segments: self.segments.clone() }
    }

    /// Returns a merge of the newest deltas if there are [`FAN_OUT`] of a tier or below.
    fn merge_of_tier(&self, most: usize) -> Option<Merge> {
        let deltas = self.segments.get(1..)?;
        let tier = deltas.last()?.segment.len().max(1).ilog(FAN_OUT);
        let run = deltas
            .iter()
            .rev()
            .take_while(|reader| reader.segment.len().max(1).ilog(FAN_OUT) <= tier)
            .count();
        let segments = &deltas[deltas.len() - run..];
        let documents: usize = segments.iter().map(SegmentReader::live_count).sum();
        (run >= FAN_OUT && documents <= most).then(|| Merge { segments: segments.to_vec() })
    }

    /// Replaces the merged segments. Returns false if the index no longer has them: a write has merged them, or changed the
    /// keys of their documents. Documents that were replaced or removed while the merge ran stay deleted.
    pub(crate) fn install(&mut self, merge: &Merge, merged: Merged) -> bool {
        let is_first =
            |reader: &SegmentReader| merge.segments.first().is_some_and(|first| reader.is_same(first));
        let Some(start) = self.segments.iter().position(is_first) else {
            return false;
        };
        let end = start + merge.segments.len();
        let Some(now) = self.segments.get(start..end) else {
            return false;
        };
        if !now.iter().zip(&merge.segments).all(|(now, then)| now.is_same(then)) {
            return false;
        }
        let mut reader = merged.0;
        for (now, then) in
            now.iter().zip(&merge.segments).filter(|(now, then)| now.live_count() < then.live_count())
        {
            for doc in now.tombstones.iter().filter(|doc| then.is_live(*doc)) {
                reader.delete(now.keys.key(doc));
            }
        }
        let keeps = start == 0 || reader.live_count() > 0;
        self.segments.splice(start..end, keeps.then_some(reader));
        true
    }
}

/// Segments of an index to be merged, without changing the index meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    segments: Vec<SegmentReader>,
}

/// The result of a [`Merge`].
#[derive(Debug)]
pub(crate) struct Merged(SegmentReader);

impl Merge {
    /// Merges the documents that were live.
    #[must_use]
    pub(crate) fn run(&self) -> Merged {
        let mut builder = SegmentBuilder::default();
        for reader in &self.segments {
            builder.push_segment(&reader.segment, &reader.keys, |doc| reader.is_live(doc));
        }
        Merged(SegmentReader::new(builder.finish()))
    }
}
