//! Judged queries: what a person typed, and the title that was meant.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::random::Random;
use super::text::{fold, has_marks};

/// What was done to the title.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Nothing.
    Exact,
    /// Three quarters of the title.
    Prefix,
    /// A letter is missing in a word.
    Drop,
    /// A word has one letter more.
    Insert,
    /// A neighbour on the keyboard replaces a letter.
    Substitute,
    /// Two adjacent letters are swapped.
    Swap,
    /// A neighbour on the keyboard replaces the first letter of a word.
    FirstLetter,
    /// A word of nine letters or more has two edits.
    Two,
    /// The title has accents, the query has none.
    NoAccent,
    /// Hyphens, apostrophes, colons, periods and exclamation marks are left out.
    NoPunct,
    /// Two words are written as one.
    Joined,
    /// A word is written as two.
    Split,
}

/// A query and the title that it should find.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct JudgedQuery {
    pub(super) kind: Kind,
    pub(super) typed: String,
    pub(super) title: String,
}

impl Kind {
    /// All kinds, in the order of the table.
    pub(super) const ALL: [Self; 12] = [
        Self::Exact,
        Self::Prefix,
        Self::Drop,
        Self::Insert,
        Self::Substitute,
        Self::Swap,
        Self::FirstLetter,
        Self::Two,
        Self::NoAccent,
        Self::NoPunct,
        Self::Joined,
        Self::Split,
    ];

    /// Name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact title",
            Self::Prefix => "first three quarters of it",
            Self::Drop => "letter dropped",
            Self::Insert => "letter inserted",
            Self::Substitute => "neighbouring key",
            Self::Swap => "letters swapped",
            Self::FirstLetter => "first letter wrong",
            Self::Two => "two edits (9+ letters)",
            Self::NoAccent => "without accents",
            Self::NoPunct => "without punctuation",
            Self::Joined => "two words joined",
            Self::Split => "a word split",
        }
    }
}

/// Reads queries, a JSON object a line: `{"kind": "swap", "typed": "amrs attacks", "title": "Mars Attacks!"}`.
pub(super) fn read(path: &Path) -> Result<Vec<JudgedQuery>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}", path.display(), number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// Makes `count` queries of each kind, or as many as there are titles for it. The same seed makes the same queries.
pub(super) fn generate(titles: &[&str], seed: u64, count: usize) -> Vec<JudgedQuery> {
    let mut random = Random::new(seed);
    let mut queries = Vec::new();
    for kind in Kind::ALL {
        let suitable: Vec<&str> = titles.iter().copied().filter(|title| is_suitable(kind, title)).collect();
        let mut push =
            |typed, title: &str| queries.push(JudgedQuery { kind, typed, title: title.to_owned() });
        if !is_edit(kind) {
            for title in random.sample(&suitable, count) {
                push(typed(kind, title, &mut random), title);
            }
            continue;
        }
        // An edit has many outcomes, so a title may be drawn again.
        let mut made = 0;
        while made < count && !suitable.is_empty() {
            let title = *random.pick(&suitable);
            let typed = typed(kind, title, &mut random);
            // A swap of equal letters changes nothing. Two edits may cancel each other out.
            if kind == Kind::Two || typed != fold(title) {
                push(typed, title);
                made += 1;
            }
        }
    }
    queries
}

/// Whether the kind edits letters of a word.
fn is_edit(kind: Kind) -> bool {
    use Kind::{Drop, FirstLetter, Insert, Substitute, Swap, Two};
    matches!(kind, Drop | Insert | Substitute | Swap | FirstLetter | Two)
}

/// Whether queries of this kind can be made of a title.
fn is_suitable(kind: Kind, title: &str) -> bool {
    let chars: Vec<char> = title.chars().collect();
    match kind {
        Kind::Exact => true,
        Kind::Prefix => chars.len() >= 8,
        Kind::Drop | Kind::Insert | Kind::Substitute | Kind::Swap | Kind::FirstLetter | Kind::Two => {
            chars.windows(5).any(|part| part.iter().all(char::is_ascii_alphabetic))
                && !editable(kind, &fold(title)).is_empty()
        }
        Kind::NoAccent => has_marks(title),
        Kind::NoPunct => chars
            .windows(2)
            .any(|pair| (pair[0].is_alphanumeric() || pair[0] == '_') && "-'’:.&!".contains(pair[1])),
        Kind::Joined => {
            let folded = fold(title);
            let words: Vec<&str> = folded.split(' ').take(2).collect();
            words.len() == 2
                && words.iter().all(|word| is_alphabetic(word))
                && words.iter().map(|word| letters(word)).sum::<usize>() >= 6
        }
        Kind::Split => !editable(kind, &fold(title)).is_empty(),
    }
}

/// Returns the query that a title becomes.
fn typed(kind: Kind, title: &str, random: &mut Random) -> String {
    let folded = fold(title);
    let mut words: Vec<String> = folded.split(' ').map(str::to_owned).collect();
    match kind {
        Kind::Exact => return title.to_owned(),
        Kind::Prefix => {
            let typed: String = title.chars().take((title.chars().count() * 3 / 4).max(5)).collect();
            return typed.trim_end().to_owned();
        }
        Kind::NoAccent => return folded,
        Kind::NoPunct => {
            return title.to_lowercase().replace(['-', '\'', '’', ':', '.', '!'], "").replace('&', "and");
        }
        Kind::Joined => {
            let first = random.below(words.len() - 1);
            let second = words.remove(first + 1);
            words[first].push_str(&second);
        }
        Kind::Split => {
            let at = *random.pick(&editable(kind, &folded));
            let chars: Vec<char> = words[at].chars().collect();
            let (head, tail) = chars.split_at(3 + random.below(chars.len() - 5));
            words.splice(at..=at, [head, tail].map(|part| part.iter().collect::<String>()));
        }
        Kind::Two => {
            let at = *random.pick(&editable(kind, &folded));
            let first = *random.pick(&[Kind::Drop, Kind::Insert, Kind::Substitute]);
            let second = *random.pick(&[Kind::Drop, Kind::Insert, Kind::Substitute, Kind::Swap]);
            words[at] = edit(second, &edit(first, &words[at], random), random);
        }
        Kind::Drop | Kind::Insert | Kind::Substitute | Kind::Swap | Kind::FirstLetter => {
            let at = *random.pick(&editable(kind, &folded));
            words[at] = edit(kind, &words[at], random);
        }
    }
    words.join(" ")
}

/// Returns the positions of the words that are long enough for this kind.
fn editable(kind: Kind, folded: &str) -> Vec<usize> {
    let least = if kind == Kind::Two {
        9
    } else if kind == Kind::Split {
        8
    } else {
        5
    };
    let words = folded.split(' ').enumerate();
    words.filter(|(_, word)| letters(word) >= least && is_alphabetic(word)).map(|(at, _)| at).collect()
}

/// Edits a word after its first letter, except that `FirstLetter` replaces this letter and `Swap` may move it.
fn edit(kind: Kind, word: &str, random: &mut Random) -> String {
    let mut chars: Vec<char> = word.chars().collect();
    let at = if kind == Kind::FirstLetter { 0 } else { 1 + random.below(chars.len() - 1) };
    if kind == Kind::Drop {
        chars.remove(at);
    } else if kind == Kind::Insert {
        chars.insert(at, char::from(b'a' + u8::try_from(random.below(26)).unwrap_or(0)));
    } else if kind == Kind::Swap {
        chars.swap(at - 1, at);
    } else {
        chars[at] = neighbour(chars[at], random);
    }
    chars.into_iter().collect()
}

/// Returns a neighbour of a letter on a keyboard of the layout QWERTY.
fn neighbour(letter: char, random: &mut Random) -> char {
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    let position = |(row, keys): (usize, &&[u8])| {
        keys.iter().position(|key| char::from(*key) == letter).map(|column| (row, column))
    };
    let Some((row, column)) = ROWS.iter().enumerate().find_map(position) else { return 'e' };
    let mut neighbours = Vec::new();
    for (other, keys) in ROWS.iter().enumerate() {
        // Each row begins half a key further to the right than the one above it.
        let columns = if other == row {
            column.saturating_sub(1)..=column + 1
        } else if other + 1 == row {
            column..=column + 1
        } else if other == row + 1 {
            column.saturating_sub(1)..=column
        } else {
            continue;
        };
        let keys = columns.filter_map(|column| keys.get(column)).map(|key| char::from(*key));
        neighbours.extend(keys.filter(|key| *key != letter));
    }
    *random.pick(&neighbours)
}

fn is_alphabetic(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphabetic)
}

fn letters(word: &str) -> usize {
    word.chars().count()
}

#[cfg(test)]
mod tests;
