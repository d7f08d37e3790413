//! The state of a search while a person types.

use console::measure_text_width;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::picker::{Picker, Reaction, View};
use crate::cli::output::{Format, OutputOptions};
use crate::{Error, Highlight, Hit, Movie, SearchPage};

fn key(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn control(character: char) -> Event {
    Event::Key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL))
}

/// Types a text, and returns the last reaction.
fn typed(picker: &mut Picker, text: &str) -> Reaction {
    let reactions = text.chars().map(|character| picker.event(&key(KeyCode::Char(character))));
    reactions.last().unwrap()
}

fn search(text: &str) -> Reaction {
    Reaction::Search(text.to_owned())
}

/// Returns a page with movies of these titles, whose first two bytes match.
fn page(titles: &[&str]) -> SearchPage {
    let hit = |title: &&str| {
        let range = 0..2;
        let highlights = vec![Highlight { field: "title".to_owned(), index: 0, ranges: vec![range] }];
        let movie = Movie { id: title.to_lowercase(), title: (*title).to_owned(), ..Movie::default() };
        Hit { movie, highlights }
    };
    SearchPage { hits: titles.iter().map(hit).collect(), total: 20, ..SearchPage::default() }
}

fn view(picker: &Picker, width: usize, height: usize, colours: bool) -> View {
    picker.view(width, height, &OutputOptions { format: Format::Table, width: None, colours })
}

/// Returns the lines of a screen without colours, without blanks at their ends.
fn lines(picker: &Picker, width: usize, height: usize) -> Vec<String> {
    let lines = view(picker, width, height, false).lines;
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Returns a search for `al` that found three movies.
fn aliens() -> Picker {
    let mut picker = Picker::default();
    typed(&mut picker, "al");
    assert_eq!(picker.results("al", Ok(page(&["Alien", "Aliens", "Aladdin"]))), Reaction::Draw);
    picker
}

fn chosen(reaction: Reaction) -> String {
    let Reaction::Choose(movie) = reaction else { panic!("{reaction:?}") };
    movie.id
}

#[test]
fn each_key_searches_for_the_text_so_far() {
    let mut picker = Picker::default();
    assert_eq!(picker.event(&key(KeyCode::Char('É'))), search("É"));
    assert_eq!(typed(&mut picker, "t a"), search("Ét a"));
    assert_eq!(picker.event(&key(KeyCode::Backspace)), search("Ét "));
    assert_eq!(picker.event(&Event::Paste("to\nbe".to_owned())), search("Ét to be"));
    assert_eq!(picker.event(&control('w')), search("Ét to "));
    assert_eq!(picker.event(&control('u')), search(""));
    for nothing in
        [key(KeyCode::Backspace), control('u'), control('x'), key(KeyCode::Tab), Event::Resize(1, 1)]
    {
        assert_eq!(picker.event(&nothing), Reaction::Draw, "{nothing:?}");
    }
}

#[test]
fn a_typing_error_at_the_front_can_be_corrected() {
    let mut picker = Picker::default();
    typed(&mut picker, "wlien");
    for (to_start, to_end) in [(key(KeyCode::Home), key(KeyCode::End)), (control('a'), control('e'))] {
        assert_eq!(picker.event(&to_start), Reaction::Draw);
        assert_eq!(view(&picker, 60, 7, false).cursor, 8);
        assert_eq!(picker.event(&to_end), Reaction::Draw);
        assert_eq!(view(&picker, 60, 7, false).cursor, 13);
    }
    picker.event(&key(KeyCode::Home));
    assert_eq!(picker.event(&key(KeyCode::Delete)), search("lien"));
    assert_eq!(typed(&mut picker, "a"), search("alien"));
    picker.event(&key(KeyCode::Right));
    picker.event(&key(KeyCode::Left));
    picker.event(&key(KeyCode::Left));
    let View { lines, cursor } = view(&picker, 60, 7, false);
    assert_eq!((lines[0].as_str(), cursor), ("search: alien", 8));
}

#[test]
fn the_screen_shows_the_text_the_movies_and_the_status() {
    let picker = aliens();
    let expected = [
        "search: al",
        "  TITLE    YEAR  RATING  DIRECTOR  MATCHES",
        "> Alien",
        "  Aliens",
        "  Aladdin",
        "",
        "the first 3 of 20 movies; ↑ ↓ choose, Enter prints, Esc ends",
    ];
    assert_eq!(lines(&picker, 60, 7), expected);
    assert_eq!(view(&picker, 60, 7, true).cursor, 10);
}

#[test]
fn matches_are_highlighted_and_the_selected_movie_is_reversed() {
    let lines = view(&aliens(), 60, 7, true).lines;
    assert!(lines[2].starts_with("\x1b[7m> Alien"), "{lines:?}");
    assert!(lines[3].starts_with("  \x1b[36m\x1b[1mAl\x1b[0miens"), "{lines:?}");
    assert!(!view(&aliens(), 60, 7, false).lines.concat().contains('\x1b'));
}

#[test]
fn no_line_is_wider_than_the_screen_and_no_line_is_below_it() {
    let mut picker = Picker::default();
    let text = "七人の侍 ".repeat(30);
    typed(&mut picker, &text);
    picker.results(
        &text,
        Ok(page(&["Cléo from 5 to 7, a title that does not fit", "七人の侍七人の侍七人の侍"])),
    );
    for (width, height) in (0..70).flat_map(|width| (0..8).map(move |height| (width, height))) {
        let View { lines, .. } = view(&picker, width, height, true);
        assert_eq!(lines.len(), height, "{width} {height}");
        let widths = lines.iter().map(|line| measure_text_width(line));
        assert!(widths.max() <= Some(width.max(1)), "{width} {height} {lines:?}");
    }
    let View { lines, cursor } = view(&picker, 20, 8, true);
    assert!(lines[0].ends_with("侍 ") && cursor < 20, "{lines:?}");
    picker.event(&key(KeyCode::Home));
    let View { lines, cursor } = view(&picker, 20, 8, true);
    assert!(lines[0].starts_with("search: 七人の") && cursor == 8, "{lines:?}");
}

#[test]
fn arrows_select_a_movie_and_enter_chooses_it() {
    let mut picker = aliens();
    picker.event(&key(KeyCode::Up));
    picker.event(&key(KeyCode::Down));
    assert_eq!(lines(&picker, 60, 7)[2..5], ["  Alien", "> Aliens", "  Aladdin"]);
    assert_eq!(chosen(picker.event(&key(KeyCode::Enter))), "aliens");
    for _ in 0..9 {
        picker.event(&key(KeyCode::Down));
    }
    // The lines scroll with the selected movie.
    assert_eq!(lines(&picker, 60, 5)[2..4], ["  Aliens", "> Aladdin"]);
    assert_eq!(chosen(picker.event(&key(KeyCode::Enter))), "aladdin");
}

#[test]
fn results_of_an_earlier_text_are_ignored() {
    let mut picker = Picker::default();
    typed(&mut picker, "ali");
    assert_eq!(picker.results("al", Ok(page(&["Aladdin"]))), Reaction::Draw);
    assert_eq!(lines(&picker, 60, 7)[2..], ["", "", "", "", "searching…"]);
    picker.results("ali", Ok(page(&["Alien"])));
    assert_eq!(lines(&picker, 60, 7)[2], "> Alien");
}

#[test]
fn movies_stay_until_the_results_of_a_new_text_arrive_and_the_first_one_is_selected_then() {
    let mut picker = aliens();
    picker.event(&key(KeyCode::Down));
    typed(&mut picker, "a");
    assert_eq!(lines(&picker, 60, 7)[3..], ["> Aliens", "  Aladdin", "", "searching…"]);
    picker.results("ala", Ok(page(&["Aladdin", "Alamo"])));
    assert_eq!(lines(&picker, 60, 7)[2..4], ["> Aladdin", "  Alamo"]);
}

#[test]
fn enter_waits_for_the_results_of_the_text_unless_another_key_follows() {
    let mut picker = aliens();
    typed(&mut picker, "a");
    assert_eq!(picker.event(&key(KeyCode::Enter)), Reaction::Draw);
    assert_eq!(chosen(picker.results("ala", Ok(page(&["Aladdin"])))), "aladdin");

    let mut picker = aliens();
    typed(&mut picker, "a");
    picker.event(&key(KeyCode::Enter));
    typed(&mut picker, "m");
    assert_eq!(picker.results("alam", Ok(page(&["Alamo"]))), Reaction::Draw);
}

#[test]
fn enter_without_a_movie_does_nothing() {
    let mut picker = aliens();
    typed(&mut picker, "xx");
    picker.results("alxx", Ok(SearchPage::default()));
    assert_eq!(lines(&picker, 60, 5)[4], "no movie matches; ↑ ↓ choose, Enter prints, Esc ends");
    assert_eq!(picker.event(&key(KeyCode::Enter)), Reaction::Draw);
    // It is not remembered for later results.
    typed(&mut picker, "x");
    assert_eq!(picker.results("alxxx", Ok(page(&["Alien"]))), Reaction::Draw);
}

#[test]
fn an_error_replaces_the_movies_until_the_next_results() {
    let mut picker = aliens();
    typed(&mut picker, "i");
    let error = Error::Unavailable { address: "a:1".to_owned(), message: "busy".to_owned() };
    assert_eq!(picker.results("ali", Err(error)), Reaction::Draw);
    assert_eq!(lines(&picker, 60, 5)[2..], ["", "", "a:1 is unavailable: busy; Enter searches again"]);
    assert_eq!(picker.event(&key(KeyCode::Enter)), search("ali"));
    assert_eq!(lines(&picker, 60, 5)[4], "searching…");
    // It searches, and does not choose what is found.
    assert_eq!(picker.results("ali", Ok(page(&["Alien"]))), Reaction::Draw);
    typed(&mut picker, "e");
    picker.results("alie", Ok(page(&["Alien"])));
    assert_eq!(lines(&picker, 60, 5)[2], "> Alien");
}

#[test]
fn the_status_counts_the_movies() {
    let mut picker = Picker::default();
    picker.results("", Ok(SearchPage { total: 1, ..page(&["Alien"]) }));
    assert_eq!(lines(&picker, 60, 5)[4], "1 movie; ↑ ↓ choose, Enter prints, Esc ends");
    picker.results("", Ok(SearchPage { total: 2, ..page(&["Alien", "Aliens"]) }));
    assert_eq!(lines(&picker, 60, 5)[4], "2 movies; ↑ ↓ choose, Enter prints, Esc ends");
}

#[test]
fn escape_and_control_c_leave() {
    for leave in [key(KeyCode::Esc), control('c')] {
        assert_eq!(aliens().event(&leave), Reaction::Leave);
    }
}

#[test]
fn control_characters_of_a_service_do_not_reach_the_screen() {
    let mut picker = aliens();
    picker.event(&control('u'));
    picker.results("", Ok(page(&["A\u{1b}[2Jb\n\u{202e}c"])));
    let shown = view(&picker, 60, 7, false).lines.concat();
    assert!(shown.contains(r"A\u{1b}[2Jb\n\u{202e}c"), "{shown:?}");
    assert!(
        !shown.contains(|character: char| character.is_control() || character == '\u{202e}'),
        "{shown:?}"
    );
}
