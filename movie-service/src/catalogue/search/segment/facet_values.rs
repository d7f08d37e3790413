//! The values of facets in a segment, and the documents that have them.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::segment::doc_set::{CompactDocSet, DocSet};

/// The facet values of a segment, by ordinal, in order of facet and value.
#[derive(Debug)]
pub(crate) struct FacetValues {
    values: Box<[FacetValue]>,
}

/// A value of a facet. Values that differ in case or accents are different ones.
#[derive(Debug)]
struct FacetValue {
    facet: Facet,
    value: Box<str>,
    /// The value without case and accents.
    folded: Box<str>,
    docs: CompactDocSet,
}

impl FacetValues {
    /// Returns the ordinals of the values of a facet.
    pub(crate) fn of(&self, facet: Facet) -> Range<usize> {
        let start = self.values.partition_point(|value| value.facet < facet);
        start..self.values.partition_point(|value| value.facet <= facet)
    }

    /// Returns the facet and the text of a value.
    pub(crate) fn get(&self, ordinal: usize) -> (Facet, &str) {
        (self.values[ordinal].facet, &self.values[ordinal].value)
    }

    /// Returns the folded text of a value.
    pub(crate) fn folded(&self, ordinal: usize) -> &str {
        &self.values[ordinal].folded
    }

    /// Returns the documents that have a value.
    pub(crate) fn docs(&self, ordinal: usize) -> &CompactDocSet {
        &self.values[ordinal].docs
    }

    /// Adds the documents that have one of some folded values to `docs`.
    pub(crate) fn add_docs(&self, facet: Facet, folded: &[String], docs: &mut DocSet) {
        for value in &self.values[self.of(facet)] {
            if folded.iter().any(|folded| **folded == *value.folded) {
                value.docs.add_to(docs);
            }
        }
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Makes the facet values of a segment.
#[derive(Debug, Default)]
pub(crate) struct FacetValuesBuilder {
    /// For each number a facet, a value of it, and the folded value.
    values: Vec<(Facet, Box<str>, Box<str>)>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl FacetValuesBuilder {
    /// Returns the number of a value, in the order in which values came. `folded` is called if it is new.
    pub(crate) fn intern(&mut self, facet: Facet, text: &str, folded: impl FnOnce() -> Box<str>) -> u32 {
        let Self { values, numbers, hasher } = self;
        let value = |number: &u32| {
            let (facet, text, _) = &values[*number as usize];
            (*facet, &**text)
        };
        let hash = |number: &u32| hasher.hash_one(value(number));
        match numbers.entry(hasher.hash_one((facet, text)), |number| value(number) == (facet, text), hash) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let number = values.len() as u32;
                entry.insert(number);
                values.push((facet, text.into(), folded()));
                number
            }
        }
    }

    /// Returns whether two numbers are of the same value, or of values that differ only in case or accents.
    pub(crate) fn is_same(&self, one: u32, other: u32) -> bool {
        let folded = |number: u32| {
            let (facet, _, folded) = &self.values[number as usize];
            (facet, folded)
        };
        one == other || folded(one) == folded(other)
    }

    /// Returns the values that documents have, and the ordinal of each number. `documents` are the numbers of the values of
    /// each document, by doc id.
    pub(crate) fn finish<'a>(
        self,
        documents: impl ExactSizeIterator<Item = &'a [u32]>,
    ) -> (FacetValues, Vec<u32>) {
        let count = documents.len();
        let mut docs = vec![Vec::new(); self.values.len()];
        for (doc, numbers) in (0..).zip(documents) {
            for number in numbers {
                docs[*number as usize].push(doc);
            }
        }
        let numbered = self.values.into_iter().zip(0..);
        let mut sorted: Vec<_> = numbered.filter(|(_, number)| !docs[*number].is_empty()).collect();
        sorted.sort_unstable();
        let mut ordinals = vec![0; docs.len()];
        let values = (0..).zip(sorted).map(|(ordinal, ((facet, value, folded), number))| {
            ordinals[number] = ordinal;
            let docs = CompactDocSet::new(std::mem::take(&mut docs[number]), count);
            FacetValue { facet, value, folded, docs }
        });
        (FacetValues { values: values.collect() }, ordinals)
    }
}
