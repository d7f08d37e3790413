//! Text to words: without case and accents, with byte ranges in the original text.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::catalogue::fold::fold_char;

/// Longest word in characters; the rest of a longer word is ignored. At most 63, see `typo`.
pub(crate) const MAX_WORD_CHARS: usize = 48;

/// The words of a text, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    text: String,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    /// Range of the word in `Words::text`.
    word: (u32, u32),
    /// Range of the word in the original text.
    original: (u32, u32),
}

impl Words {
    /// Returns the words of a text.
    #[must_use]
    pub(crate) fn of(text: &str) -> Self {
        let mut words = Self::default();
        words.fill(text);
        words
    }

    /// Replaces the words by those of another text.
    pub(crate) fn fill(&mut self, text: &str) {
        self.text.clear();
        self.spans.clear();
        let mut writer = Writer { words: self, start: None, chars: 0, end: 0 };
        for (at, char) in text.char_indices() {
            writer.push(at, char);
        }
        writer.finish_word();
        if self.spans.is_empty() {
            self.fill_with_symbols(text);
        } else {
            self.join_initials(text);
        }
    }

    /// Returns the number of words.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the words.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.spans.iter().map(|span| &self.text[span.word.0 as usize..span.word.1 as usize])
    }

    /// Returns the byte range of a word in the original text.
    #[must_use]
    pub(crate) fn original_range(&self, word: usize) -> std::ops::Range<usize> {
        let (start, end) = self.spans[word].original;
        start as usize..end as usize
    }

    /// Joins single letters that only a `.` or `*` separates: `E.T.`, `M*A*S*H`.
    fn join_initials(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let is_letter = |span: &Span, words: &str| {
            let word = &words[span.word.0 as usize..span.word.1 as usize];
            word.len() == 1 && word.as_bytes()[0].is_ascii_alphabetic()
        };
        let mut joined = 0;
        for next in 1..self.spans.len() {
            let (current, span) = (self.spans[joined], self.spans[next]);
            let separated_once = current.original.1 + 1 == span.original.0
                && matches!(bytes.get(current.original.1 as usize), Some(b'.' | b'*'));
            // The letters are adjacent in `text`, and the original is letters with one separator between each two, so only
            // initials have been joined so far.
            let ends_with_letter = current.word.1 == span.word.0
                && self.text[current.word.0 as usize..current.word.1 as usize]
                    .bytes()
                    .all(|b| b.is_ascii_alphabetic())
                && (current.original.1 - current.original.0) as usize
                    == 2 * (current.word.1 - current.word.0) as usize - 1;
            if separated_once && ends_with_letter && is_letter(&span, &self.text) {
                self.spans[joined].word.1 = span.word.1;
                self.spans[joined].original.1 = span.original.1;
            } else {
                joined += 1;
                self.spans[joined] = span;
            }
        }
        self.spans.truncate(joined + 1);
    }

    /// Makes words of the symbols of a text that has no letters or digits.
    fn fill_with_symbols(&mut self, text: &str) {
        let mut start = 0;
        for part in text.split(|char: char| char.is_whitespace() || char.is_control()) {
            let at = text[start..].find(part).map_or(start, |offset| start + offset);
            start = at + part.len();
            if part.is_empty() {
                continue;
            }
            let word = self.text.len();
            let folded = part.nfkd().filter(|char| !is_combining_mark(*char) && !char.is_whitespace());
            self.text.extend(folded.take(MAX_WORD_CHARS));
            if self.text.len() > word {
                self.spans.push(Span {
                    word: (word as u32, self.text.len() as u32),
                    original: (at as u32, start as u32),
                });
            }
        }
    }
}

struct Writer<'a> {
    words: &'a mut Words,
    /// Start of the current word: in the original text, in `words.text`.
    start: Option<(usize, usize)>,
    chars: usize,
    /// End of the last character of the current word in the original text.
    end: usize,
}

impl Writer<'_> {
    fn push(&mut self, at: usize, char: char) {
        let end = at + char.len_utf8();
        if char.is_ascii() {
            match char {
                'a'..='z' | '0'..='9' => self.letter(at, end, char),
                'A'..='Z' => self.letter(at, end, char.to_ascii_lowercase()),
                '\'' | '`' => {}
                '&' => {
                    self.finish_word();
                    "and".chars().for_each(|char| self.letter(at, end, char));
                    self.finish_word();
                }
                _ => self.finish_word(),
            }
            return;
        }
        match char {
            // Apostrophes and what is written for them; Arabic tatweel, soft hyphen, joiners: without meaning for a search.
            '’' | '‘' | '´' | 'ʼ' | 'ʻ' | 'ʹ' | '′' | '＇' | 'ـ' | '\u{ad}' | '\u{200c}' | '\u{200d}' =>
            {
                return;
            }
            // NFKD would join the numerator to the digits before it.
            '¼' | '½' | '¾' | '⅐'..='⅞' => self.finish_word(),
            _ => {}
        }
        if is_combining_mark(char) {
            // Not a part of the word, but of its highlight.
            self.end = if self.start.is_some() { end } else { self.end };
            return;
        }
        let alone = is_word_by_itself(char);
        if alone {
            self.finish_word();
        }
        fold_char(char, |folded| {
            // Arabic letters that are written for one another.
            let letter = match folded {
                'ى' => 'ي',
                'ة' => 'ه',
                other => other,
            };
            if is_initial_jamo(letter) {
                // A syllable that came decomposed.
                self.finish_word();
            }
            if letter.is_alphanumeric() {
                self.letter(at, end, letter);
            } else {
                self.finish_word();
            }
        });
        if alone {
            self.finish_word();
        }
    }

    fn letter(&mut self, at: usize, end: usize, char: char) {
        if self.start.is_none() {
            self.start = Some((at, self.words.text.len()));
            self.chars = 0;
        }
        if self.chars < MAX_WORD_CHARS {
            self.words.text.push(char);
            self.chars += 1;
        }
        self.end = end;
    }

    fn finish_word(&mut self) {
        let Some((start, mut word)) = self.start.take() else {
            return;
        };
        let text = &self.words.text;
        // The Arabic article is written as part of its word.
        if let Some(rest) = text[word..].strip_prefix("ال")
            && rest.chars().nth(1).is_some()
        {
            word += "ال".len();
        }
        self.words.spans.push(Span {
            word: (word as u32, self.words.text.len() as u32),
            original: (start as u32, self.end as u32),
        });
    }
}

/// Returns whether a character is indexed as a word of its own: in scripts without spaces, and Hangul syllables, so that
/// any part of a title is found.
fn is_word_by_itself(char: char) -> bool {
    matches!(char,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' // Thai, Lao, Myanmar, Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}' // Kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' // Han
        | '\u{ac00}'..='\u{d7a3}')
}

/// Returns whether a character begins a decomposed Hangul syllable.
fn is_initial_jamo(char: char) -> bool {
    matches!(char, '\u{1100}'..='\u{1112}')
}

/// Leading articles, which do not count when whole titles are compared.
pub(crate) const ARTICLES: [&str; 12] =
    ["the", "a", "an", "le", "la", "les", "el", "der", "die", "das", "il", "lo"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).iter().map(str::to_owned).collect()
    }

    #[test]
    fn folds_case_marks_and_special_letters() {
        assert_eq!(words("Amélie Ærø Straße Łódź þing"), ["amelie", "aero", "strasse", "lodz", "thing"]);
        assert_eq!(words("8½"), ["8", "1", "2"]);
        assert_eq!(words("Ocean's Eleven"), ["oceans", "eleven"]);
        assert_eq!(words("Mr. & Mrs. Smith"), ["mr", "and", "mrs", "smith"]);
    }

    #[test]
    fn joins_initials_and_keeps_lone_symbols() {
        assert_eq!(words("E.T. the Extra-Terrestrial"), ["et", "the", "extra", "terrestrial"]);
        assert_eq!(words("M*A*S*H"), ["mash"]);
        assert_eq!(words("L.A. Confidential"), ["la", "confidential"]);
        assert_eq!(words("$"), ["$"]);
        assert_eq!(words(" !!! ?"), ["!!!", "?"]);
        assert_eq!(words("K-9"), ["k", "9"]);
        assert_eq!(words("  "), [""; 0]);
    }

    #[test]
    fn ranges_are_of_the_original() {
        let text = "«L.A.» Amélie";
        let words = Words::of(text);
        assert_eq!(&text[words.original_range(0)], "L.A");
        assert_eq!(&text[words.original_range(1)], "Amélie");
        let decomposed = "Cafe\u{301}!";
        assert_eq!(&decomposed[Words::of(decomposed).original_range(0)], "Cafe\u{301}");
    }

    #[test]
    fn splits_scripts_without_spaces() {
        assert_eq!(words("千と千尋"), ["千", "と", "千", "尋"]);
        assert_eq!(words("기생충").len(), 3);
        assert_eq!(
            words("\u{1100}\u{1175}\u{1109}\u{1162}\u{11bc}\u{110e}\u{116e}\u{11bc}"),
            words("기생충")
        );
        assert_eq!(words("Ёлки"), ["елки"]);
        assert_eq!(words("الكتاب"), ["كتاب"]);
        assert_eq!(words("Ζορμπάς"), ["ζορμπασ"]);
    }
}
