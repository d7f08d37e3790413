//! Cost and order of a document.

use crate::catalogue::search::query::{Level, MAX_JOINED, MAX_QUERY_WORDS, MAX_SPLIT, ParsedQuery, cost};
use crate::catalogue::search::text::normalize::ARTICLES;

/// Words of a query that stand for words of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WordMatch {
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
    pub(crate) matches: &'a [WordMatch],
    pub(crate) len: usize,
    /// Number of letters of all words.
    pub(crate) letters: usize,
    pub(crate) begins_with_article: bool,
}

/// How well a document matches: the less, the better. The fields are compared in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    /// In hundredths of an edit.
    cost: u16,
    order: WordOrder,
    /// Whether the query is only a small part of the title.
    is_small_part: bool,
    /// Number of words found as another form of a number.
    equivalents: u8,
}

/// How a title contains the words of a query, the best first.
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
            Self::BeginsTitle | Self::BeginsAfterArticle if words < cost::EDIT => cost::BEGINS_TITLE,
            Self::BeginsTitle | Self::BeginsAfterArticle => cost::BEGINS_TITLE_EDITED,
            Self::AllWords | Self::Phrase => cost::PHRASE,
            Self::InOrder => cost::IN_ORDER,
            Self::Scattered => cost::SCATTERED,
        }
    }
}

impl Score {
    fn new(words_cost: u16, order: WordOrder, is_small_part: bool, equivalents: u8) -> Self {
        let cost = words_cost.saturating_add(order.cost(words_cost));
        Self { cost, order, is_small_part, equivalents }
    }

    /// Returns the cost in hundredths of an edit.
    #[must_use]
    pub(crate) fn cost(self) -> u16 {
        self.cost
    }

    /// Returns whether the whole title was meant.
    #[must_use]
    pub(crate) fn is_whole_title(self) -> bool {
        self.order <= WordOrder::WholeAfterArticle
    }

    /// Returns whether the title, without an article, begins with the query.
    #[must_use]
    pub(crate) fn begins_title(self) -> bool {
        self.order <= WordOrder::BeginsAfterArticle
    }
}

/// The cheapest match of words of the query.
#[derive(Clone, Copy)]
struct Cheapest {
    cost: u16,
    found_in: MatchedIn,
    is_equivalent: bool,
}

/// Where a match is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MatchedIn {
    Title,
    /// In a name, beside another match.
    Name,
    AloneInName,
}

const NONE: Cheapest = Cheapest { cost: u16::MAX, found_in: MatchedIn::Title, is_equivalent: false };

/// Ranks documents for a query. Reused for many documents.
pub(crate) struct Ranker<'a> {
    query: &'a ParsedQuery,
    level: Level,
    /// By first word and width.
    cheapest: Vec<[Cheapest; MAX_JOINED]>,
    neighbours: Neighbours,
    /// Number of letters of all words of the query.
    letters: usize,
    begins_with_article: bool,
    /// Number of required words that may be missing.
    may_miss: usize,
}

/// Where matches in names begin and end: finds the matches that are next to each other in a name and in the query.
#[derive(Default)]
struct Neighbours {
    /// For each position in names, bits of words of the query: the first words of the matches that begin there, and the
    /// words after the matches that end before it.
    positions: Vec<(u32, u32)>,
}

impl Neighbours {
    /// Replaces the matches. They are in order of position.
    fn fill(&mut self, names: &[WordMatch]) {
        self.positions.clear();
        let Some(last) = names.last() else { return };
        self.positions.resize(last.at as usize + MAX_SPLIT + 1, (0, 0));
        for found in names {
            self.positions[found.at as usize].0 |= 1 << found.word;
            self.positions[(found.at + u32::from(found.span)) as usize].1 |= 1 << (found.word + found.width);
        }
    }

    /// Returns whether a match has another one directly before or after it.
    fn has_one(&self, found: &WordMatch) -> bool {
        let begins_after = self.positions[(found.at + u32::from(found.span)) as usize].0;
        let ends_before = self.positions[found.at as usize].1;
        begins_after >> (found.word + found.width) & 1 == 1 || ends_before >> found.word & 1 == 1
    }
}

/// The cheapest way to find all words.
#[derive(Clone, Copy, Default)]
struct Path {
    cost: u16,
    missing: u8,
    /// Number of words that are missing or in names.
    elsewhere: u8,
    /// Number of matches that are alone in a name.
    alone: u8,
    /// Number of matches with another form of a number.
    equivalents: u8,
}

impl<'a> Ranker<'a> {
    /// Makes a ranker.
    #[must_use]
    pub(crate) fn new(query: &'a ParsedQuery, level: Level) -> Self {
        let required = query.words.iter().filter(|word| word.is_required(level)).count();
        let may_miss = if level == Level::Partial { required / 2 } else { 0 };
        Self {
            query,
            level,
            cheapest: vec![[NONE; MAX_JOINED]; query.words.len()],
            neighbours: Neighbours::default(),
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
    pub(crate) fn score(&mut self, titles: &[TitleMatches<'_>], names: &[WordMatch]) -> Option<Score> {
        self.neighbours.fill(names);
        let mut best: Option<Score> = None;
        for title in titles {
            let score = self.score_with(title, names);
            best = [best, score].into_iter().flatten().min();
        }
        best
    }

    fn score_with(&mut self, title: &TitleMatches<'_>, names: &[WordMatch]) -> Option<Score> {
        self.cheapest.fill([NONE; MAX_JOINED]);
        for found in title.matches.iter().filter(|found| counts(found)) {
            self.offer(found, found.cost, MatchedIn::Title);
        }
        for found in names.iter().filter(|found| !found.is_roman && !found.is_equivalent) {
            if self.neighbours.has_one(found) {
                self.offer(found, found.cost + cost::IN_NAME, MatchedIn::Name);
            } else {
                let alone =
                    if found.ends_name { cost::ALONE_AS_LAST_NAME } else { cost::ALONE_AS_FIRST_NAME };
                let unlike = if found.cost > 0 { cost::ALONE_AND_UNLIKE } else { 0 };
                self.offer(found, found.cost + alone + unlike, MatchedIn::AloneInName);
            }
        }
        let mut path = self.cheapest_path();
        if path.cost == u16::MAX {
            return None;
        }
        if path.alone > 0 && usize::from(path.elsewhere) < self.query.words.len() {
            path.cost = path.cost.saturating_add(cost::TITLE_AND_ALONE_IN_NAME);
        }
        Some(self.ordered(title, path))
    }

    fn offer(&mut self, found: &WordMatch, cost: u16, found_in: MatchedIn) {
        let Some(cheapest) = self
            .cheapest
            .get_mut(found.word as usize)
            .and_then(|widths| widths.get_mut(found.width as usize - 1))
        else {
            return;
        };
        if (cost, found.is_equivalent) < (cheapest.cost, cheapest.is_equivalent) {
            *cheapest = Cheapest { cost, found_in, is_equivalent: found.is_equivalent };
        }
    }

    fn cheapest_path(&self) -> Path {
        let words = &self.query.words;
        let mut paths = [Path { cost: u16::MAX, ..Path::default() }; MAX_QUERY_WORDS + 1];
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
                        elsewhere: path.elsewhere + u8::from(cheapest.found_in != MatchedIn::Title),
                        alone: path.alone + u8::from(cheapest.found_in == MatchedIn::AloneInName),
                        equivalents: path.equivalents + u8::from(cheapest.is_equivalent),
                        ..path
                    },
                );
            }
            let missing = path.missing + u8::from(word.is_required(self.level));
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

    fn is_cheapest(&self, found: &WordMatch) -> bool {
        let cheapest = &self.cheapest[found.word as usize][found.width as usize - 1];
        counts(found) && cheapest.found_in == MatchedIn::Title && cheapest.cost == found.cost
    }

    /// Follows the words of the query from one of them and the words of the title from a position, to the end of the
    /// query. Returns the cost and where in the title it ends.
    fn align(&self, matches: &[WordMatch], first_word: usize, start: u32) -> Option<(u16, u32)> {
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

    fn is_in_order(&self, matches: &[WordMatch]) -> bool {
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
pub(crate) fn counts(found: &WordMatch) -> bool {
    !(found.is_roman && found.at == 0)
}
