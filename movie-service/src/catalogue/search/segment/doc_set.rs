//! Sets of documents of a segment.

use crate::catalogue::search::budget::Budget;
use crate::catalogue::search::segment::reader::IndexSegment;
use crate::catalogue::search::segment::tombstones::Tombstones;

/// The number of a document in its segment: the lower, the more popular.
pub(crate) type DocId = u32;

/// A set of documents, as bits.
#[derive(Clone, Debug)]
pub(crate) struct DocSet {
    bits: Vec<u64>,
}

impl DocSet {
    /// Makes an empty set for doc ids below `documents`.
    pub(crate) fn new(documents: usize) -> Self {
        Self { bits: vec![0; documents / 64 + 1] }
    }

    /// Makes the set of all doc ids below `documents`.
    pub(crate) fn all(documents: usize) -> Self {
        let mut bits = vec![u64::MAX; documents / 64 + 1];
        if let Some(last) = bits.last_mut() {
            *last = (1 << (documents % 64)) - 1;
        }
        Self { bits }
    }

    /// Returns whether a document is in the set.
    #[inline]
    pub(crate) fn contains(&self, doc: DocId) -> bool {
        self.bits[doc as usize / 64] >> (doc % 64) & 1 == 1
    }

    /// Returns the number of documents.
    pub(crate) fn len(&self) -> usize {
        self.bits.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Returns whether there are no documents.
    pub(crate) fn is_empty(&self) -> bool {
        self.bits.iter().all(|bits| *bits == 0)
    }

    /// Returns the number of doc ids that fit.
    pub(crate) fn capacity(&self) -> usize {
        64 * self.bits.len()
    }

    /// Adds a document. Returns whether it is new.
    #[inline]
    pub(crate) fn insert(&mut self, doc: DocId) -> bool {
        let (bits, bit) = (&mut self.bits[doc as usize / 64], 1 << (doc % 64));
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    /// Adds the documents that have a word as whole title, and up to `most` others. `budget` is the number of postings that
    /// may still be read.
    pub(crate) fn add_list(
        &mut self,
        segment: &IndexSegment,
        ordinal: u32,
        budget: &mut Budget,
        most: usize,
    ) {
        if budget.is_spent() {
            return;
        }
        let most = most.min(budget.left());
        let read = segment.postings.read(ordinal, most, |doc| {
            self.bits[doc as usize / 64] |= 1 << (doc % 64);
        });
        budget.spend(read.max(1));
    }

    /// Adds the documents of another set.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits |= other);
    }

    /// Removes the documents that are not in another set.
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits &= other);
    }

    /// Removes the documents of another set.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(bits, other)| *bits &= !other);
    }

    /// Removes deleted documents.
    pub(crate) fn subtract_tombstones(&mut self, other: &Tombstones) {
        for (word, other) in other.words() {
            if let Some(bits) = self.bits.get_mut(word) {
                *bits &= !other;
            }
        }
    }

    /// Returns the documents, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DocId> {
        let words = self.bits.iter().enumerate().filter(|(_, bits)| **bits != 0);
        words.flat_map(|(word, bits)| bits_of(word, *bits))
    }
}

/// Returns the documents whose bits are set in a word of 64 bits of a set, in order.
pub(super) fn bits_of(word: usize, mut bits: u64) -> impl Iterator<Item = DocId> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(word as DocId * 64 + bit)
    })
}

/// An immutable set of documents: a list if it has few, else bits.
#[derive(Clone, Debug)]
pub(crate) enum CompactDocSet {
    List(Box<[DocId]>),
    /// With the number of documents.
    Bits(DocSet, usize),
}

/// Minimum number of documents in the segment for each one in a list. Bits take less memory than a longer list.
const MIN_DOCS_PER_LISTED_DOC: usize = 32;

impl CompactDocSet {
    /// Makes a set of documents, given in order, for doc ids below `documents`.
    pub(crate) fn new(docs: Vec<DocId>, documents: usize) -> Self {
        if docs.len() <= documents / MIN_DOCS_PER_LISTED_DOC {
            return Self::List(docs.into());
        }
        let (mut bits, len) = (DocSet::new(documents), docs.len());
        for doc in docs {
            bits.insert(doc);
        }
        Self::Bits(bits, len)
    }

    /// Returns the number of documents.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Bits(_, len) => *len,
        }
    }

    /// Adds the documents to a set.
    pub(crate) fn add_to(&self, docs: &mut DocSet) {
        match self {
            Self::List(list) => list.iter().for_each(|doc| {
                docs.insert(*doc);
            }),
            Self::Bits(bits, _) => docs.unite(bits),
        }
    }

    /// Returns how many of the documents are in a set.
    pub(crate) fn count_in(&self, docs: &DocSet) -> usize {
        match self {
            Self::List(list) => list.iter().filter(|doc| docs.contains(**doc)).count(),
            Self::Bits(bits, _) => {
                let both = bits.bits.iter().zip(&docs.bits).map(|(one, other)| one & other);
                both.map(|bits| bits.count_ones() as usize).sum()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_set_agree() {
        let docs: Vec<DocId> = vec![0, 3, 64, 127, 128];
        let mut some = DocSet::new(129);
        for doc in [3, 64, 65] {
            some.insert(doc);
        }
        for (set, is_list) in
            [(CompactDocSet::new(docs.clone(), 10_000), true), (CompactDocSet::new(docs.clone(), 129), false)]
        {
            assert_eq!(matches!(set, CompactDocSet::List(_)), is_list);
            let mut all = DocSet::new(10_000);
            set.add_to(&mut all);
            assert_eq!(all.iter().collect::<Vec<_>>(), docs);
            let mut with = some.clone();
            with.unite(&DocSet::new(10_000));
            assert_eq!((set.len(), set.count_in(&some)), (5, 2));
        }
        assert_eq!((DocSet::all(128).len(), DocSet::all(129).len()), (128, 129));
    }
}
