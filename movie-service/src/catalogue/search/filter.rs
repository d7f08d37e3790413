//! Filters by labels: which documents of a segment a search may find.

use crate::catalogue::fold::fold;
use crate::catalogue::search::budget::Budget;
use crate::catalogue::search::document::Facet;
use crate::catalogue::search::index::Part;
use crate::catalogue::search::segment::builder::MAX_TITLE_WORDS;
use crate::catalogue::search::segment::places::Places;
use crate::catalogue::search::text::normalize::Words;

/// Most words of [`Filter::with_words`] that count.
const MAX_WORDS: usize = 4;
/// Lists of more postings are not read for them.
const MAX_POSTINGS: usize = 100_000;

/// The conditions on documents that the index knows of.
/// [`Documents`](crate::catalogue::search::document::Documents) checks the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// For each facet, folded values of which a document needs one; empty for any.
    values: [Vec<String>; Facet::ALL.len()],
    words: Vec<String>,
}

impl Filter {
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

    /// Returns whether a document with these labels meets the conditions other than those on one facet.
    #[cfg(test)]
    pub(crate) fn accepts(&self, labels: &[(Facet, &str)], except: Option<Facet>) -> bool {
        Facet::ALL.into_iter().zip(&self.values).all(|(facet, values)| {
            let has_value = || {
                labels.iter().any(|(other, value)| {
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
    pub(crate) accepted: Places,
    /// For facets with a condition, the documents that only this condition excludes.
    excluded_by_facet: Vec<(Facet, Places)>,
    /// All of these.
    pub(crate) candidates: Places,
}

impl Selection {
    /// Returns the selection in a part; none if the filter has no condition. `facets` are those to be counted.
    pub(crate) fn new(part: &Part, filter: &Filter, facets: &[Facet]) -> Option<Self> {
        if filter.is_empty() {
            return None;
        }
        let segment = &*part.segment;
        let conditions = Facet::ALL.into_iter().zip(&filter.values).filter(|(_, values)| !values.is_empty());
        let sets: Vec<(Facet, Places)> = conditions
            .map(|(facet, values)| {
                let mut places = Places::new(segment.len());
                segment.labels.add_places(facet, values, &mut places);
                (facet, places)
            })
            .collect();
        let narrowed = with_words(part, &filter.words);
        let except = |facet: Option<Facet>| {
            let mut places = narrowed.clone();
            let others = sets.iter().filter(|(other, _)| Some(*other) != facet);
            others.for_each(|(_, other)| places.intersect(other));
            places
        };
        let accepted = except(None);
        let counted = sets.iter().map(|(facet, _)| *facet).filter(|facet| facets.contains(facet));
        let excluded_by_facet: Vec<(Facet, Places)> = counted
            .map(|facet| {
                let mut places = except(Some(facet));
                places.subtract(&accepted);
                (facet, places)
            })
            .collect();
        let mut candidates = accepted.clone();
        for (_, places) in &excluded_by_facet {
            candidates.unite(places);
        }
        Some(Self { accepted, excluded_by_facet, candidates })
    }

    /// Returns whether there are documents that only the condition on a facet excludes.
    pub(crate) fn has_excluded(&self) -> bool {
        self.excluded_by_facet.iter().any(|(_, places)| !places.is_empty())
    }

    /// Returns the documents that only the condition on a facet excludes, in order.
    pub(crate) fn excluded(&self) -> impl Iterator<Item = u32> {
        self.candidates.iter().filter(|place| !self.accepted.contains(*place))
    }

    /// Returns the facet whose condition excludes a candidate.
    pub(crate) fn excluded_by(&self, place: u32) -> Option<Facet> {
        if self.accepted.contains(place) {
            return None;
        }
        self.excluded_by_facet.iter().find(|(_, places)| places.contains(place)).map(|(facet, _)| *facet)
    }

    /// Returns the documents that are counted for a facet. Its own condition does not apply.
    pub(crate) fn counted_for(&self, facet: Facet) -> Places {
        let mut places = self.accepted.clone();
        let of_facet = self.excluded_by_facet.iter().filter(|(other, _)| *other == facet);
        of_facet.for_each(|(_, beside)| places.unite(beside));
        places
    }
}

/// Returns the documents that have all these words. Some are not checked if there are more than [`MAX_WORDS`], or if their lists
/// are long: the result is then a superset.
fn with_words(part: &Part, words: &[String]) -> Places {
    let segment = &*part.segment;
    let mut places = Places::all(segment.len());
    let mut lists: Vec<(usize, u32)> = Vec::with_capacity(words.len());
    for word in words {
        let Some(ordinal) = segment.vocabulary.get(word) else {
            return Places::new(segment.len());
        };
        lists.push((segment.postings.count(ordinal..ordinal + 1), ordinal));
    }
    lists.sort_unstable();
    for (_, ordinal) in lists.into_iter().take_while(|(count, _)| *count <= MAX_POSTINGS).take(MAX_WORDS) {
        let mut with = Places::new(segment.len());
        with.add_list(segment, ordinal, &mut Budget::new(usize::MAX), usize::MAX);
        places.intersect(&with);
    }
    places
}
