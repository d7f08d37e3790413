//! How many of the documents found have each value of a facet.

use std::collections::HashMap;

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::index::{Index, Part};

/// The values of a facet, the most frequent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FacetCounts {
    pub(crate) facet: Facet,
    /// Each value with the number of documents that have it.
    pub(crate) values: Vec<(String, usize)>,
}

/// Counts the labels of documents.
pub(crate) struct Counter<'a> {
    parts: &'a [Part],
    facets: &'a [Facet],
    /// For each part, by the ordinals of its labels.
    counts: Vec<Vec<usize>>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(index: &'a Index, facets: &'a [Facet]) -> Self {
        let len = |part: &Part| if facets.is_empty() { 0 } else { part.segment.labels.len() };
        let parts = index.parts();
        Self { parts, facets, counts: parts.iter().map(|part| vec![0; len(part)]).collect() }
    }

    /// Counts a document, or only its values of one facet.
    pub(crate) fn count(&mut self, part: u32, place: u32, only: Option<Facet>) {
        if self.facets.is_empty() {
            return;
        }
        let segment = &*self.parts[part as usize].segment;
        for label in segment.forward.get(place).labels {
            if only.is_none_or(|facet| segment.labels.get(label).0 == facet) {
                self.counts[part as usize][label] += 1;
            }
        }
    }

    /// Adds a number of documents that have a label.
    pub(crate) fn add(&mut self, part: usize, label: usize, documents: usize) {
        self.counts[part][label] += documents;
    }

    /// Returns the counts of each facet.
    pub(crate) fn finish(self) -> Vec<FacetCounts> {
        let of_facet = |facet: Facet| {
            let mut sums: HashMap<&str, usize> = HashMap::new();
            for (part, counts) in self.parts.iter().zip(&self.counts) {
                for label in part.segment.labels.of(facet).filter(|label| counts[*label] > 0) {
                    *sums.entry(part.segment.labels.get(label).1).or_default() += counts[label];
                }
            }
            ranked(facet, sums.into_iter().map(|(value, count)| (value.to_owned(), count)))
        };
        self.facets.iter().map(|facet| of_facet(*facet)).collect()
    }
}

/// Returns values in order of their counts, those of the same count by their text.
pub(crate) fn ranked(facet: Facet, values: impl Iterator<Item = (String, usize)>) -> FacetCounts {
    let mut values: Vec<(String, usize)> = values.collect();
    values.sort_unstable_by(|(one, count), (other, count_of_other)| {
        count_of_other.cmp(count).then_with(|| one.cmp(other))
    });
    FacetCounts { facet, values }
}
