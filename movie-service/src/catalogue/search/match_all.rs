//! The empty query: all documents that a filter accepts, by popularity.

use crate::catalogue::search::candidates::Candidates;
use crate::catalogue::search::document::Documents;
use crate::catalogue::search::facets::Counter;
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::searcher::{Results, ScoredDoc, SearchOptions, top};
use crate::catalogue::search::segment::doc_set::{DocId, DocSet};
use crate::catalogue::search::segment::reader::SegmentReader;

/// Minimum number of documents that are listed, so that all pages are cut from the same ones.
const MIN_LISTED: usize = 1_000;
/// Maximum number of documents that are listed with those of the same popularity as the last one. Their ids decide the order.
const MAX_LISTED_WITH_TIES: usize = 4_000;
/// Maximum number of documents for which [`Documents::matches`] is called.
const MAX_ASKED: usize = 60_000;

/// Returns the most popular documents. Never lists [`Results::matches`].
pub(crate) fn match_all(index: &SearchIndex, options: &SearchOptions, documents: &dyn Documents) -> Results {
    let selections: Vec<Option<Selection>> = index
        .segments()
        .iter()
        .map(|reader| Selection::new(reader, &options.filter, &options.facets))
        .collect();
    let mut matching = MatchAll { index, selections, counter: Counter::new(index, &options.facets) };
    let (found, total, is_total_exact, asked) = if documents.is_filtered() {
        let (found, asked, is_complete) = matching.ask(documents);
        let total = found.len();
        (found, total, is_complete, asked)
    } else {
        let total = matching.count(options);
        let wanted = if options.limit == 0 { 0 } else { options.end().max(MIN_LISTED) };
        (matching.list(wanted), total, true, 0)
    };
    let sets = matching.selections.iter().flatten().map(|selection| selection.candidates.capacity());
    let steps = asked + found.len() + sets.sum::<usize>() / 64;
    let hits = top(found, options, documents);
    let facets = matching.counter.finish();
    Results { hits, total, is_total_exact, facets, matches: Vec::new(), level: None, steps }
}

struct MatchAll<'a> {
    index: &'a SearchIndex,
    /// For each segment.
    selections: Vec<Option<Selection>>,
    counter: Counter<'a>,
}

impl MatchAll<'_> {
    /// Merges the documents of all segments: those of a set of each selection, or all.
    fn candidates<'s>(
        &'s self,
        set: impl Fn(&'s Selection) -> &'s DocSet,
    ) -> Candidates<'s, Box<dyn Iterator<Item = DocId> + 's>> {
        let docs =
            |reader: &SegmentReader, selection: &'s Option<Selection>| -> Box<dyn Iterator<Item = _>> {
                match selection {
                    Some(selection) => Box::new(set(selection).iter()),
                    None => Box::new(0..reader.segment.len() as DocId),
                }
            };
        let segments = self.index.segments().iter().zip(&self.selections);
        Candidates::new(segments.map(|(reader, selection)| (reader, docs(reader, selection))))
    }

    /// Returns the documents that [`Documents::matches`] accepts, the number of calls, and whether it was called for all.
    /// Counts them for the facets.
    fn ask(&mut self, documents: &dyn Documents) -> (Vec<ScoredDoc>, usize, bool) {
        let mut accepted = Vec::new();
        let mut candidates = self.candidates(|selection| &selection.candidates);
        let mut asked = 0;
        for (segment_ord, doc) in candidates.by_ref().take(MAX_ASKED) {
            asked += 1;
            let key = self.index.segments()[segment_ord].keys.key(doc);
            if documents.matches(key) {
                accepted.push((segment_ord, doc));
            }
        }
        let is_complete = candidates.next().is_none();
        drop(candidates);
        let mut found = Vec::with_capacity(accepted.len());
        for (segment_ord, doc) in accepted {
            let selection = self.selections[segment_ord].as_ref();
            let excluded_by = selection.and_then(|selection| selection.excluded_by(doc));
            self.counter.count(segment_ord as u32, doc, excluded_by);
            if excluded_by.is_none() {
                found.push(self.found(segment_ord, doc));
            }
        }
        (found, asked, is_complete)
    }

    /// Returns how many documents the filter accepts. Counts them for the facets.
    fn count(&mut self, options: &SearchOptions) -> usize {
        let mut total = 0;
        let segments = self.index.segments().iter().zip(&self.selections);
        for (segment_ord, (reader, selection)) in segments.enumerate() {
            let values = &reader.segment.facet_values;
            let Some(selection) = selection else {
                for value in options.facets.iter().flat_map(|facet| values.of(*facet)) {
                    let deleted = reader.deleted_per_value[value] as usize;
                    self.counter.add(segment_ord, value, values.docs(value).len() - deleted);
                }
                total += reader.live_count();
                continue;
            };
            for facet in &options.facets {
                let mut counted_for = selection.counted_for(*facet);
                counted_for.subtract_tombstones(&reader.tombstones);
                for value in values.of(*facet) {
                    self.counter.add(segment_ord, value, values.docs(value).count_in(&counted_for));
                }
            }
            let mut accepted = selection.accepted.clone();
            accepted.subtract_tombstones(&reader.tombstones);
            total += accepted.len();
        }
        total
    }

    /// Returns the `wanted` most popular documents, with ties.
    fn list(&self, wanted: usize) -> Vec<ScoredDoc> {
        let mut all: Vec<ScoredDoc> = Vec::new();
        if wanted == 0 {
            return all;
        }
        let candidates = self.candidates(|selection| &selection.accepted);
        for (segment_ord, doc) in candidates.take(wanted.max(MAX_LISTED_WITH_TIES)) {
            let found = self.found(segment_ord, doc);
            if all.len() >= wanted && all.last().is_some_and(|last| found.popularity < last.popularity) {
                break;
            }
            all.push(found);
        }
        all
    }

    fn found(&self, segment_ord: usize, doc: DocId) -> ScoredDoc {
        let reader = &self.index.segments()[segment_ord];
        let popularity = reader.segment.popularity[doc as usize];
        let (key, segment_ord) = (reader.keys.key(doc), segment_ord as u32);
        ScoredDoc { score: None, popularity, key, segment_ord, doc }
    }
}
