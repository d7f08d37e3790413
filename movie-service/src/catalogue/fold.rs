//! Folding of texts, for comparisons that ignore case and accents.

use std::borrow::Cow;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Returns a text without case and accents: its compatibility decomposition (NFKD) without combining marks, in lower
/// case, in which the letters that NFKD does not decompose, such as `ø`, are replaced by plain ones.
///
/// The folded form of a folded text is the text. Only the empty text folds to the empty text.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let has_upper_case = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if has_upper_case { text.to_ascii_lowercase().into() } else { text.into() };
    }
    let mut folded = String::with_capacity(text.len());
    text.chars().for_each(|character| fold_char(character, |character| folded.push(character)));
    // A text of nothing but marks stays as it is.
    if folded.is_empty() { text.into() } else { folded.into() }
}

/// Folds a character: emits the characters of its folded form, in order; none for a combining mark.
pub fn fold_char(character: char, mut emit: impl FnMut(char)) {
    if character == '´' {
        // NFKD makes a space of an accent that is typed as an apostrophe.
        return emit('\'');
    }
    // Marks are removed, so that it does not matter that NFKD would also reorder them.
    decompose_compatible(character, |part| {
        for lower in part.to_lowercase().filter(|lower| !is_combining_mark(*lower)) {
            match plain_letters(lower) {
                Some(letters) => letters.chars().for_each(&mut emit),
                None => emit(lower),
            }
        }
    });
}

/// Returns whether a text folds to `folded`.
#[must_use]
pub fn folds_to(text: &str, folded: &str) -> bool {
    if text.is_ascii() { text.eq_ignore_ascii_case(folded) } else { fold(text) == folded }
}

/// Returns whether the folded form of a text begins with `folded`.
#[must_use]
pub fn fold_starts_with(text: &str, folded: &str) -> bool {
    if text.is_ascii() {
        text.get(..folded.len()).is_some_and(|start| start.eq_ignore_ascii_case(folded))
    } else {
        fold(text).starts_with(folded)
    }
}

/// Returns the plain letters for a lower-case letter that NFKD does not decompose.
fn plain_letters(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'ı' => "i",
        'þ' => "th",
        'đ' | 'ð' => "d",
        // One letter, which has a form of its own at the end of a word.
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_accents_are_folded() {
        for (text, folded) in [
            ("", ""),
            ("Film noir, 1940", "film noir, 1940"),
            ("AMÉLIE Ame\u{301}lie", "amelie amelie"),
            ("Straße STRASSE ẞ", "strasse strasse ss"),
            ("Ærø Œuvre ǾØ", "aero oeuvre oo"),
            ("Łódź ıİ Þór Đặng Ðe", "lodz ii thor dang de"),
            ("ﬁn Ⅷ ２０４６ 8½", "fin viii 2046 81⁄2"),
            ("Ζορμπάς ΖΟΡΜΠΑΣ", "ζορμπασ ζορμπασ"),
            ("Ёлки 기생충", "елки \u{1100}\u{1175}\u{1109}\u{1162}\u{11bc}\u{110e}\u{116e}\u{11bc}"),
            ("Ocean´s", "ocean's"),
            ("\u{301}", "\u{301}"),
        ] {
            assert_eq!(fold(text), folded);
        }
    }

    #[test]
    fn every_folded_character_folds_to_itself() {
        for character in '\0'..=char::MAX {
            let folded = fold(character.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(fold(&folded), folded, "{character:?}");
            assert!(!folded.is_empty());
        }
    }

    proptest! {
        #[test]
        fn comparisons_are_those_of_folded_texts(text in "[a-cA-Cäß\u{301}]{0,4}", other in "[a-cA-Cäß\u{301}]{0,4}") {
            let folded = fold(&other);
            prop_assert_eq!(folds_to(&text, &folded), fold(&text) == folded);
            prop_assert_eq!(fold_starts_with(&text, &folded), fold(&text).starts_with(&*folded));
            prop_assert!(folds_to(&other, &folded) && fold_starts_with(&other, &folded));
        }
    }
}
