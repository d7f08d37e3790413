//! Evaluation of a query at one level.
//!
//! The documents of all parts of the index that may match are ranked in order of popularity, until enough match. So what a
//! search finds does not depend on how the documents are divided into parts, which writes and merges change all the time.

use std::collections::HashSet;

use crate::catalogue::search::budget::{Budget, Work};
use crate::catalogue::search::candidates::{Candidates, prefetch};
use crate::catalogue::search::document::{Documents, Facet};
use crate::catalogue::search::execute::Found;
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::{Index, Part};
use crate::catalogue::search::matching::{Expansion, Expansions, automata};
use crate::catalogue::search::query::{Level, Query, cost};
use crate::catalogue::search::rank::{Match, Ranker, TitleMatches, counts};
use crate::catalogue::search::segment::data::Segment;
use crate::catalogue::search::segment::places::Places;
use crate::catalogue::search::text::typo::Automaton;

/// Number of documents that match, found with words as they are and found with words completed, after which less popular
/// ones are not ranked. Of those, only whole titles are found.
const MAX_FOUND: usize = 1_000;
/// Lists of more postings in all are not read; all documents are tried instead.
const MAX_READ: usize = 30_000;
/// Lists of fewer postings are not intersected: ranking the documents costs less.
const MIN_INTERSECTED: usize = 300;
/// Most postings of a second list for one of the first.
const MAX_SECOND: usize = 10;
/// Most documents of a part of which whole titles are looked for.
const MAX_WHOLE_TITLES: usize = 2_000;
/// Steps of work that the look-up of a word in a segment counts as, and places of a set that count as a step.
const STEPS_PER_WORD: usize = 10;
const PLACES_PER_STEP: usize = 1_000;
/// Documents prefetched at a time.
const BATCH: usize = 40;

/// Results of one level.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) found: Vec<Found>,
    /// Documents that match except for the condition on one facet, for which they are counted: part, place, facet.
    pub(crate) excluded_by_facet: Vec<(u32, u32, Facet)>,
}

impl Collected {
    /// Adds what was found at the level before and has not been found again.
    pub(crate) fn keep(&mut self, before: Self) {
        let known: HashSet<(u32, u32)> = self.found.iter().map(|found| (found.part, found.place)).collect();
        self.found
            .extend(before.found.into_iter().filter(|found| !known.contains(&(found.part, found.place))));
        let known: HashSet<(u32, u32)> =
            self.excluded_by_facet.iter().map(|(part, place, _)| (*part, *place)).collect();
        let is_lost = |(part, place, _): &(u32, u32, Facet)| !known.contains(&(*part, *place));
        self.excluded_by_facet.extend(before.excluded_by_facet.into_iter().filter(is_lost));
    }
}

/// A part of the index in which documents can match.
struct PartMatches<'a> {
    number: u32,
    part: &'a Part,
    /// The documents that may be found; `None` for all.
    selection: Option<&'a Selection>,
    expansions: Expansions,
    /// Number of postings of each word of the query.
    counts: Vec<usize>,
    /// Documents that have been ranked.
    ranked: Places,
}

/// Evaluates a query at a level. `selections` are those of the parts.
pub(crate) fn evaluate(
    index: &Index,
    query: &Query,
    level: Level,
    selections: &[Option<Selection>],
    documents: &dyn Documents,
    work: &mut Work,
) -> Collected {
    let is_required = |(bits, word)| if Query::is_required(word, level) { bits } else { 0 };
    let required = (0..).map(|bit| 1 << bit).zip(&query.words).map(is_required).sum();
    let mut evaluation = Evaluation {
        query,
        level,
        documents,
        required,
        work,
        ranker: Ranker::new(query, level),
        parts: Vec::new(),
        buffer: Buffer::default(),
        collected: Collected::default(),
    };
    let automata = automata(query, level);
    // The newest first, so that there is work left for them.
    for (number, (part, selection)) in index.parts().iter().zip(selections).enumerate().rev() {
        evaluation.add_part(number as u32, part, selection.as_ref(), &automata);
    }
    evaluation.run();
    evaluation.collected
}

/// An evaluation, under way.
struct Evaluation<'a> {
    query: &'a Query,
    level: Level,
    documents: &'a dyn Documents,
    /// Bit of each word that a document needs.
    required: u32,
    work: &'a mut Work,
    ranker: Ranker<'a>,
    parts: Vec<PartMatches<'a>>,
    buffer: Buffer,
    collected: Collected,
}

impl<'a> Evaluation<'a> {
    /// Adds a part, if its documents can have the words.
    fn add_part(
        &mut self,
        number: u32,
        part: &'a Part,
        selection: Option<&'a Selection>,
        automata: &[Option<Automaton>],
    ) {
        let segment = &*part.segment;
        if segment.is_empty() || selection.is_some_and(|selection| selection.candidates.is_empty()) {
            return;
        }
        // Look-ups of each word, and sets of places.
        self.work.steps += STEPS_PER_WORD * self.query.words.len() + segment.len() / PLACES_PER_STEP;
        let (may_miss, nodes) = (self.ranker.may_miss(), &mut self.work.nodes);
        let expansions = Expansions::new(segment, self.query, self.level, may_miss, automata, nodes);
        self.work.is_complete &= !self.work.nodes.is_spent();
        if let Some(expansions) = expansions {
            let counts = expansions.postings(segment, self.query.words.len());
            let ranked = Places::new(segment.len());
            self.parts.push(PartMatches { number, part, selection, expansions, counts, ranked });
        }
    }

    /// Ranks the documents that may match.
    fn run(&mut self) {
        let may_miss = self.ranker.may_miss();
        let count = |word: usize| self.parts.iter().map(|part| part.counts[word]).sum::<usize>();
        let counts: Vec<usize> = (0..self.query.words.len()).map(count).collect();
        let is_required = |word: &usize| Query::is_required(&self.query.words[*word], self.level);
        let mut required: Vec<usize> = (0..counts.len()).filter(is_required).collect();
        required.sort_by_key(|word| counts[*word]);
        // If some may be missing, each document still has one of the rarest.
        let Some(pivots) = required.get(..may_miss + 1) else { return };
        let count: usize = pivots.iter().map(|word| counts[*word]).sum();
        if count == 0 {
            return;
        }
        let selections = || self.parts.iter().filter_map(|part| part.selection);
        let accepted = selections().map(|selection| selection.accepted.len()).reduce(|sum, len| sum + len);
        let has_excluded = selections().any(Selection::has_excluded);
        // A second list that costs less to read than the documents to rank.
        let most = (MAX_SECOND * count).min(self.work.postings.left().saturating_sub(count));
        let is_worthwhile = may_miss == 0 && (MIN_INTERSECTED..=MAX_READ).contains(&count);
        let second = required.get(1).filter(|second| is_worthwhile && counts[**second] < most).copied();
        let is_truncated = if accepted.is_some_and(|accepted| accepted <= count.min(MAX_FOUND)) {
            let is_truncated = self.rank_accepted();
            if has_excluded {
                // Only to count them for the facets.
                let postings = std::mem::replace(&mut self.work.postings, Budget::new(MAX_READ));
                self.work.counts_all &= !self.rank_listed(pivots, None);
                let read = std::mem::replace(&mut self.work.postings, postings);
                self.work.steps += read.steps_of_postings();
            }
            is_truncated
        } else {
            self.rank_listed(pivots, second)
        };
        if is_truncated || self.work.postings.is_spent() || self.work.nodes.is_spent() {
            self.work.is_complete = false;
            (0..self.parts.len()).for_each(|part| self.rank_whole_titles(part));
        }
    }

    /// Ranks the documents that have one of some words of the query, and the second word. Returns whether there are more.
    fn rank_listed(&mut self, words: &[usize], second: Option<usize>) -> bool {
        let seconds: Option<Vec<Places>> =
            second.map(|second| self.places_of(|expansion| expansion.has_one_of(&[second])));
        let (mut read, mut is_truncated) = (0, false);
        for is_completion in [false, true] {
            let is_wanted = |expansion: &Expansion| {
                expansion.is_completion == is_completion && expansion.has_one_of(words)
            };
            for PartMatches { part, expansions, .. } in &self.parts {
                let wanted = expansions.all.iter().filter(|expansion| is_wanted(expansion));
                read += wanted.map(|expansion| expansion.rarest(&part.segment).1).sum::<usize>();
            }
            if read > MAX_READ {
                return self.rank_all();
            }
            let mut places = self.places_of(is_wanted);
            if let Some(seconds) = &seconds {
                places.iter_mut().zip(seconds).for_each(|(places, second)| places.intersect(second));
            }
            for (places, part) in places.iter_mut().zip(&self.parts) {
                if let Some(selection) = part.selection {
                    places.intersect(&selection.candidates);
                }
            }
            let parts = self.parts.iter().map(|part| part.part);
            let candidates = Candidates::new(parts.zip(places.iter().map(Places::iter)));
            is_truncated |= self.rank_most_popular(candidates);
        }
        is_truncated
    }

    /// Returns the documents of each part that have a word of one of some expansions.
    fn places_of(&mut self, is_wanted: impl Fn(&Expansion) -> bool) -> Vec<Places> {
        let Self { parts, work, .. } = self;
        let places = |PartMatches { part, expansions, .. }: &PartMatches<'_>| {
            let mut places = Places::new(part.segment.len());
            for expansion in expansions.all.iter().filter(|expansion| is_wanted(expansion)) {
                expansion.add_places(&part.segment, &mut places, &mut work.postings);
            }
            places
        };
        parts.iter().map(places).collect()
    }

    /// Ranks all documents that may be found or counted. Returns whether there are more to be found.
    fn rank_all(&mut self) -> bool {
        let is_truncated = self.rank_accepted();
        let excluded = Candidates::new(self.parts.iter().map(|part| {
            let places: Box<dyn Iterator<Item = u32> + 'a> = match part.selection {
                Some(selection) => Box::new(selection.excluded()),
                None => Box::new(std::iter::empty()),
            };
            (part.part, places)
        }));
        for (part, place) in excluded {
            if self.work.excluded.is_spent() {
                self.work.counts_all = false;
                break;
            }
            self.rank(part, place);
        }
        is_truncated
    }

    /// Ranks all documents that may be found. Returns whether there are more.
    fn rank_accepted(&mut self) -> bool {
        let candidates = Candidates::new(self.parts.iter().map(|part| {
            let places: Box<dyn Iterator<Item = u32> + 'a> = match part.selection {
                Some(selection) => Box::new(selection.accepted.iter()),
                None => Box::new(0..part.part.segment.len() as u32),
            };
            (part.part, places)
        }));
        self.rank_most_popular(candidates)
    }

    /// Ranks the most popular ones of these documents. Returns whether there are more.
    fn rank_most_popular(&mut self, mut candidates: Candidates<'a, impl Iterator<Item = u32>>) -> bool {
        let most = self.collected.found.len() + MAX_FOUND;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            batch.extend(candidates.by_ref().take(BATCH));
            prefetch(batch.iter().map(|(part, place)| (&*self.parts[*part].part.segment, *place)));
            for (part, place) in &batch {
                if self.work.is_spent() || self.collected.found.len() >= most {
                    return true;
                }
                self.rank(*part, *place);
            }
            if batch.len() < BATCH {
                return false;
            }
        }
    }

    /// Ranks the documents of a part that have the query as whole title, as it is written, however unpopular they are.
    fn rank_whole_titles(&mut self, number: usize) {
        let PartMatches { part, selection, ref expansions, .. } = self.parts[number];
        let Some(literal) = expansions.literal(self.query) else {
            return;
        };
        let segment = &*part.segment;
        let literal = &literal[usize::from(self.query.words[0].is_article)..];
        // Of its own: the other one is often spent before.
        let mut budget = Budget::new(MAX_READ);
        let mut places = Places::new(segment.len());
        let mut by_count: Vec<(usize, u32)> = literal
            .iter()
            .map(|ordinal| (segment.postings.count(*ordinal..*ordinal + 1), *ordinal))
            .collect();
        by_count.sort_unstable();
        match by_count[..] {
            [] => return,
            [(_, ordinal)] => places.add_list(segment, ordinal, &mut budget, 0),
            [(count, rarest), (other_count, other), ..] => {
                if count > MAX_READ {
                    return;
                }
                places.add_list(segment, rarest, &mut budget, usize::MAX);
                if count > MIN_INTERSECTED && other_count < budget.left() {
                    let mut others = Places::new(segment.len());
                    others.add_list(segment, other, &mut budget, usize::MAX);
                    places.intersect(&others);
                }
            }
        }
        self.work.postings.spend(MAX_READ - budget.left());
        let is_whole = |title: &[u32]| {
            let after_article = title.split_first().filter(|(first, _)| segment.articles.contains(first));
            title == literal || after_article.is_some_and(|(_, rest)| rest == literal)
        };
        let mut titles = Vec::new();
        let is_candidate = |place: &u32| {
            part.is_live(*place) && selection.is_none_or(|selection| selection.candidates.contains(*place))
        };
        for place in places.iter().filter(is_candidate).take(MAX_WHOLE_TITLES) {
            let document = segment.forward.get(place);
            titles.clear();
            titles.extend(document.ordinals.take(document.title + document.original));
            let (title, original) = titles.split_at(document.title);
            if is_whole(title) || is_whole(original) {
                self.rank(number, place);
            }
        }
    }

    /// Ranks a live document that may be found.
    fn rank(&mut self, number: usize, place: u32) {
        let PartMatches { number, part, selection, expansions, ranked, .. } = &mut self.parts[number];
        if !ranked.insert(place) {
            return;
        }
        let excluded_by = selection.and_then(|selection| selection.excluded_by(place));
        let Work { documents, asked, excluded, counts_all, .. } = &mut *self.work;
        // What is only counted takes nothing from what is found.
        let (budget, asked) = match excluded_by {
            Some(_) if excluded.is_spent() => {
                *counts_all = false;
                return;
            }
            Some(_) => (excluded, None),
            None => (documents, Some(asked)),
        };
        let key = part.keys.key(place);
        if self.documents.is_filtered() {
            match asked {
                Some(asked) => asked.spend(1),
                None => budget.spend(1),
            }
            if !self.documents.matches(key) {
                return;
            }
        }
        budget.spend(1);
        let segment = &*part.segment;
        let Buffer { ordinals, matches, originals, names, name } = &mut self.buffer;
        let document = segment.forward.get(place);
        ordinals.clear();
        ordinals.extend(document.ordinals);
        let (title, rest) = ordinals.split_at(document.title);
        let (original, people) = rest.split_at(document.original);
        matches.clear();
        originals.clear();
        names.clear();
        expansions.find(title, matches);
        if !original.is_empty() {
            expansions.find(original, originals);
        }
        // Names add nothing if the title has all words as they are.
        if self.query.words.len() > covered(matches, cost::COMPLETION).count_ones() as usize {
            find_names(expansions, people, names, name);
        }
        let all = covered(matches, u16::MAX) | covered(originals, u16::MAX) | covered(names, u16::MAX);
        let missing = (self.required & !all).count_ones() as usize;
        if missing > self.ranker.may_miss() || all == 0 {
            return;
        }
        let matched = matches.len() + originals.len() + names.len();
        budget.spend(matched * self.query.words.len() / 16);
        let titles = [title_matches(segment, title, matches), title_matches(segment, original, originals)];
        let titles = &titles[..if original.is_empty() { 1 } else { 2 }];
        let Some(score) = self.ranker.score(titles, names) else {
            return;
        };
        if let Some(facet) = excluded_by {
            self.collected.excluded_by_facet.push((*number, place, facet));
        } else {
            let popularity = segment.popularity[place as usize];
            let (score, part) = (Some(score), *number);
            self.collected.found.push(Found { score, popularity, key, part, place });
        }
    }
}

/// Returns the bits of the words of the query that are matched at no more than a cost.
fn covered(matches: &[Match], most: u16) -> u32 {
    let is_covering =
        |found: &&Match| counts(found) && found.cost <= most && (most == u16::MAX || found.width == 1);
    let matches = matches.iter().filter(is_covering);
    matches.fold(0, |bits, found| bits | ((1 << found.width) - 1) << found.word)
}

#[derive(Default)]
struct Buffer {
    ordinals: Vec<u32>,
    matches: Vec<Match>,
    originals: Vec<Match>,
    names: Vec<Match>,
    name: Vec<u32>,
}

fn title_matches<'a>(segment: &Segment, ordinals: &[u32], matches: &'a [Match]) -> TitleMatches<'a> {
    let begins_with_article = ordinals.first().is_some_and(|first| segment.articles.contains(first));
    let letters = ordinals.iter().map(|ordinal| usize::from(segment.lengths[*ordinal as usize])).sum();
    TitleMatches { matches, len: ordinals.len(), letters, begins_with_article }
}

/// Finds the matches in names. Positions of different names are not adjacent.
fn find_names(expansions: &Expansions, people: &[u32], names: &mut Vec<Match>, buffer: &mut Vec<u32>) {
    let mut at = 0;
    for name in people.split(|ordinal| *ordinal == 0) {
        buffer.clear();
        buffer.extend(name.iter().map(|ordinal| ordinal - 1));
        let before = names.len();
        expansions.find(buffer, names);
        for found in &mut names[before..] {
            found.at += at;
        }
        at += name.len() as u32 + 1;
    }
}
