//! Evaluation of a query at one level in one part of an index.

use std::collections::HashSet;

use crate::catalogue::search::budget::{Budget, Work};
use crate::catalogue::search::document::{Documents, Facet};
use crate::catalogue::search::execute::Found;
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::Part;
use crate::catalogue::search::matching::Expansions;
use crate::catalogue::search::query::{Level, Query, cost};
use crate::catalogue::search::rank::{Match, Ranker, TitleMatches, counts};
use crate::catalogue::search::segment::data::Segment;
use crate::catalogue::search::segment::places::Places;
use crate::catalogue::search::text::typo::Automaton;

/// Lists of more postings in all are not read; the documents are tried in order of popularity instead.
const MAX_READ: usize = 30_000;
/// Lists of fewer postings are not intersected: ranking the documents costs less.
const MIN_INTERSECTED: usize = 300;
/// Most postings of a second list for one of the first.
const MAX_SECOND: usize = 10;
/// Steps of work that the look-up of a word in a segment counts as, and places of a set that count as a step.
const STEPS_PER_WORD: usize = 10;
const PLACES_PER_STEP: usize = 1_000;
/// Documents prefetched at a time.
const BATCH: usize = 40;

/// Limits on the documents of one part that are ranked at a level, the most popular first. Beyond them, only whole titles are
/// found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Maximum number of documents from the posting lists.
    ranked: usize,
    /// Maximum number of documents that are tried in order of popularity, if the lists are too long.
    scanned: usize,
    /// Maximum number of them that are found.
    found: usize,
}

impl Limits {
    /// The limits of a part that has nearly all documents.
    const ALL: Self = Self { ranked: 2_000, scanned: 8_000, found: 500 };
    /// Divisor of the limits for the smallest parts.
    const LEAST: usize = 16;

    /// Returns the limits of a part with `documents` of the `of_all` documents. A small part has fewer popular ones.
    pub(crate) fn of_part(documents: usize, of_all: usize) -> Self {
        let share = |limit: usize| (2 * limit * documents / of_all.max(1)).clamp(limit / Self::LEAST, limit);
        let Self { ranked, scanned, found } = Self::ALL;
        Self { ranked: share(ranked), scanned: share(scanned), found: share(found) }
    }
}

/// Results of one level.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) found: Vec<Found>,
    /// Documents that only the filter of a facet excludes, which are counted for it: part, place, facet.
    pub(crate) beside: Vec<(u32, u32, Facet)>,
}

/// The evaluation of a query at a level in a part of the index.
pub(crate) struct Evaluation<'a, 'q> {
    pub(crate) number: u32,
    pub(crate) part: &'a Part,
    pub(crate) query: &'q Query,
    pub(crate) level: Level,
    /// The documents that may be found; none for all.
    pub(crate) selection: Option<&'a Selection>,
    pub(crate) documents: &'a dyn Documents,
    pub(crate) limits: Limits,
    pub(crate) work: &'a mut Work,
    pub(crate) collected: &'a mut Collected,
    pub(crate) ranker: &'a mut Ranker<'q>,
    pub(crate) automata: &'a [Option<Automaton>],
    /// Bit of each word that a document needs.
    pub(crate) required: u32,
    /// Documents that have been ranked.
    pub(crate) ranked: Places,
}

impl Collected {
    /// Adds the documents of the level before that this level has not found.
    pub(crate) fn keep(&mut self, before: Self) {
        let found: HashSet<(u32, u32)> = self.found.iter().map(|found| (found.part, found.place)).collect();
        let is_lost = |lost: &Found| !found.contains(&(lost.part, lost.place));
        self.found.extend(before.found.into_iter().filter(is_lost));
        let beside: HashSet<(u32, u32)> =
            self.beside.iter().map(|(part, place, _)| (*part, *place)).collect();
        let is_lost = |(part, place, _): &(u32, u32, Facet)| !beside.contains(&(*part, *place));
        self.beside.extend(before.beside.into_iter().filter(is_lost));
    }
}

impl Evaluation<'_, '_> {
    /// Ranks the documents that may match.
    pub(crate) fn run(mut self) {
        let segment = &*self.part.segment;
        if segment.is_empty() || self.selection.is_some_and(|selection| selection.len == 0) {
            return;
        }
        // Look-ups of each word, and sets of places.
        self.work.steps += STEPS_PER_WORD * self.query.words.len() + segment.len() / PLACES_PER_STEP;
        let (may_miss, nodes) = (self.ranker.may_miss(), &mut self.work.nodes);
        let expansions = Expansions::new(segment, self.query, self.level, may_miss, self.automata, nodes);
        self.work.is_complete &= !self.work.nodes.is_spent();
        let Some(expansions) = expansions else {
            return;
        };
        let counts = expansions.postings(segment, self.query.words.len());
        let is_required = |word: &usize| Query::is_required(&self.query.words[*word], self.level);
        let mut required: Vec<usize> = (0..counts.len()).filter(is_required).collect();
        required.sort_unstable_by_key(|word| counts[*word]);
        // If some may be missing, each document still has one of the rarest.
        let Some(pivots) = required.get(..may_miss + 1) else {
            return;
        };
        let count: usize = pivots.iter().map(|word| counts[*word]).sum();
        if count == 0 {
            return;
        }
        let is_truncated = match self.selection {
            Some(selection) if selection.len <= count.min(self.limits.ranked) => {
                self.rank_most_popular(&expansions, &selection.candidates)
            }
            _ => {
                // A second list that costs less to read than the documents to rank.
                let most = (MAX_SECOND * count).min(self.work.postings.left().saturating_sub(count));
                let is_worthwhile = may_miss == 0 && (MIN_INTERSECTED..=MAX_READ).contains(&count);
                let second = required.get(1).filter(|second| is_worthwhile && counts[**second] < most);
                self.rank_listed(&expansions, pivots, second.copied())
            }
        };
        if is_truncated || self.work.postings.is_spent() || self.work.nodes.is_spent() {
            self.work.is_complete = false;
            self.rank_whole_titles(&expansions);
        }
    }

    /// Ranks the documents that have one of `words` and, if given, `second`. Returns whether there are more.
    fn rank_listed(&mut self, expansions: &Expansions, words: &[usize], second: Option<usize>) -> bool {
        let segment = &*self.part.segment;
        let second = second.map(|second| {
            let mut places = Places::new(segment.len());
            for expansion in expansions.all.iter().filter(|expansion| expansion.has_one_of(&[second])) {
                expansion.add_places(segment, &mut places, &mut self.work.postings);
            }
            places
        });
        let (mut read, mut is_truncated) = (0, false);
        for is_completion in [false, true] {
            let of_words = expansions
                .all
                .iter()
                .filter(|expansion| expansion.is_completion == is_completion && expansion.has_one_of(words));
            read += of_words.clone().map(|expansion| expansion.rarest(segment).1).sum::<usize>();
            if read > MAX_READ {
                self.scan(expansions);
                return true;
            }
            let mut places = Places::new(segment.len());
            of_words.for_each(|expansion| {
                expansion.add_places(segment, &mut places, &mut self.work.postings);
            });
            if let Some(second) = &second {
                places.intersect(second);
            }
            if let Some(selection) = self.selection {
                places.intersect(&selection.candidates);
            }
            is_truncated |= self.rank_most_popular(expansions, &places);
        }
        is_truncated
    }

    /// Ranks documents in order of popularity until many match.
    fn scan(&mut self, expansions: &Expansions) {
        match self.selection {
            Some(selection) => self.scan_places(expansions, selection.candidates.iter()),
            None => self.scan_places(expansions, 0..self.part.segment.len() as u32),
        }
    }

    fn scan_places(&mut self, expansions: &Expansions, places: impl Iterator<Item = u32>) {
        let most = self.collected.found.len() + self.limits.found;
        let mut buffer = Buffer::default();
        for place in places.take(self.limits.scanned) {
            if self.work.documents.is_spent() || self.collected.found.len() >= most {
                return;
            }
            self.rank(expansions, place, &mut buffer);
        }
    }

    /// Ranks the most popular ones of these documents. Returns whether there are more.
    fn rank_most_popular(&mut self, expansions: &Expansions, places: &Places) -> bool {
        let mut buffer = Buffer::default();
        let mut places = places.iter();
        let mut batch = [0; BATCH];
        for _ in 0..self.limits.ranked.div_ceil(BATCH) {
            let mut len = 0;
            for (to, place) in batch.iter_mut().zip(places.by_ref()) {
                (*to, len) = (place, len + 1);
            }
            self.part.segment.forward.touch(&batch[..len]);
            for place in &batch[..len] {
                if self.work.documents.is_spent() {
                    return true;
                }
                self.rank(expansions, *place, &mut buffer);
            }
            if len < BATCH {
                return false;
            }
        }
        places.next().is_some()
    }

    /// Ranks the documents that have the query as whole title, as it is written, however unpopular they are.
    fn rank_whole_titles(&mut self, expansions: &Expansions) {
        let Some(literal) = expansions.literal(self.query) else {
            return;
        };
        let segment = &*self.part.segment;
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
        let (mut buffer, mut titles) = (Buffer::default(), Vec::new());
        for place in places.iter().take(self.limits.ranked) {
            let document = segment.forward.get(place);
            titles.clear();
            titles.extend(document.ordinals.take(document.title + document.original));
            let (title, original) = titles.split_at(document.title);
            if is_whole(title) || is_whole(original) {
                self.rank(expansions, place, &mut buffer);
            }
        }
    }

    fn rank(&mut self, expansions: &Expansions, place: u32, buffer: &mut Buffer) {
        let is_candidate = self.selection.is_none_or(|selection| selection.candidates.contains(place));
        if !is_candidate || !self.ranked.insert(place) {
            return;
        }
        let segment = &*self.part.segment;
        self.work.documents.spend(1);
        let Buffer { ordinals, matches, originals, names, name } = buffer;
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
        self.work.documents.spend(matched * self.query.words.len() / 16);
        let titles = [title_matches(segment, title, matches), title_matches(segment, original, originals)];
        let titles = &titles[..if original.is_empty() { 1 } else { 2 }];
        let Some(score) = self.ranker.score(titles, names) else {
            return;
        };
        let key = self.part.keys.key(place);
        if !self.part.is_live(place) || self.documents.is_filtered() && !self.documents.matches(key) {
            return;
        }
        if let Some(facet) = self.selection.and_then(|selection| selection.excluded_by(place)) {
            self.collected.beside.push((self.number, place, facet));
        } else {
            let popularity = segment.popularity[place as usize];
            let (score, part) = (Some(score), self.number);
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
