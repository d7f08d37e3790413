//! Cost and order of a document.

use crate::catalogue::search::query::{Level, MAX_JOINED, MAX_WORDS, Query, cost};
use crate::catalogue::search::text::normalize::ARTICLES;

/// Additional cost of a word that is found in a name: beside another word of the query; alone, as last word of the name and
/// elsewhere.
const IN_NAME: u16 = 25;
const LAST_NAME: u16 = 60;
const FIRST_NAME: u16 = 110;
/// Additional cost of a word alone in a name that differs in spelling.
const UNLIKE_NAME: u16 = 45;
/// Additional cost of a document that has some words in names, and only alone, and others in its title.
const MIXED: u16 = 45;
/// Additional cost of a title that goes on after the query: of a literal one, and of one with edits.
pub(crate) const BEGINS: u16 = 5;
const BEGINS_EDITED: u16 = 20;

/// Words of a query that stand for words of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Position of the first word of the document, and the number of words.
    pub(crate) at: u32,
    pub(crate) span: u8,
    /// First word of the query, and the number of words.
    pub(crate) word: u8,
    pub(crate) width: u8,
    pub(crate) cost: u16,
    pub(crate) is_equivalent: bool,
    pub(crate) is_roman: bool,
    /// Ends with the last word of a name.
    pub(crate) ends_name: bool,
}

/// The matches in a title, in order of position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TitleMatches<'a> {
    pub(crate) matches: &'a [Match],
    pub(crate) len: usize,
    /// Number of letters of all words.
    pub(crate) letters: usize,
    pub(crate) begins_with_article: bool,
}

/// How well a document matches: the less, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score(u64);

/// How a title contains the words of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WordOrder {
    WholeTitle,
    /// The whole title after an article that the query lacks, with some cost.
    WholeAfterArticle,
    BeginsTitle,
    /// As the one before, after an article that the query lacks.
    BeginsAfterArticle,
    /// All words of the title, in another order.
    AllWords,
    /// Next to each other.
    Phrase,
    InOrder,
    Scattered,
    /// All words of the title, and others that are in names or missing.
    WholeTitleAndOthers,
    /// Some words are in names or missing.
    Incomplete,
}

impl WordOrder {
    /// Returns the order for a title of which the query may have only a part.
    fn of_incomplete_title(self) -> Self {
        if self == Self::WholeTitle {
            Self::BeginsTitle
        } else if self == Self::WholeAfterArticle {
            Self::BeginsAfterArticle
        } else {
            self
        }
    }

    /// Returns the additional cost of the order, for words of this cost.
    fn cost(self, words: u16) -> u16 {
        match self {
            Self::WholeTitle | Self::WholeAfterArticle | Self::WholeTitleAndOthers | Self::Incomplete => 0,
            Self::BeginsTitle | Self::BeginsAfterArticle if words < cost::EDIT => BEGINS,
            Self::BeginsTitle | Self::BeginsAfterArticle => BEGINS_EDITED,
            Self::AllWords | Self::Phrase => 32,
            Self::InOrder => 40,
            Self::Scattered => 50,
        }
    }
}

impl Score {
    fn new(cost: u16, order: WordOrder, is_small_part: bool, equivalents: u8) -> Self {
        let cost = cost.saturating_add(order.cost(cost));
        Self(
            u64::from(cost) << 24
                | (order as u64) << 16
                | u64::from(is_small_part) << 8
                | u64::from(equivalents),
        )
    }

    /// Returns the cost in hundredths of an edit.
    #[must_use]
    pub(crate) fn cost(self) -> u16 {
        (self.0 >> 24) as u16
    }

    /// Returns whether the whole title was meant.
    #[must_use]
    pub(crate) fn is_whole_title(self) -> bool {
        (self.0 >> 16) as u8 <= WordOrder::WholeAfterArticle as u8
    }

    /// Returns whether the title, without an article, begins with the query.
    #[must_use]
    pub(crate) fn begins_title(self) -> bool {
        (self.0 >> 16) as u8 <= WordOrder::BeginsAfterArticle as u8
    }
}

/// The cheapest match of words of the query, by first word and width.
#[derive(Clone, Copy)]
struct Cheapest {
    cost: u16,
    place: Place,
    is_equivalent: bool,
}

/// Where a match is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Title,
    /// In a name, beside another match.
    Name,
    AloneInName,
}

const NONE: Cheapest = Cheapest { cost: u16::MAX, place: Place::Title, is_equivalent: false };

/// Ranks documents for a query. Reused for many documents.
pub(crate) struct Ranker<'a> {
    query: &'a Query,
    level: Level,
    cheapest: Vec<[Cheapest; MAX_JOINED]>,
    /// Number of letters of all words of the query.
    letters: usize,
    begins_with_article: bool,
    /// Number of required words that may be missing.
    may_miss: usize,
}

/// The cheapest way to find all words.
#[derive(Clone, Copy, Default)]
struct Path {
    cost: u16,
    missing: u8,
    /// Words that are missing or in names.
    elsewhere: u8,
    alone: u8,
    equivalents: u8,
}

impl<'a> Ranker<'a> {
    /// Makes a ranker.
    #[must_use]
    pub(crate) fn new(query: &'a Query, level: Level) -> Self {
        let required = query.words.iter().filter(|word| Query::is_required(word, level)).count();
        let may_miss = if level == Level::Partial { required / 2 } else { 0 };
        Self {
            query,
            level,
            cheapest: vec![[NONE; MAX_JOINED]; query.words.len()],
            letters: query.words.iter().map(|word| word.chars).sum(),
            begins_with_article: query.words.first().is_some_and(|word| ARTICLES.contains(&&*word.text)),
            may_miss,
        }
    }

    /// Returns how many of the required words may be missing.
    pub(crate) fn may_miss(&self) -> usize {
        self.may_miss
    }

    /// Returns the score of a document; none if too many words are missing.
    pub(crate) fn score(&mut self, titles: &[TitleMatches<'_>], names: &[Match]) -> Option<Score> {
        let mut best: Option<Score> = None;
        for title in titles {
            let score = self.score_with(title, names);
            best = [best, score].into_iter().flatten().min();
        }
        best
    }

    fn score_with(&mut self, title: &TitleMatches<'_>, names: &[Match]) -> Option<Score> {
        self.cheapest.fill([NONE; MAX_JOINED]);
        for found in title.matches.iter().filter(|found| counts(found)) {
            self.offer(found, found.cost, Place::Title);
        }
        for (at, found) in
            names.iter().enumerate().filter(|(_, found)| !found.is_roman && !found.is_equivalent)
        {
            let beside = |other: &Match| {
                let next =
                    found.word + found.width == other.word && found.at + u32::from(found.span) == other.at;
                let last =
                    other.word + other.width == found.word && other.at + u32::from(other.span) == found.at;
                next || last
            };
            let near = &names[at.saturating_sub(8)..names.len().min(at + 8)];
            if near.iter().any(beside) {
                self.offer(found, found.cost + IN_NAME, Place::Name);
            } else {
                let more = if found.ends_name { LAST_NAME } else { FIRST_NAME };
                let unlike = if found.cost > 0 { UNLIKE_NAME } else { 0 };
                self.offer(found, found.cost + more + unlike, Place::AloneInName);
            }
        }
        let mut path = self.cheapest_path();
        if path.cost == u16::MAX {
            return None;
        }
        if path.alone > 0 && usize::from(path.elsewhere) < self.query.words.len() {
            path.cost = path.cost.saturating_add(MIXED);
        }
        Some(self.ordered(title, path))
    }

    fn offer(&mut self, found: &Match, cost: u16, place: Place) {
        let Some(cheapest) = self
            .cheapest
            .get_mut(found.word as usize)
            .and_then(|widths| widths.get_mut(found.width as usize - 1))
        else {
            return;
        };
        if (cost, found.is_equivalent) < (cheapest.cost, cheapest.is_equivalent) {
            *cheapest = Cheapest { cost, place, is_equivalent: found.is_equivalent };
        }
    }

    fn cheapest_path(&self) -> Path {
        let words = &self.query.words;
        let mut paths = [Path { cost: u16::MAX, ..Path::default() }; MAX_WORDS + 1];
        paths[0].cost = 0;
        for (at, word) in words.iter().enumerate() {
            let path = paths[at];
            let mut offer = |to: usize, path: Path| {
                if path.cost < paths[to].cost {
                    paths[to] = path;
                }
            };
            for (width, cheapest) in
                (1..).zip(&self.cheapest[at]).filter(|(_, cheapest)| cheapest.cost < u16::MAX)
            {
                offer(
                    at + width,
                    Path {
                        cost: path.cost.saturating_add(cheapest.cost),
                        elsewhere: path.elsewhere + u8::from(cheapest.place != Place::Title),
                        alone: path.alone + u8::from(cheapest.place == Place::AloneInName),
                        equivalents: path.equivalents + u8::from(cheapest.is_equivalent),
                        ..path
                    },
                );
            }
            let missing = path.missing + u8::from(Query::is_required(word, self.level));
            if usize::from(missing) <= self.may_miss {
                let cost = path.cost.saturating_add(word.missing);
                offer(at + 1, Path { cost, missing, elsewhere: path.elsewhere + 1, ..path });
            }
        }
        paths[words.len()]
    }

    /// Returns the score, with the order of the words in the title.
    fn ordered(&self, title: &TitleMatches<'_>, path: Path) -> Score {
        let skips_article = usize::from(title.begins_with_article && title.len > 1);
        let covered =
            title.matches.iter().filter(|found| self.is_cheapest(found)).fold(0_u64, |covered, found| {
                covered | ((1 << found.span) - 1) << found.at.min(63 - u32::from(found.span))
            });
        let counted = covered & !(skips_article as u64);
        let left_over = (title.len - skips_article).saturating_sub(counted.count_ones() as usize);
        // Words of the query from which on a title may be as the query says.
        let optional_article = usize::from(self.query.words[0].is_article);
        let order = match path.elsewhere {
            0 if left_over == 0 => WordOrder::AllWords,
            0 if self.is_in_order(title.matches) => WordOrder::InOrder,
            0 => WordOrder::Scattered,
            _ if left_over == 0 => WordOrder::WholeTitleAndOthers,
            _ => WordOrder::Incomplete,
        };
        // How long the title is says nothing of words that are elsewhere.
        let is_small_part = path.elsewhere == 0 && self.is_small_part(title);
        let mut best = Score::new(path.cost, order, is_small_part, path.equivalents);
        for first_word in 0..=optional_article {
            let skipped = if first_word == 1 { self.query.words[0].missing } else { 0 };
            let of_word = title.matches.iter().filter(|found| usize::from(found.word) == first_word);
            for start in of_word.map(|found| found.at) {
                let Some((cost, end)) = self.align(title.matches, first_word, start) else {
                    continue;
                };
                let cost = cost + skipped;
                let mut order = match (start, end as usize == title.len) {
                    (0, true) => WordOrder::WholeTitle,
                    (1, true) if skips_article == 1 && cost == 0 => WordOrder::WholeTitle,
                    (1, true) if skips_article == 1 => WordOrder::WholeAfterArticle,
                    (0, false) => WordOrder::BeginsTitle,
                    (1, false) if skips_article == 1 => WordOrder::BeginsAfterArticle,
                    _ => WordOrder::Phrase,
                };
                if cost == cost::COMPLETION {
                    // While the last word is being typed, a title that it may complete is not better than one that goes on.
                    order = order.of_incomplete_title();
                }
                // In order, words may stand for others than the cheapest: a last "a" for the beginning of the third word, and
                // not for the first.
                best = best.min(Score::new(cost, order, is_small_part, path.equivalents));
            }
        }
        best
    }

    /// Returns whether the query has less than two thirds of the letters of a title.
    fn is_small_part(&self, title: &TitleMatches<'_>) -> bool {
        let article = if title.begins_with_article && !self.begins_with_article { 3 } else { 0 };
        title.letters.saturating_sub(article) * 2 > self.letters * 3 + 2
    }

    fn is_cheapest(&self, found: &Match) -> bool {
        let cheapest = &self.cheapest[found.word as usize][found.width as usize - 1];
        counts(found) && cheapest.place == Place::Title && cheapest.cost == found.cost
    }

    /// Follows the words of the query from one of them and the words of the title from a position, to the end of the
    /// query. Returns the cost and where in the title it ends.
    fn align(&self, matches: &[Match], first_word: usize, start: u32) -> Option<(u16, u32)> {
        let (mut word, mut at, mut cost) = (first_word, start, 0_u16);
        while word < self.query.words.len() {
            let here = matches.iter().filter(|found| found.at == at && usize::from(found.word) == word);
            let found = here.filter(|found| counts(found)).min_by_key(|found| found.cost)?;
            cost = cost.saturating_add(found.cost);
            word += usize::from(found.width);
            at += u32::from(found.span);
        }
        Some((cost, at))
    }

    fn is_in_order(&self, matches: &[Match]) -> bool {
        let mut next = 0;
        for word in 0..self.query.words.len() {
            let of_word =
                matches.iter().filter(|found| usize::from(found.word) == word && self.is_cheapest(found));
            let mut positions = of_word.map(|found| found.at).peekable();
            if positions.peek().is_some() {
                let Some(at) = positions.find(|at| *at >= next) else {
                    return false;
                };
                next = at + 1;
            }
        }
        true
    }
}

/// Returns whether a match in a title counts. A Roman numeral in first place is not a number.
pub(crate) fn counts(found: &Match) -> bool {
    !(found.is_roman && found.at == 0)
}
