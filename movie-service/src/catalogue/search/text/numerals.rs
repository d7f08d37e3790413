//! Numbers in their three forms: digits, words, Roman numerals.

const WORDS: [(&str, u8); 28] = [
    ("zero", 0),
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
    ("eighteen", 18),
    ("nineteen", 19),
    ("twenty", 20),
    ("thirty", 30),
    ("forty", 40),
    ("fifty", 50),
    ("sixty", 60),
    ("seventy", 70),
    ("eighty", 80),
    ("ninety", 90),
];

/// Roman numerals by value, from 1.
const ROMAN: [&str; 30] = [
    "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv", "xvi",
    "xvii", "xviii", "xix", "xx", "xxi", "xxii", "xxiii", "xxiv", "xxv", "xxvi", "xxvii", "xxviii", "xxix",
    "xxx",
];

/// Another form of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equivalent {
    pub(crate) text: String,
    /// A Roman numeral: does not count as a number in first place.
    pub(crate) is_roman: bool,
}

/// Returns the other forms of a number; none if the word is not a number. `first` is whether it is the first word.
pub(crate) fn equivalents(word: &str, first: bool) -> Vec<Equivalent> {
    let roman = ROMAN.iter().position(|numeral| *numeral == word).map(|index| index as u8 + 1);
    let value = match (roman, word.len()) {
        (Some(value), _) if !first => value,
        (Some(_), _) => return Vec::new(),
        (None, 1..=2)
            if word.bytes().all(|byte| byte.is_ascii_digit())
                && !(word.len() == 2 && word.starts_with('0')) =>
        {
            word.parse().unwrap_or(0)
        }
        _ => match WORDS.iter().find(|(text, _)| *text == word) {
            Some((_, value)) => *value,
            None => return Vec::new(),
        },
    };
    let mut forms = Vec::new();
    let mut push = |text: String, is_roman| {
        if text != word {
            forms.push(Equivalent { text, is_roman });
        }
    };
    push(value.to_string(), false);
    if let Some((text, _)) = WORDS.iter().find(|(_, number)| *number == value) {
        push((*text).to_owned(), false);
    }
    if let Some(numeral) = (value as usize).checked_sub(1).and_then(|index| ROMAN.get(index)) {
        push((*numeral).to_owned(), true);
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_three_forms() {
        let texts = |word, first| equivalents(word, first).into_iter().map(|e| e.text).collect::<Vec<_>>();
        assert_eq!(texts("2", true), ["two", "ii"]);
        assert_eq!(texts("ii", false), ["2", "two"]);
        assert_eq!(texts("twelve", true), ["12", "xii"]);
        assert!(texts("v", true).is_empty());
        assert!(texts("star", false).is_empty());
        assert!(texts("007", false).is_empty());
    }
}
