//! The examples that the requirement names.

use super::common::Films;
use crate::catalogue::search::highlight::highlights;
use crate::catalogue::search::query::{Level, ParsedQuery};
use crate::catalogue::search::rank::Score;

fn films() -> Films {
    Films::new(&[
        "The Godfather|Francis Ford Coppola",
        "Ocean's Eleven|Steven Soderbergh",
        "Ocean's Twelve|Steven Soderbergh",
        "E.T. the Extra-Terrestrial|Steven Spielberg",
        "Rocky|John G. Avildsen",
        "Rocky II|Sylvester Stallone",
        "Rocky III|Sylvester Stallone",
        "X-Men|Bryan Singer",
        "X|Luca Vuckovic",
        "K-9|Rod Daniel",
        "Titan A.E.|Don Bluth, Gary Goldman",
        "L.A. Confidential|Curtis Hanson",
        "M*A*S*H|Robert Altman",
        "$|Richard Brooks",
        "8½|Federico Fellini",
        "8 Women|François Ozon",
        "V for Vendetta|James McTeigue",
        "12 Angry Men|Sidney Lumet",
        "Twelve Monkeys|Terry Gilliam",
        "Amélie|Jean-Pierre Jeunet",
        "Mr. & Mrs. Smith|Doug Liman",
        "The Matrix|Lana Wachowski, Lilly Wachowski",
        "Inception|Christopher Nolan",
        "Fargo|Joel Coen, Ethan Coen",
        "Star Wars|George Lucas",
        "Wars of the Star|Nobody Known",
        "Nosferatu|F. W. Murnau",
        "Spielberg|Susan Lacy",
        "Breaking the Waves|Lars von Trier",
    ])
}

#[test]
fn finds_what_is_written_otherwise() {
    let films = films();
    for (query, title) in [
        ("8 1/2", "8½"),
        ("8½", "8½"),
        ("oceans eleven", "Ocean's Eleven"),
        ("ocean’s eleven", "Ocean's Eleven"),
        ("E.T.", "E.T. the Extra-Terrestrial"),
        ("et", "E.T. the Extra-Terrestrial"),
        ("e t the extra terrestrial", "E.T. the Extra-Terrestrial"),
        ("M*A*S*H", "M*A*S*H"),
        ("mash", "M*A*S*H"),
        ("L.A.", "L.A. Confidential"),
        ("la confidential", "L.A. Confidential"),
        ("$", "$"),
        ("xmen", "X-Men"),
        ("x-men", "X-Men"),
        ("k9", "K-9"),
        ("k 9", "K-9"),
        ("titan ae", "Titan A.E."),
        ("amelie", "Amélie"),
        ("mr and mrs smith", "Mr. & Mrs. Smith"),
        ("matrix", "The Matrix"),
        ("the inception", "Inception"),
    ] {
        films.assert_first(query, title);
    }
}

#[test]
fn numbers_are_equivalent_in_three_forms() {
    let films = films();
    for (query, title) in [
        ("rocky 2", "Rocky II"),
        ("rocky two", "Rocky II"),
        ("rocky ii", "Rocky II"),
        ("oceans 12", "Ocean's Twelve"),
        ("oceans 11", "Ocean's Eleven"),
        ("twelve angry men", "12 Angry Men"),
        ("12 monkeys", "Twelve Monkeys"),
    ] {
        films.assert_first(query, title);
    }
    // A Roman numeral in first place is a letter.
    assert!(!films.search("5 for").contains(&"V for Vendetta"));
    assert!(!films.search("10").contains(&"X-Men"));
    assert!(!films.search("10").contains(&"X"));
}

#[test]
fn a_name_with_a_number_counts_beside_a_title_that_begins_with_a_roman_numeral() {
    let films = Films::new(&["II Amici|2 Chainz", "II Fratelli|Nobody Known"]);
    assert_eq!(films.search("2"), ["II Amici"]);
}

#[test]
fn forgives_typing_errors() {
    let films = films();
    for (query, title) in [
        ("the godfathr", "The Godfather"),
        ("the godfahter", "The Godfather"),
        ("hodfather", "The Godfather"),
        ("the gofdathr", "The Godfather"),
        ("godf", "The Godfather"),
        ("hodf", "The Godfather"),
        ("the god father", "The Godfather"),
        ("starwars", "Star Wars"),
        ("star wars", "Star Wars"),
        ("incepton", "Inception"),
        ("nolan", "Inception"),
        ("nolan inception", "Inception"),
        ("inception xyzzyq", "Inception"),
        ("spielberg", "Spielberg"),
        ("fago", "Fargo"),
        ("thegodfather", "The Godfather"),
    ] {
        films.assert_first(query, title);
    }
    // Numbers have no typing errors.
    assert_eq!(films.search("13"), [""; 0]);
    assert_eq!(films.search("22"), [""; 0]);
}

#[test]
fn order_is_literal_first() {
    let films = films();
    assert_eq!(films.search("star wars")[..2], ["Star Wars", "Wars of the Star"]);
    assert_eq!(films.search("rocky")[..3], ["Rocky", "Rocky II", "Rocky III"]);
    assert_eq!(films.search("steven spielberg")[0], "E.T. the Extra-Terrestrial");
}

#[test]
fn empty_query_lists_by_popularity() {
    let films = films();
    let results = films.results("");
    assert_eq!(films.search(" ")[..2], ["The Godfather", "Ocean's Eleven"]);
    assert_eq!(results.total, films.titles.len());
}

#[test]
fn highlights_are_the_matched_words() {
    let shown = |query: &str, text: &'static str| -> Vec<&str> {
        highlights(&ParsedQuery::new(query), text, Level::TwoEdits)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    };
    assert_eq!(shown("amelei", "Le fabuleux destin d’Amélie"), [""; 0]);
    assert_eq!(shown("amelie", "Amélie Poulain"), ["Amélie"]);
    assert_eq!(shown("xmen", "X-Men: First Class"), ["X", "Men"]);
    assert_eq!(shown("rocky 2", "Rocky II"), ["Rocky", "II"]);
    assert_eq!(shown("8 1/2", "8½"), ["8", "½"]);
    assert_eq!(shown("godfahter", "The Godfather"), ["Godfather"]);
    assert_eq!(shown("god father", "The Godfather"), ["Godfather"]);
    assert_eq!(shown("千尋", "千と千尋の神隠し"), ["千", "千", "尋"]);
}

#[test]
fn bad_input_ends_soon() {
    let films = films();
    for query in [
        "a".repeat(1 << 20),
        "\0\u{1}\u{7f}".into(),
        "千".repeat(5000),
        "e.".repeat(9000),
        "* ? % _".into(),
        "\u{301}\u{302}".into(),
    ] {
        let _ = films.search(&query);
        let _ = highlights(&ParsedQuery::new(&query), &query[..0], Level::Partial);
    }
}

#[test]
fn movies_of_a_person_are_ordered_by_popularity_and_not_by_the_length_of_their_titles() {
    let films =
        Films::new(&["The Good, the Bad and the Ugly|Sergio Leone", "Up|Pete Docter", "Duck|Sergio Leone"]);
    for query in ["leone", "sergio leone"] {
        assert_eq!(films.search(query), ["The Good, the Bad and the Ugly", "Duck"], "{query}");
    }
}

#[test]
fn a_name_may_have_two_typing_errors_as_a_title_may() {
    let films = Films::new(&["Total Recall|Arnold Schwarzenegger", "Red|Krzysztof Kieslowski"]);
    films.assert_first("shwarzeneger", "Total Recall");
    films.assert_first("kislovski", "Red");
}

#[test]
fn a_title_with_a_word_more_than_it_has_comes_before_titles_with_less_of_the_query() {
    let films = Films::new(&["Do the Right Thing", "The Thing", "The Thing from Another World"]);
    films.assert_first("the thing 1982", "The Thing");
}

#[test]
fn a_name_of_many_words_is_found_by_its_last_one() {
    let films = Films::new(&[
        "Chaos|one two three four five six seven eight nine ten eleven twelve red blue green white black",
    ]);
    films.assert_first("black", "Chaos");
}

#[test]
fn words_next_to_each_other_in_a_name_are_found_however_often_the_query_repeats_them() {
    let films = Films::new(&["Hulk|Ang Lee"]);
    let cost = |query: &str| films.results(query).hits[0].score.map(Score::cost);
    let once = cost("ang lee").unwrap_or_default();
    assert!(once > 0);
    assert_eq!(cost(&["ang lee"; 12].join(" ")), Some(12 * once));
}
