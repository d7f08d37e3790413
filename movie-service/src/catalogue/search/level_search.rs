//! A search at one level.
//!
//! The documents of all segments that may match are ranked in order of popularity, until enough match. So what a search
//! finds does not depend on how the documents are divided into segments, which writes and merges change all the time.

use std::collections::HashSet;

use crate::catalogue::search::budget::{Budget, Work};
use crate::catalogue::search::candidates::{Candidates, prefetch};
use crate::catalogue::search::document::{Documents, Facet};
use crate::catalogue::search::expansions::{Expansion, Expansions, automata};
use crate::catalogue::search::filter::Selection;
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::search::query::{Level, ParsedQuery, QueryWord, cost};
use crate::catalogue::search::rank::{Ranker, TitleMatches, WordMatch, counts};
use crate::catalogue::search::searcher::ScoredDoc;
use crate::catalogue::search::segment::doc_set::{DocId, DocSet};
use crate::catalogue::search::segment::reader::{IndexSegment, SegmentReader};
use crate::catalogue::search::text::edit_distance::Automaton;

/// Maximum number of documents that one pass finds: the pass over words as they are, and the pass over completions. Of less
/// popular documents, only whole titles are found.
const MAX_FOUND_BY_PASS: usize = 1_000;
/// Maximum number of postings that are read. If the lists have more, all documents are ranked instead.
const MAX_LISTED_POSTINGS: usize = 30_000;
/// Minimum number of postings that are intersected with a second list. Ranking fewer documents costs less.
const MIN_INTERSECTED_POSTINGS: usize = 300;
/// Maximum number of postings of the second list for each one of the first.
const MAX_SECOND_LIST_RATIO: usize = 10;
/// Maximum number of documents of a segment whose titles are compared with the whole query.
const MAX_COMPARED_TITLES: usize = 2_000;
/// Number of steps that the look-up of a word in a segment counts as.
const STEPS_PER_WORD: usize = 10;
/// Number of documents for which making a set of them counts as a step.
const DOCS_PER_STEP: usize = 1_000;
/// Number of documents prefetched at a time.
const PREFETCH_DOCS: usize = 40;

/// Results of one level.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) found: Vec<ScoredDoc>,
    /// Documents that match except for the condition on one facet, for which they are counted: the number of their
    /// segment, document and facet.
    pub(crate) excluded_by_facet: Vec<(u32, DocId, Facet)>,
}

impl Collected {
    /// Adds what was found at the level before and has not been found again.
    pub(crate) fn keep(&mut self, before: Self) {
        let known: HashSet<_> = self.found.iter().map(|found| (found.segment_ord, found.doc)).collect();
        let is_lost = |found: &ScoredDoc| !known.contains(&(found.segment_ord, found.doc));
        self.found.extend(before.found.into_iter().filter(is_lost));
        let known: HashSet<_> =
            self.excluded_by_facet.iter().map(|(segment_ord, doc, _)| (*segment_ord, *doc)).collect();
        let is_lost = |(segment_ord, doc, _): &(u32, DocId, Facet)| !known.contains(&(*segment_ord, *doc));
        self.excluded_by_facet.extend(before.excluded_by_facet.into_iter().filter(is_lost));
    }
}

/// A segment in which documents can match.
struct SegmentMatches<'a> {
    segment_ord: u32,
    reader: &'a SegmentReader,
    /// The documents that may be found; `None` for all.
    selection: Option<&'a Selection>,
    expansions: Expansions,
    /// For each word of the query, the number of postings of its expansions.
    counts: Vec<usize>,
    /// Documents that have been ranked.
    ranked: DocSet,
}

/// Searches at a level. `selections` are those of the segments.
pub(crate) fn search_level(
    index: &SearchIndex,
    query: &ParsedQuery,
    level: Level,
    selections: &[Option<Selection>],
    documents: &dyn Documents,
    work: &mut Work,
) -> Collected {
    let is_required = |(bits, word)| if QueryWord::is_required(word, level) { bits } else { 0 };
    let required = (0..).map(|bit| 1 << bit).zip(&query.words).map(is_required).sum();
    let mut search = LevelSearch {
        query,
        level,
        documents,
        required,
        work,
        ranker: Ranker::new(query, level),
        segments: Vec::new(),
        buffer: Buffer::default(),
        collected: Collected::default(),
    };
    let automata = automata(query, level);
    // The newest first, so that there is work left for them.
    for (segment_ord, (reader, selection)) in index.segments().iter().zip(selections).enumerate().rev() {
        search.add_segment(segment_ord as u32, reader, selection.as_ref(), &automata);
    }
    search.run();
    search.collected
}

/// A search at one level, under way.
struct LevelSearch<'a> {
    query: &'a ParsedQuery,
    level: Level,
    documents: &'a dyn Documents,
    /// Bit of each word that a document needs.
    required: u32,
    work: &'a mut Work,
    ranker: Ranker<'a>,
    segments: Vec<SegmentMatches<'a>>,
    buffer: Buffer,
    collected: Collected,
}

impl<'a> LevelSearch<'a> {
    /// Adds a segment, if its documents can have the words.
    fn add_segment(
        &mut self,
        segment_ord: u32,
        reader: &'a SegmentReader,
        selection: Option<&'a Selection>,
        automata: &[Option<Automaton>],
    ) {
        let segment = &*reader.segment;
        if segment.is_empty() || selection.is_some_and(|selection| selection.candidates.is_empty()) {
            return;
        }
        // Look-ups of each word, and sets of documents.
        self.work.steps += STEPS_PER_WORD * self.query.words.len() + segment.len() / DOCS_PER_STEP;
        let (may_miss, nodes) = (self.ranker.may_miss(), &mut self.work.nodes);
        let expansions = Expansions::new(segment, self.query, self.level, may_miss, automata, nodes);
        self.work.is_complete &= !self.work.nodes.is_spent();
        if let Some(expansions) = expansions {
            let counts = expansions.postings(segment, self.query.words.len());
            let ranked = DocSet::new(segment.len());
            self.segments.push(SegmentMatches { segment_ord, reader, selection, expansions, counts, ranked });
        }
    }

    /// Ranks the documents that may match.
    fn run(&mut self) {
        let may_miss = self.ranker.may_miss();
        let count = |word: usize| self.segments.iter().map(|segment| segment.counts[word]).sum::<usize>();
        let counts: Vec<usize> = (0..self.query.words.len()).map(count).collect();
        let is_required = |word: &usize| self.query.words[*word].is_required(self.level);
        let mut required: Vec<usize> = (0..counts.len()).filter(is_required).collect();
        required.sort_by_key(|word| counts[*word]);
        // If some may be missing, each document still has one of the rarest.
        let Some(pivots) = required.get(..may_miss + 1) else { return };
        let count: usize = pivots.iter().map(|word| counts[*word]).sum();
        if count == 0 {
            return;
        }
        let selections = || self.segments.iter().filter_map(|segment| segment.selection);
        let accepted = selections().map(|selection| selection.accepted.len()).reduce(|sum, len| sum + len);
        let has_excluded = selections().any(Selection::has_excluded);
        // A second list that costs less to read than the documents to rank.
        let most = (MAX_SECOND_LIST_RATIO * count).min(self.work.postings.left().saturating_sub(count));
        let is_worthwhile =
            may_miss == 0 && (MIN_INTERSECTED_POSTINGS..=MAX_LISTED_POSTINGS).contains(&count);
        let second = required.get(1).filter(|second| is_worthwhile && counts[**second] < most).copied();
        let is_truncated = if accepted.is_some_and(|accepted| accepted <= count.min(MAX_FOUND_BY_PASS)) {
            let is_truncated = self.rank_accepted();
            if has_excluded {
                // Only to count them for the facets.
                let postings = std::mem::replace(&mut self.work.postings, Budget::new(MAX_LISTED_POSTINGS));
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
            (0..self.segments.len()).for_each(|segment| self.rank_whole_titles(segment));
        }
    }

    /// Ranks the documents that have one of some words of the query, and the second word. Returns whether there are more.
    fn rank_listed(&mut self, words: &[usize], second: Option<usize>) -> bool {
        let seconds: Option<Vec<DocSet>> =
            second.map(|second| self.docs_of(|expansion| expansion.has_one_of(&[second])));
        let (mut read, mut is_truncated) = (0, false);
        for is_completion in [false, true] {
            let is_wanted = |expansion: &Expansion| {
                expansion.is_completion == is_completion && expansion.has_one_of(words)
            };
            for SegmentMatches { reader, expansions, .. } in &self.segments {
                let wanted = expansions.all.iter().filter(|expansion| is_wanted(expansion));
                read += wanted.map(|expansion| expansion.rarest(&reader.segment).1).sum::<usize>();
            }
            if read > MAX_LISTED_POSTINGS {
                return self.rank_all();
            }
            let mut docs = self.docs_of(is_wanted);
            if let Some(seconds) = &seconds {
                docs.iter_mut().zip(seconds).for_each(|(docs, second)| docs.intersect(second));
            }
            for (docs, segment) in docs.iter_mut().zip(&self.segments) {
                if let Some(selection) = segment.selection {
                    docs.intersect(&selection.candidates);
                }
            }
            let segments = self.segments.iter().map(|segment| segment.reader);
            let candidates = Candidates::new(segments.zip(docs.iter().map(DocSet::iter)));
            is_truncated |= self.rank_most_popular(candidates);
        }
        is_truncated
    }

    /// Returns the documents of each segment that have a word of one of some expansions.
    fn docs_of(&mut self, is_wanted: impl Fn(&Expansion) -> bool) -> Vec<DocSet> {
        let Self { segments, work, .. } = self;
        let docs = |SegmentMatches { reader, expansions, .. }: &SegmentMatches<'_>| {
            let mut docs = DocSet::new(reader.segment.len());
            for expansion in expansions.all.iter().filter(|expansion| is_wanted(expansion)) {
                expansion.add_docs(&reader.segment, &mut docs, &mut work.postings);
            }
            docs
        };
        segments.iter().map(docs).collect()
    }

    /// Ranks all documents that may be found or counted. Returns whether there are more to be found.
    fn rank_all(&mut self) -> bool {
        let is_truncated = self.rank_accepted();
        let excluded =
            Candidates::new(self.segments.iter().map(|segment| {
                (segment.reader, segment.selection.into_iter().flat_map(Selection::excluded))
            }));
        for (number, doc) in excluded {
            if self.work.excluded.is_spent() {
                self.work.counts_all = false;
                break;
            }
            self.rank(number, doc);
        }
        is_truncated
    }

    /// Ranks all documents that may be found. Returns whether there are more.
    fn rank_accepted(&mut self) -> bool {
        let candidates = Candidates::new(self.segments.iter().map(|segment| {
            let docs: Box<dyn Iterator<Item = DocId> + 'a> = match segment.selection {
                Some(selection) => Box::new(selection.accepted.iter()),
                None => Box::new(0..segment.reader.segment.len() as DocId),
            };
            (segment.reader, docs)
        }));
        self.rank_most_popular(candidates)
    }

    /// Ranks the most popular ones of these documents. Returns whether there are more.
    fn rank_most_popular(&mut self, mut candidates: Candidates<'a, impl Iterator<Item = DocId>>) -> bool {
        let most = self.collected.found.len() + MAX_FOUND_BY_PASS;
        let mut batch = Vec::with_capacity(PREFETCH_DOCS);
        loop {
            batch.clear();
            batch.extend(candidates.by_ref().take(PREFETCH_DOCS));
            prefetch(batch.iter().map(|(number, doc)| (&*self.segments[*number].reader.segment, *doc)));
            for (number, doc) in &batch {
                if self.work.is_spent() || self.collected.found.len() >= most {
                    return true;
                }
                self.rank(*number, *doc);
            }
            if batch.len() < PREFETCH_DOCS {
                return false;
            }
        }
    }

    /// Ranks the documents of a segment that have the query as whole title, as it is written, however unpopular they are.
    fn rank_whole_titles(&mut self, number: usize) {
        let SegmentMatches { reader, selection, ref expansions, .. } = self.segments[number];
        let Some(literal) = expansions.literal(self.query) else {
            return;
        };
        let segment = &*reader.segment;
        let literal = &literal[usize::from(self.query.words[0].is_article)..];
        // Of its own: the other one is often spent before.
        let mut budget = Budget::new(MAX_LISTED_POSTINGS);
        let mut docs = DocSet::new(segment.len());
        let mut by_count: Vec<(usize, u32)> = literal
            .iter()
            .map(|ordinal| (segment.postings.count(*ordinal..*ordinal + 1), *ordinal))
            .collect();
        by_count.sort_unstable();
        match by_count[..] {
            [] => return,
            [(_, ordinal)] => docs.add_list(segment, ordinal, &mut budget, 0),
            [(count, rarest), (other_count, other), ..] => {
                if count > MAX_LISTED_POSTINGS {
                    return;
                }
                docs.add_list(segment, rarest, &mut budget, usize::MAX);
                if count > MIN_INTERSECTED_POSTINGS && other_count < budget.left() {
                    let mut others = DocSet::new(segment.len());
                    others.add_list(segment, other, &mut budget, usize::MAX);
                    docs.intersect(&others);
                }
            }
        }
        self.work.postings.spend(MAX_LISTED_POSTINGS - budget.left());
        let is_whole = |title: &[u32]| {
            let after_article = title.split_first().filter(|(first, _)| segment.articles.contains(first));
            title == literal || after_article.is_some_and(|(_, rest)| rest == literal)
        };
        let mut titles = Vec::new();
        let is_candidate = |doc: &DocId| {
            reader.is_live(*doc) && selection.is_none_or(|selection| selection.candidates.contains(*doc))
        };
        for doc in docs.iter().filter(is_candidate).take(MAX_COMPARED_TITLES) {
            let document = segment.forward.get(doc);
            titles.clear();
            titles.extend(document.ordinals.take(document.title + document.original));
            let (title, original) = titles.split_at(document.title);
            if is_whole(title) || is_whole(original) {
                self.rank(number, doc);
            }
        }
    }

    /// Ranks a live document that may be found.
    fn rank(&mut self, number: usize, doc: DocId) {
        let SegmentMatches { segment_ord, reader, selection, expansions, ranked, .. } =
            &mut self.segments[number];
        if !ranked.insert(doc) {
            return;
        }
        let excluded_by = selection.and_then(|selection| selection.excluded_by(doc));
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
        let key = reader.keys.key(doc);
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
        let segment = &*reader.segment;
        let Buffer { ordinals, matches, originals, names, name } = &mut self.buffer;
        let document = segment.forward.get(doc);
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
            self.collected.excluded_by_facet.push((*segment_ord, doc, facet));
        } else {
            let popularity = segment.popularity[doc as usize];
            let (score, segment_ord) = (Some(score), *segment_ord);
            self.collected.found.push(ScoredDoc { score, popularity, key, segment_ord, doc });
        }
    }
}

/// Returns the bits of the words of the query that are matched at no more than a cost.
fn covered(matches: &[WordMatch], most: u16) -> u32 {
    let is_covering =
        |found: &&WordMatch| counts(found) && found.cost <= most && (most == u16::MAX || found.width == 1);
    let matches = matches.iter().filter(is_covering);
    matches.fold(0, |bits, found| bits | ((1 << found.width) - 1) << found.word)
}

#[derive(Default)]
struct Buffer {
    ordinals: Vec<u32>,
    matches: Vec<WordMatch>,
    originals: Vec<WordMatch>,
    names: Vec<WordMatch>,
    name: Vec<u32>,
}

fn title_matches<'a>(segment: &IndexSegment, ordinals: &[u32], matches: &'a [WordMatch]) -> TitleMatches<'a> {
    let begins_with_article = ordinals.first().is_some_and(|first| segment.articles.contains(first));
    let letters = ordinals.iter().map(|ordinal| usize::from(segment.lengths[*ordinal as usize])).sum();
    TitleMatches { matches, len: ordinals.len(), letters, begins_with_article }
}

/// Finds the matches in names. Positions of different names are not adjacent.
fn find_names(expansions: &Expansions, people: &[u32], names: &mut Vec<WordMatch>, buffer: &mut Vec<u32>) {
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
