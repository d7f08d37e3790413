//! The empty query: all documents that a filter accepts, by popularity.

use crate::catalogue::search::candidates::Candidates;
use crate::catalogue::search::document::Documents;
use crate::catalogue::search::execute::{Found, Results, SearchOptions, top};
use crate::catalogue::search::facets::Counter;
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::{Index, Part};
use crate::catalogue::search::segment::places::Places;

/// Minimum number of documents that are found, so that all pages are cut from the same ones.
const MIN_FOUND: usize = 1_000;
/// Maximum number of documents that are found, with ties: the ids decide the order of equally popular documents.
const MAX_FOUND: usize = 4_000;
/// Maximum number of documents for which [`Documents::matches`] is called.
const MAX_ASKED: usize = 60_000;

/// Returns the most popular documents.
pub(crate) fn browse(index: &Index, options: &SearchOptions, documents: &dyn Documents) -> Results {
    let selections: Vec<Option<Selection>> =
        index.parts().iter().map(|part| Selection::new(part, &options.filter, &options.facets)).collect();
    let mut browsing = Browsing { index, selections, counter: Counter::new(index, &options.facets) };
    let (found, total, is_total_exact, steps) = if documents.is_filtered() {
        let (found, asked, is_complete) = browsing.ask(documents);
        let total = found.len();
        (found, total, is_complete, asked)
    } else {
        let total = browsing.count(options);
        let wanted =
            if options.limit == 0 && !options.lists_matches { 0 } else { options.last().max(MIN_FOUND) };
        (browsing.list(wanted), total, true, 0)
    };
    let sets = browsing.selections.iter().flatten().map(|selection| selection.candidates.capacity());
    let steps = steps + found.len() + sets.sum::<usize>() / 64;
    let matches =
        if options.lists_matches { found.iter().map(|found| found.key).collect() } else { Vec::new() };
    let hits = top(found, options, documents);
    let facets = browsing.counter.finish();
    Results { hits, total, is_total_exact, facets, matches, level: None, steps }
}

struct Browsing<'a> {
    index: &'a Index,
    /// For each part.
    selections: Vec<Option<Selection>>,
    counter: Counter<'a>,
}

impl Browsing<'_> {
    /// Merges the documents of all parts: those of a set of each selection, or all.
    fn candidates<'s>(
        &'s self,
        set: impl Fn(&'s Selection) -> &'s Places,
    ) -> Candidates<'s, Box<dyn Iterator<Item = u32> + 's>> {
        let places = |part: &Part, selection: &'s Option<Selection>| -> Box<dyn Iterator<Item = u32> + 's> {
            match selection {
                Some(selection) => Box::new(set(selection).iter()),
                None => Box::new(0..part.segment.len() as u32),
            }
        };
        let parts = self.index.parts().iter().zip(&self.selections);
        Candidates::new(parts.map(|(part, selection)| (part, places(part, selection))))
    }

    /// Returns the documents that [`Documents::matches`] accepts, the number of calls, and whether it was called for all.
    /// Counts them for the facets.
    fn ask(&mut self, documents: &dyn Documents) -> (Vec<Found>, usize, bool) {
        let mut accepted = Vec::new();
        let mut candidates = self.candidates(|selection| &selection.candidates);
        let mut asked = 0;
        for (number, place) in candidates.by_ref().take(MAX_ASKED) {
            asked += 1;
            let key = self.index.parts()[number].keys.key(place);
            if documents.matches(key) {
                accepted.push((number, place));
            }
        }
        let is_complete = candidates.next().is_none();
        drop(candidates);
        let mut found = Vec::with_capacity(accepted.len());
        for (number, place) in accepted {
            let selection = self.selections[number].as_ref();
            let excluded_by = selection.and_then(|selection| selection.excluded_by(place));
            self.counter.count(number as u32, place, excluded_by);
            if excluded_by.is_none() {
                found.push(self.found(number, place));
            }
        }
        (found, asked, is_complete)
    }

    /// Returns how many documents the filter accepts. Counts them for the facets.
    fn count(&mut self, options: &SearchOptions) -> usize {
        let mut total = 0;
        for (number, (part, selection)) in self.index.parts().iter().zip(&self.selections).enumerate() {
            let labels = &part.segment.labels;
            let Some(selection) = selection else {
                for label in options.facets.iter().flat_map(|facet| labels.of(*facet)) {
                    let removed = part.removed_labels[label] as usize;
                    self.counter.add(number, label, labels.places(label).len() - removed);
                }
                total += part.live();
                continue;
            };
            for facet in &options.facets {
                let mut counted_for = selection.counted_for(*facet);
                counted_for.subtract_shared(&part.removed);
                for label in labels.of(*facet) {
                    self.counter.add(number, label, labels.places(label).count_in(&counted_for));
                }
            }
            let mut accepted = selection.accepted.clone();
            accepted.subtract_shared(&part.removed);
            total += accepted.len();
        }
        total
    }

    /// Returns the `wanted` most popular documents, with ties.
    fn list(&self, wanted: usize) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::new();
        if wanted == 0 {
            return all;
        }
        for (number, place) in self.candidates(|selection| &selection.accepted).take(wanted.max(MAX_FOUND)) {
            let found = self.found(number, place);
            if all.len() >= wanted && all.last().is_some_and(|last| found.popularity < last.popularity) {
                break;
            }
            all.push(found);
        }
        all
    }

    fn found(&self, number: usize, place: u32) -> Found {
        let part = &self.index.parts()[number];
        let popularity = part.segment.popularity[place as usize];
        Found { score: None, popularity, key: part.keys.key(place), part: number as u32, place }
    }
}
