//! The index of one version: an immutable base and small deltas. A copy shares everything.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalogue::search::document::Document;
use crate::catalogue::search::segment::builder::Builder;
use crate::catalogue::search::segment::data::Segment;
use crate::catalogue::search::segment::keys::{Keys, SharedPlaces};

/// Number of deltas of a tier that are merged into one of the next tier.
const FAN_OUT: usize = 8;
/// Maximum number of documents that a write merges. Larger merges run on a background thread, as a [`Merge`].
const MAX_MERGED_BY_WRITE: usize = 512;
/// The base is rebuilt once the documents of the deltas, and those removed from the base, exceed this part of it, as a
/// divisor.
const BASE_TO_DELTAS: usize = 8;

/// A change of the documents.
#[derive(Clone, Debug)]
pub(crate) enum Change<'a> {
    /// Adds a document, or replaces the one of the same key.
    Put(Document<'a>),
    /// Removes the document of a key, if there is one.
    Remove(u64),
}

impl Change<'_> {
    fn key(&self) -> u64 {
        match self {
            Self::Put(document) => document.key,
            Self::Remove(key) => *key,
        }
    }
}

/// The documents of one version, indexed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// From the oldest, the base, to the newest.
    parts: Vec<Part>,
}

/// A segment, with its documents that have been replaced or removed since.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) segment: Arc<Segment>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) removed: SharedPlaces,
    /// For each label, how many of the removed documents have it.
    pub(crate) removed_labels: Arc<Vec<u32>>,
}

impl Part {
    fn new((segment, keys): (Segment, Keys)) -> Self {
        let removed_labels = Arc::new(vec![0; segment.labels.len()]);
        let (segment, keys) = (Arc::new(segment), Arc::new(keys));
        Self { segment, keys, removed: SharedPlaces::default(), removed_labels }
    }

    /// Returns whether the document at a place is part of the version.
    #[inline]
    pub(crate) fn is_live(&self, place: u32) -> bool {
        !self.removed.contains(place)
    }

    /// Returns the number of documents that are part of the version.
    pub(crate) fn live(&self) -> usize {
        self.segment.len() - self.removed.len()
    }

    /// Removes the document of a key. Returns whether there was one.
    fn remove(&mut self, key: u64) -> bool {
        let Some(place) = self.keys.place(key).filter(|place| self.is_live(*place)) else {
            return false;
        };
        self.removed.insert(place);
        let mut labels = self.segment.forward.get(place).labels.peekable();
        if labels.peek().is_some() {
            let removed = Arc::make_mut(&mut self.removed_labels);
            labels.for_each(|label| removed[label] += 1);
        }
        true
    }

    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.segment, &other.segment) && Arc::ptr_eq(&self.keys, &other.keys)
    }
}

impl Index {
    /// Indexes documents.
    pub(crate) fn build<'a>(documents: impl Iterator<Item = Document<'a>>) -> Self {
        let mut builder = Builder::default();
        documents.for_each(|document| builder.push(&document));
        Self { parts: vec![Part::new(builder.finish())] }
    }

    /// Returns the number of documents.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(Part::live).sum()
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the index after `changes`. Later ones of the same key prevail.
    #[must_use]
    pub(crate) fn with(&self, changes: &[Change<'_>]) -> Self {
        let mut next = self.clone();
        let last: HashMap<u64, usize> =
            changes.iter().enumerate().map(|(at, change)| (change.key(), at)).collect();
        let mut builder = Builder::default();
        for (at, change) in changes.iter().enumerate() {
            if last.get(&change.key()) != Some(&at) {
                continue;
            }
            // At most one part has a live document of a key.
            let _ = next.parts.iter_mut().rev().any(|part| part.remove(change.key()));
            if let Change::Put(document) = change {
                builder.push(document);
            }
        }
        if !builder.is_empty() {
            next.parts.push(Part::new(builder.finish()));
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
        let part = |part: &Part| {
            let keys = Arc::new(part.keys.moved(|place| part.is_live(place), &new_key));
            Part { keys, ..part.clone() }
        };
        Self { parts: self.parts.iter().map(part).collect() }
    }

    /// Returns a merge for a background thread that makes searches faster: of small deltas, or of all parts into a new
    /// base.
    #[must_use]
    pub(crate) fn merge_due(&self) -> Option<Merge> {
        let base = self.parts.first()?;
        let deltas: usize = self.parts[1..].iter().map(|part| part.segment.len()).sum();
        if (deltas + base.removed.len()) * BASE_TO_DELTAS > base.segment.len()
            && deltas + base.removed.len() > MAX_MERGED_BY_WRITE
        {
            return Some(self.merge_of_all());
        }
        self.merge_of_tier(usize::MAX)
    }

    /// Returns a merge of all parts into a new base.
    #[must_use]
    pub(crate) fn merge_of_all(&self) -> Merge {
        Merge { parts: self.parts.clone() }
    }

    /// Returns a merge of the newest deltas if there are [`FAN_OUT`] of a tier or below.
    fn merge_of_tier(&self, most: usize) -> Option<Merge> {
        let deltas = self.parts.get(1..)?;
        let tier = deltas.last()?.segment.len().max(1).ilog(FAN_OUT);
        let run =
            deltas.iter().rev().take_while(|part| part.segment.len().max(1).ilog(FAN_OUT) <= tier).count();
        let parts = &deltas[deltas.len() - run..];
        let documents: usize = parts.iter().map(Part::live).sum();
        (run >= FAN_OUT && documents <= most).then(|| Merge { parts: parts.to_vec() })
    }

    /// Replaces the merged parts. Returns false if the index no longer has them: a write has merged them, or changed the
    /// keys of their documents. Documents that were replaced or removed while the merge ran stay removed.
    pub(crate) fn install(&mut self, merge: &Merge, merged: Merged) -> bool {
        let is_first = |part: &Part| merge.parts.first().is_some_and(|first| part.is_same(first));
        let Some(start) = self.parts.iter().position(is_first) else {
            return false;
        };
        let end = start + merge.parts.len();
        let Some(now) = self.parts.get(start..end) else {
            return false;
        };
        if !now.iter().zip(&merge.parts).all(|(now, then)| now.is_same(then)) {
            return false;
        }
        let mut part = merged.0;
        for (now, then) in now.iter().zip(&merge.parts).filter(|(now, then)| now.live() < then.live()) {
            for (word, bits) in now.removed.words() {
                let places = (0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| (word * 64) as u32 + bit);
                places.filter(|place| then.is_live(*place)).for_each(|place| {
                    part.remove(now.keys.key(place));
                });
            }
        }
        let keeps = start == 0 || part.live() > 0;
        self.parts.splice(start..end, keeps.then_some(part));
        true
    }
}

/// Parts of an index to be merged, without changing the index meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Merge {
    parts: Vec<Part>,
}

/// The result of a [`Merge`].
#[derive(Debug)]
pub(crate) struct Merged(Part);

impl Merge {
    /// Merges the documents that were live.
    #[must_use]
    pub(crate) fn run(&self) -> Merged {
        let mut builder = Builder::default();
        for part in &self.parts {
            builder.push_segment(&part.segment, &part.keys, |place| part.is_live(place));
        }
        Merged(Part::new(builder.finish()))
    }
}
