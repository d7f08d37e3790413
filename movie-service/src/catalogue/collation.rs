//! Dictionary order of titles.
//!
//! It is the root collation of CLDR (Unicode Technical Standard #35, part 5), which fits no language perfectly, and all
//! of them well. Accents and case only decide between titles that are otherwise equal. A new version of the collation may
//! order titles in another way, so sort keys are never stored.

use std::cmp::Ordering;
use std::sync::LazyLock;

use icu_collator::options::CollatorOptions;
use icu_collator::{CollatorBorrowed, CollatorPreferences};

static COLLATOR: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
    CollatorBorrowed::try_new(CollatorPreferences::default(), CollatorOptions::default())
        .expect("the root collation is compiled in")
});

/// Compares two titles, which are UTF-8.
pub(crate) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    COLLATOR.compare_utf8(one, other)
}

/// Returns the sort key of a title: the keys of two titles compare like the titles.
pub(crate) fn sort_key(title: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(title.len() + 8);
    let Ok(()) = COLLATOR.write_sort_key_to(title, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn titles_are_in_the_order_of_a_dictionary() {
        let titles = [
            "", "'71", "$", "10", "2 Days", "a", "A", "á", "Á", "Ä", "a b", "ab", "Äb", "Az", "B", "Ea",
            "éa", "Eb", "Œuvre", "Z", "Ω", "Ёлки", "千",
        ];
        let is_less = |one: &&str, other: &&str| compare(one.as_bytes(), other.as_bytes()).is_lt();
        assert!(titles.is_sorted_by(is_less));
        let are_equal = |one: &str, other: &str| compare(one.as_bytes(), other.as_bytes()).is_eq();
        assert!(are_equal("Amélie", "Ame\u{301}lie"));
        assert!(!are_equal("Amélie", "Amelie"));
    }

    proptest! {
        #[test]
        fn sort_keys_compare_like_titles(one in "\\PC{0,6}", other in "\\PC{0,6}") {
            prop_assert_eq!(sort_key(&one).cmp(&sort_key(&other)), compare(one.as_bytes(), other.as_bytes()));
        }
    }
}
