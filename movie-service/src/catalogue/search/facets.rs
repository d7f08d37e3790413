//! How many of the documents found have each value of a facet.

use std::cmp::Reverse;

use crate::catalogue::search::document::Facet;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::segment::doc_set::DocId;
use crate::catalogue::search::segment::reader::SegmentReader;

/// The values of a facet, the most frequent first; those of the same count by their text.
///
/// Values that differ only in case or accents are one, in its most frequent spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FacetCounts {
    pub(crate) facet: Facet,
    /// Each value with the number of documents that have it.
    pub(crate) values: Vec<(String, usize)>,
}

impl FacetCounts {
    /// Adds up the counts of values. Each is given as its folded text, its text, and a number of documents.
    pub(crate) fn new<'a>(facet: Facet, counts: impl Iterator<Item = (&'a str, &'a str, usize)>) -> Self {
        let sum = |counts: &[(&str, &str, usize)]| counts.iter().map(|(_, _, count)| count).sum::<usize>();
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        let spellings = counts.chunk_by(|(folded, ..), (other, ..)| folded == other).filter_map(|same| {
            let spellings = same.chunk_by(|(_, value, _), (_, other, _)| value == other);
            let (_, Reverse(value)) = spellings.map(|same| (sum(same), Reverse(same[0].1))).max()?;
            Some((value.to_owned(), sum(same)))
        });
        let mut values: Vec<(String, usize)> = spellings.collect();
        values.sort_unstable_by(|(one, count), (other, count_of_other)| {
            count_of_other.cmp(count).then_with(|| one.cmp(other))
        });
        Self { facet, values }
    }
}

/// Counts the facet values of documents.
pub(crate) struct Counter<'a> {
    segments: &'a [SegmentReader],
    facets: &'a [Facet],
    /// For each segment, by the ordinals of its facet values.
    counts: Vec<Vec<usize>>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(index: &'a SearchIndex, facets: &'a [Facet]) -> Self {
        let len = |reader: &SegmentReader| {
            if facets.is_empty() { 0 } else { reader.segment.facet_values.len() }
        };
        let segments = index.segments();
        Self { segments, facets, counts: segments.iter().map(|reader| vec![0; len(reader)]).collect() }
    }

    /// Counts a document, or only its values of one facet.
    pub(crate) fn count(&mut self, segment_ord: u32, doc: DocId, only: Option<Facet>) {
        if self.facets.is_empty() {
            return;
        }
        let segment = &*self.segments[segment_ord as usize].segment;
        for value in segment.forward.get(doc).facet_values {
            if only.is_none_or(|facet| segment.facet_values.get(value).0 == facet) {
                self.counts[segment_ord as usize][value] += 1;
            }
        }
    }

    /// Adds a number of documents that have a value, given by its ordinal.
    pub(crate) fn add(&mut self, segment_ord: usize, value: usize, documents: usize) {
        self.counts[segment_ord][value] += documents;
    }

    /// Returns the counts of each facet.
    pub(crate) fn finish(self) -> Vec<FacetCounts> {
        let of_facet = |facet: Facet| {
            let segments = self.segments.iter().zip(&self.counts);
            let counts = segments.flat_map(|(reader, counts)| {
                let values = &reader.segment.facet_values;
                let found = values.of(facet).filter(|ordinal| counts[*ordinal] > 0);
                found.map(|ordinal| (values.folded(ordinal), values.get(ordinal).1, counts[ordinal]))
            });
            FacetCounts::new(facet, counts)
        };
        self.facets.iter().map(|facet| of_facet(*facet)).collect()
    }
}
