//! Edit distance with adjacent swaps (optimal string alignment), as a bit-parallel automaton and as a table.
//!
//! The automaton follows Wu and Manber, "Fast text searching allowing errors" (1992), with a transition for swaps. It needs
//! no construction per query, unlike the tables of `levenshtein_automata`, and its state is a few registers.

/// Most edits that an automaton accepts.
pub(crate) const MAX_EDITS: usize = 2;

/// A word to be found with up to [`MAX_EDITS`] edits.
pub(crate) struct Automaton {
    /// Bit j of a mask is set if the pattern has the character at j.
    ascii: [u64; 128],
    others: Vec<(char, u64)>,
    pattern: Vec<char>,
    len: usize,
    edits: usize,
    letters: u32,
}

/// State after some characters.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Bit j of row d is set if the first j characters of the pattern match with at most d edits.
    rows: [u64; MAX_EDITS + 1],
    /// The rows one character ago.
    previous: [u64; MAX_EDITS + 1],
    /// Mask of the last character.
    mask: u64,
}

impl Automaton {
    /// Makes an automaton. Only the first 63 characters of the pattern count.
    pub(crate) fn new(pattern: &str, edits: usize) -> Self {
        let mut automaton = Self {
            ascii: [0; 128],
            others: Vec::new(),
            pattern: pattern.chars().take(63).collect(),
            len: 0,
            edits: edits.min(MAX_EDITS),
            letters: letters(pattern),
        };
        for (at, char) in pattern.chars().take(63).enumerate() {
            automaton.len = at + 1;
            let bit = 1 << at;
            if let Some(mask) = automaton.ascii.get_mut(char as usize) {
                *mask |= bit;
            } else if let Some((_, mask)) = automaton.others.iter_mut().find(|(other, _)| *other == char) {
                *mask |= bit;
            } else {
                automaton.others.push((char, bit));
            }
        }
        automaton
    }

    /// Returns whether a word cannot match because of its letters, see [`letters`].
    #[inline]
    pub(crate) fn excludes(&self, letters: u32, as_prefix: bool) -> bool {
        letters_exclude(self.letters, letters, self.edits, as_prefix)
    }

    /// Returns the first character of the pattern.
    pub(crate) fn first(&self) -> Option<char> {
        self.pattern.first().copied()
    }

    /// Returns the characters that can follow, each once, if no more edit is possible and all are ASCII; the number of
    /// them, and zeros after.
    #[inline]
    pub(crate) fn only_next(&self, state: &State) -> Option<(usize, [u8; 8])> {
        if self.edits == 0 || state.rows[self.edits - 1] != 0 {
            return None;
        }
        // The second half of a swap follows the character after it.
        let swaps = state.previous[self.edits - 1] & (state.mask >> 1);
        let mut positions = (state.rows[self.edits] | swaps) & !(1 << self.len);
        let (mut len, mut next) = (0, [0; 8]);
        while positions != 0 {
            let char = *self.pattern.get(positions.trailing_zeros() as usize)?;
            positions &= positions - 1;
            let byte = u8::try_from(char).ok().filter(u8::is_ascii)?;
            if !next[..len].contains(&byte) {
                *next.get_mut(len)? = byte;
                len += 1;
            }
        }
        Some((len, next))
    }

    /// Returns the state before any character.
    pub(crate) fn start(&self) -> State {
        let mut rows = [0; MAX_EDITS + 1];
        for (edits, row) in rows.iter_mut().enumerate().take(self.edits + 1) {
            *row = (1 << (edits + 1)) - 1;
        }
        State { rows, previous: [0; MAX_EDITS + 1], mask: 0 }
    }

    /// Returns the state after one more character.
    #[inline]
    pub(crate) fn step(&self, state: &State, char: char) -> State {
        let mask = match self.ascii.get(char as usize) {
            Some(mask) => *mask,
            None => self.others.iter().find(|(other, _)| *other == char).map_or(0, |(_, mask)| *mask),
        };
        let mut rows = [0; MAX_EDITS + 1];
        rows[0] = (state.rows[0] & mask) << 1;
        for edits in 1..=self.edits {
            let swapped = (state.previous[edits - 1] & mask & (state.mask >> 1)) << 2;
            rows[edits] = (state.rows[edits] & mask) << 1
                | state.rows[edits - 1]
                | state.rows[edits - 1] << 1
                | rows[edits - 1] << 1
                | swapped;
        }
        // Bits above the pattern would keep `can_match` true.
        let inside = u64::MAX >> (63 - self.len);
        for row in &mut rows {
            *row &= inside;
        }
        State { rows, previous: state.rows, mask }
    }

    /// Returns whether any continuation can match.
    #[inline]
    pub(crate) fn can_match(&self, state: &State) -> bool {
        state.rows[self.edits] != 0
    }

    /// Returns the least number of edits with which the characters so far match the whole pattern.
    #[inline]
    pub(crate) fn edits(&self, state: &State) -> Option<usize> {
        (0..=self.edits).find(|edits| state.rows[*edits] >> self.len & 1 == 1)
    }
}

/// Returns whether words cannot be within a number of edits of each other because of their letters, see [`letters`]: each
/// edit removes one from the pattern and adds one to it at most. With `as_prefix`, a beginning of the other word is enough.
#[inline]
pub(crate) fn letters_exclude(pattern: u32, other: u32, edits: usize, as_prefix: bool) -> bool {
    let removed = (pattern & !other).count_ones() as usize;
    let added = if as_prefix { 0 } else { (other & !pattern).count_ones() as usize };
    removed.max(added) > edits
}

/// Returns a mask of the characters of a word. Characters share bits.
pub(crate) fn letters(word: &str) -> u32 {
    word.chars().fold(0, |letters, char| letters | 1 << (char as u32 % 32))
}

/// Returns the distance of two words, and the least one of `a` from a beginning of `b`.
#[must_use]
pub(crate) fn distances(a: &str, b: &str) -> (usize, usize) {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=a.len()).collect();
    let mut of_prefix = a.len();
    for (j, y) in b.iter().enumerate() {
        let mut row = vec![j + 1];
        for (i, x) in a.iter().enumerate() {
            let mut edits = (last[i] + usize::from(x != y)).min(last[i + 1] + 1).min(row[i] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(before_last[i - 1] + 1);
            }
            row.push(edits);
        }
        of_prefix = of_prefix.min(row[a.len()]);
        before_last = std::mem::replace(&mut last, row);
    }
    (last[a.len()], of_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automaton_agrees_with_the_table() {
        let words =
            ["", "a", "ab", "ba", "abc", "acb", "abcd", "badc", "aabb", "bbaa", "abab", "éab", "aéb", "cabd"];
        for a in words.iter().filter(|word| !word.is_empty()) {
            for b in words {
                let automaton = Automaton::new(a, 2);
                let mut state = automaton.start();
                let mut prefix = automaton.edits(&state);
                for char in b.chars() {
                    state = automaton.step(&state, char);
                    prefix = [prefix, automaton.edits(&state)].into_iter().flatten().min();
                }
                let (word, of_prefix) = distances(a, b);
                assert_eq!(automaton.edits(&state), (word <= 2).then_some(word), "{a} {b}");
                assert_eq!(prefix, (of_prefix <= 2).then_some(of_prefix), "{a} {b}");
            }
        }
    }
}
