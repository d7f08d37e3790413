//! The conditions on documents that the index can apply, and the documents of a segment that meet them.

use crate::catalogue::fold::fold;
use crate::catalogue::search::budget::Budget;
use crate::catalogue::search::document::Facet;
use crate::catalogue::search::segment::builder::MAX_TITLE_WORDS;
use crate::catalogue::search::segment::doc_set::{DocId, DocSet};
use crate::catalogue::search::segment::reader::SegmentReader;
use crate::catalogue::search::text::normalize::Words;

/// Maximum number of words of [`IndexFilter::with_words`] whose posting lists are read.
const MAX_FILTER_WORDS: usize = 4;
/// Maximum number of postings of a list that is read for them.
const MAX_FILTER_POSTINGS: usize = 100_000;

/// The conditions on documents that the index knows of.
/// [`Documents`](crate::catalogue::search::document::Documents) checks the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexFilter {
    /// For each facet, folded values of which a document needs one; empty for any.
    values: [Vec<String>; Facet::ALL.len()],
    words: Vec<String>,
}

impl IndexFilter {
    /// Adds a condition: a document has one of these values of a facet, whatever their case and accents. No values are no
    /// condition.
    #[must_use]
    pub(crate) fn with_values<'a>(mut self, facet: Facet, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.values[facet as usize].extend(values.into_iter().map(|value| fold(value).into_owned()));
        self
    }

    /// Narrows the search to documents with the words of a text. Only for words that every document has that
    /// [`Documents::matches`](crate::catalogue::search::document::Documents::matches) accepts, which is then called for fewer
    /// documents.
    #[must_use]
    pub(crate) fn with_words(mut self, text: &str) -> Self {
        // Of a longer title, only the first words are indexed.
        self.words.extend(Words::of(text).iter().take(MAX_TITLE_WORDS).map(str::to_owned));
        self
    }

    /// Returns whether there is no condition.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.values.iter().all(Vec::is_empty)
    }

    /// Returns whether a document with these facet values meets the conditions other than those on one facet.
    #[cfg(test)]
    pub(crate) fn accepts(&self, facet_values: &[(Facet, &str)], except: Option<Facet>) -> bool {
        Facet::ALL.into_iter().zip(&self.values).all(|(facet, values)| {
            let has_value = || {
                facet_values.iter().any(|(other, value)| {
                    *other == facet && values.iter().any(|wanted| *wanted == fold(value))
                })
            };
            Some(facet) == except || values.is_empty() || has_value()
        })
    }
}

/// The documents of a segment that a filter accepts.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) accepted: DocSet,
    /// For facets with a condition, the documents that only this condition excludes.
    excluded_by_facet: Vec<(Facet, DocSet)>,
    /// All of these.
    pub(crate) candidates: DocSet,
}

impl Selection {
    /// Returns the selection in a segment; none if the filter has no condition. `facets` are those to be counted.
    pub(crate) fn new(reader: &SegmentReader, filter: &IndexFilter, facets: &[Facet]) -> Option<Self> {
        if filter.is_empty() {
            return None;
        }
        let segment = &*reader.segment;
        let conditions = Facet::ALL.into_iter().zip(&filter.values).filter(|(_, values)| !values.is_empty());
        let sets: Vec<(Facet, DocSet)> = conditions
            .map(|(facet, values)| {
                let mut docs = DocSet::new(segment.len());
                segment.facet_values.add_docs(facet, values, &mut docs);
                (facet, docs)
            })
            .collect();
        let narrowed = documents_with_words(reader, &filter.words);
        let except = |facet: Option<Facet>| {
            let mut docs = narrowed.clone();
            let others = sets.iter().filter(|(other, _)| Some(*other) != facet);
            others.for_each(|(_, other)| docs.intersect(other));
            docs
        };
        let accepted = except(None);
        let counted = sets.iter().map(|(facet, _)| *facet).filter(|facet| facets.contains(facet));
        let excluded_by_facet: Vec<(Facet, DocSet)> = counted
            .map(|facet| {
                let mut docs = except(Some(facet));
                docs.subtract(&accepted);
                (facet, docs)
            })
            .collect();
        let mut candidates = accepted.clone();
        for (_, docs) in &excluded_by_facet {
            candidates.unite(docs);
        }
        Some(Self { accepted, excluded_by_facet, candidates })
    }

    /// Returns whether there are documents that only the condition on a facet excludes.
    pub(crate) fn has_excluded(&self) -> bool {
        self.excluded_by_facet.iter().any(|(_, docs)| !docs.is_empty())
    }

    /// Returns the documents that only the condition on a facet excludes, in order.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = DocId> {
        self.candidates.iter().filter(|doc| !self.accepted.contains(*doc))
    }

    /// Returns the facet whose condition excludes a candidate.
    pub(crate) fn excluded_by(&self, doc: DocId) -> Option<Facet> {
        if self.accepted.contains(doc) {
            return None;
        }
        self.excluded_by_facet.iter().find(|(_, docs)| docs.contains(doc)).map(|(facet, _)| *facet)
    }

    /// Returns the documents that are counted for a facet. Its own condition does not apply.
    pub(crate) fn counted_for(&self, facet: Facet) -> DocSet {
        let mut docs = self.accepted.clone();
        let of_facet = self.excluded_by_facet.iter().filter(|(other, _)| *other == facet);
        of_facet.for_each(|(_, excluded)| docs.unite(excluded));
        docs
    }
}

/// Returns the documents that have all these words. Some are not checked if there are more than [`MAX_FILTER_WORDS`], or if their lists
/// are long: the result is then a superset.
fn documents_with_words(reader: &SegmentReader, words: &[String]) -> DocSet {
    let segment = &*reader.segment;
    let mut docs = DocSet::all(segment.len());
    let mut lists: Vec<(usize, u32)> = Vec::with_capacity(words.len());
    for word in words {
        let Some(ordinal) = segment.vocabulary.get(word) else {
            return DocSet::new(segment.len());
        };
        lists.push((segment.postings.count(ordinal..ordinal + 1), ordinal));
    }
    lists.sort_unstable();
    for (_, ordinal) in
        lists.into_iter().take_while(|(count, _)| *count <= MAX_FILTER_POSTINGS).take(MAX_FILTER_WORDS)
    {
        let mut with = DocSet::new(segment.len());
        with.add_list(segment, ordinal, &mut Budget::new(usize::MAX), usize::MAX);
        docs.intersect(&with);
    }
    docs
}
