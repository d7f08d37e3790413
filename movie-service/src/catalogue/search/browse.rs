//! The empty query: all documents that a filter accepts, by popularity.

use crate::catalogue::search::document::Documents;
use crate::catalogue::search::execute::{Found, Results, SearchOptions, top};
use crate::catalogue::search::facets::Counter;
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::{Index, Part};

/// Maximum number of documents of a part for which [`Documents::matches`] is called: once enough are found, and in all.
const MAX_ASKED: usize = 10_000;
const MAX_ASKED_IN_ALL: usize = 60_000;
/// Maximum number of documents of a part that are listed, besides those of the page.
const MAX_LISTED: usize = 10_000;

/// Returns the most popular documents.
pub(crate) fn browse(index: &Index, options: &SearchOptions, documents: &dyn Documents) -> Results {
    let mut found = Vec::new();
    let mut counter = Counter::new(index, &options.facets);
    let (mut total, mut steps, mut is_exact) = (0, 0, true);
    let wanted = options.last().max(if options.lists_matches { MAX_LISTED } else { 0 });
    for (number, part) in (0_u32..).zip(index.parts()) {
        let selection = Selection::new(part, &options.filter, &options.facets);
        steps += if selection.is_some() { part.segment.len() / 64 } else { 0 };
        if documents.is_filtered() {
            let (matched, asked, is_complete) =
                ask(number, part, selection.as_ref(), documents, wanted, &mut counter);
            total += matched.len();
            steps += asked;
            is_exact &= is_complete;
            found.extend(matched);
            continue;
        }
        total += match selection {
            None => {
                let live = (0..part.segment.len() as u32).filter(|place| part.is_live(*place));
                list(number, part, live, wanted, &mut found);
                for label in options.facets.iter().flat_map(|facet| part.segment.labels.of(*facet)) {
                    let removed = part.removed_labels[label] as usize;
                    counter.add(number as usize, label, part.segment.labels.places(label).len() - removed);
                }
                part.live()
            }
            Some(mut selection) => {
                selection.accepted.subtract_shared(&part.removed);
                list(number, part, selection.accepted.iter(), wanted, &mut found);
                for facet in &options.facets {
                    let mut of_facet = selection.counted_for(*facet);
                    of_facet.subtract_shared(&part.removed);
                    for label in part.segment.labels.of(*facet) {
                        let places = part.segment.labels.places(label);
                        counter.add(number as usize, label, places.count_in(&of_facet));
                    }
                }
                selection.accepted.len()
            }
        };
    }
    steps += found.len();
    let matches =
        if options.lists_matches { found.iter().map(|found| found.key).collect() } else { Vec::new() };
    let hits = top(found, options, documents);
    let facets = counter.finish();
    Results { hits, total, is_total_exact: is_exact, facets, matches, level: None, steps }
}

/// Appends the first documents, and all of the same popularity as the last one, whose order the ids decide.
fn list(number: u32, part: &Part, places: impl Iterator<Item = u32>, wanted: usize, found: &mut Vec<Found>) {
    if wanted == 0 {
        return;
    }
    let mut least = None;
    for (count, place) in (1..).zip(places) {
        let popularity = part.segment.popularity[place as usize];
        if count > wanted && least.is_some_and(|least| popularity < least) {
            break;
        }
        if count == wanted {
            least = Some(popularity);
        }
        found.push(Found { score: None, popularity, key: part.keys.key(place), part: number, place });
    }
}

/// Returns the documents that [`Documents::matches`] accepts, the number of calls, and whether it was called for all.
fn ask(
    number: u32,
    part: &Part,
    selection: Option<&Selection>,
    documents: &dyn Documents,
    wanted: usize,
    counter: &mut Counter<'_>,
) -> (Vec<Found>, usize, bool) {
    let places: Box<dyn Iterator<Item = u32>> = match selection {
        Some(selection) => Box::new(selection.candidates.iter()),
        None => Box::new(0..part.segment.len() as u32),
    };
    let mut live = places.filter(|place| part.is_live(*place));
    let mut found = Vec::new();
    let mut asked = 0;
    while asked < if found.len() < wanted { MAX_ASKED_IN_ALL } else { MAX_ASKED } {
        let Some(place) = live.next() else { break };
        asked += 1;
        let key = part.keys.key(place);
        if !documents.matches(key) {
            continue;
        }
        let excluded_by = selection.and_then(|selection| selection.excluded_by(place));
        counter.count(number, place, excluded_by);
        if excluded_by.is_none() {
            let popularity = part.segment.popularity[place as usize];
            found.push(Found { score: None, popularity, key, part: number, place });
        }
    }
    (found, asked, live.next().is_none())
}
