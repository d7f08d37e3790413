use super::*;

const TITLES: [&str; 14] = [
    "Amélie",
    "The Good, the Bad and the Ugly",
    "Spider-Man: Homecoming",
    "M*A*S*H",
    "8½",
    "Mission: Impossible",
    "Das Leben der Anderen",
    "À bout de souffle",
    "Ocean's Eleven",
    "Butch Cassidy and the Sundance Kid",
    "Extraordinary Measures",
    "Up",
    "Eraserhead",
    "Léon: The Professional",
];

fn of(kind: Kind) -> Vec<JudgedQuery> {
    let mut queries = generate(&TITLES, 7, 40);
    queries.retain(|query| query.kind == kind);
    assert!(queries.len() >= 2, "{kind:?}: {queries:?}");
    queries
}

/// The number of edits between two texts; a swap of adjacent letters is one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            rows[i][j] = match (i, j) {
                (0, edits) | (edits, 0) => edits,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    rows[one.len()][other.len()]
}

#[test]
fn a_seed_makes_the_same_queries_each_time_and_another_seed_makes_others() {
    assert_eq!(generate(&TITLES, 1, 20), generate(&TITLES, 1, 20));
    assert_ne!(generate(&TITLES, 1, 20), generate(&TITLES, 2, 20));
}

#[test]
fn each_kind_has_as_many_queries_as_requested_or_as_it_has_titles() {
    for kind in Kind::ALL {
        let suitable = TITLES.iter().filter(|title| is_suitable(kind, title)).count();
        let expected = if is_edit(kind) { 40 } else { suitable };
        assert_eq!(of(kind).len(), expected, "{kind:?}");
    }
}

#[test]
fn a_prefix_is_the_beginning_of_its_title() {
    for query in of(Kind::Prefix) {
        assert!(query.title.starts_with(&query.typed) && query.typed.chars().count() >= 4, "{query:?}");
        assert!(query.typed.chars().count() <= (query.title.chars().count() * 3 / 4).max(5), "{query:?}");
    }
}

#[test]
fn an_edit_of_one_letter_is_one_edit() {
    let lengths =
        [(Kind::Drop, -1), (Kind::Insert, 1), (Kind::Substitute, 0), (Kind::Swap, 0), (Kind::FirstLetter, 0)];
    for (kind, longer) in lengths {
        for query in of(kind) {
            let folded = fold(&query.title);
            assert_eq!(distance(&query.typed, &folded), 1, "{query:?}");
            let grown = query.typed.chars().count().cast_signed() - folded.chars().count().cast_signed();
            assert_eq!(grown, longer, "{query:?}");
        }
    }
}

#[test]
fn a_wrong_first_letter_is_the_first_of_its_word() {
    for query in of(Kind::FirstLetter) {
        let folded = fold(&query.title);
        let mut differ =
            query.typed.split(' ').zip(folded.split(' ')).filter(|(typed, meant)| typed != meant);
        let (typed, meant) = differ.next().unwrap();
        assert_eq!(typed[1..], meant[1..], "{query:?}");
        assert!(differ.next().is_none(), "{query:?}");
    }
}

#[test]
fn two_edits_are_in_one_long_word() {
    for query in of(Kind::Two) {
        let folded = fold(&query.title);
        assert!(distance(&query.typed, &folded) <= 2, "{query:?}");
        let differ = query.typed.split(' ').zip(folded.split(' ')).filter(|(typed, meant)| typed != meant);
        let meant: Vec<usize> = differ.map(|(_, meant)| meant.chars().count()).collect();
        assert!(meant.iter().all(|letters| *letters >= 9) && meant.len() <= 1, "{query:?}");
    }
}

#[test]
fn accents_and_punctuation_are_left_out() {
    for query in of(Kind::NoAccent) {
        assert!(has_marks(&query.title) && !has_marks(&query.typed), "{query:?}");
    }
    for query in of(Kind::NoPunct) {
        assert!(query.title.contains(['-', '\'', '’', ':', '.', '&', '!']), "{query:?}");
        assert!(!query.typed.contains(['-', '\'', '’', ':', '.', '&', '!']), "{query:?}");
    }
}

#[test]
fn joined_and_split_words_have_all_letters() {
    for (kind, more) in [(Kind::Joined, -1), (Kind::Split, 1)] {
        for query in of(kind) {
            let folded = fold(&query.title);
            assert_eq!(query.typed.replace(' ', ""), folded.replace(' ', ""), "{query:?}");
            let words = |text: &str| text.split(' ').count().cast_signed();
            assert_eq!(words(&query.typed) - words(&folded), more, "{query:?}");
        }
    }
}

#[test]
fn a_neighbouring_key_is_beside_above_or_below() {
    let mut random = Random::new(1);
    let mut of_letter = |letter| {
        let mut neighbours: Vec<char> = (0..200).map(|_| neighbour(letter, &mut random)).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours.into_iter().collect::<String>()
    };
    assert_eq!(of_letter('g'), "bfhtvy");
    assert_eq!(of_letter('q'), "aw");
    assert_eq!(of_letter('m'), "jkn");
    assert_eq!(of_letter('é'), "e");
}

#[test]
fn a_line_of_a_file_is_a_query() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("queries.jsonl");
    let line = r#"{"kind": "first_letter", "typed": "nars attacks", "title": "Mars Attacks!"}"#;
    fs::write(&path, format!("{line}\n")).unwrap();
    let queries = read(&path).unwrap();
    assert_eq!(queries.len(), 1);
    assert_eq!((queries[0].kind, queries[0].typed.as_str()), (Kind::FirstLetter, "nars attacks"));
    fs::write(&path, format!("{line}\n{{}}\n")).unwrap();
    let error = format!("{:#}", read(&path).unwrap_err());
    assert!(error.contains("queries.jsonl, line 2") && error.contains("kind"), "{error}");
}
