//! Comparison of titles by their letters and digits.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Articles that the comparison ignores at the beginning of a title.
const ARTICLES: [&str; 12] = ["the", "a", "an", "le", "la", "les", "el", "der", "die", "das", "il", "lo"];

/// Returns the text in lower case, without accents and apostrophes, with one space between its words. A text of symbols
/// keeps them.
pub(super) fn fold(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            'ß' => spelled.push_str("ss"),
            'æ' | 'Æ' => spelled.push_str("ae"),
            'œ' | 'Œ' => spelled.push_str("oe"),
            'ø' | 'Ø' => spelled.push('o'),
            'ł' | 'Ł' => spelled.push('l'),
            'ı' => spelled.push('i'),
            'þ' => spelled.push_str("th"),
            'đ' | 'ð' => spelled.push('d'),
            // Before its compatibility decomposition, which would join it to the digit before it.
            '½' => spelled.push_str(" 1/2"),
            '&' => spelled.push_str(" and "),
            '\'' | '’' | '`' | '´' => {}
            other => spelled.push(other),
        }
    }
    let plain: String =
        spelled.nfkd().filter(|char| !is_combining_mark(*char)).collect::<String>().to_lowercase();
    let words: Vec<&str> =
        plain.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { plain.trim().to_owned() } else { words.join(" ") }
}

/// Returns the folded text without a leading article. Titles with equal keys are alike.
pub(super) fn title_key(text: &str) -> String {
    let folded = fold(text);
    match folded.split_once(' ') {
        Some((article, rest)) if ARTICLES.contains(&article) => rest.to_owned(),
        _ => folded,
    }
}

/// Whether the text has an accent or another mark on a letter.
pub(super) fn has_marks(text: &str) -> bool {
    text.nfkd().any(is_combining_mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_that_differ_in_case_accents_punctuation_or_article_are_alike() {
        for (one, other) in [
            ("Amélie", "AMELIE"),
            ("The Matrix", "matrix"),
            ("Ocean's Eleven", "Oceans Eleven"),
            ("Fast & Furious", "fast and furious"),
            ("8½", "8 1/2"),
            ("Die Straße", "strasse"),
            ("Spider-Man: Homecoming", "Spider Man Homecoming"),
        ] {
            assert_eq!(title_key(one), title_key(other));
        }
    }

    #[test]
    fn titles_of_other_words_are_not_alike() {
        assert_ne!(title_key("X-Men"), title_key("XMen"));
        assert_ne!(title_key("$"), title_key("!"));
    }
}
