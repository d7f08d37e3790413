//! State of a search while a person types: keys and results in, screen lines out.

use console::{Style, measure_text_width, strip_ansi_codes, truncate_str};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::line_editor::LineEditor;
use crate::cli::output::{OutputOptions, hit_lines, text_format};
use crate::{Error, Movie, SearchPage};

/// Text before the typed text.
const PROMPT: &str = "search: ";

/// Lines that are not hits: the typed text, the header of the table, and the status.
const FRAME_LINES: usize = 3;

/// A typed text, the movies that match it, and the selected movie.
#[derive(Debug, Default)]
pub(super) struct Picker {
    line: LineEditor,
    /// The latest results. They belong to an earlier text until `is_current`.
    page: SearchPage,
    /// Index of the selected hit.
    selected: usize,
    /// Whether the results of the text have arrived.
    is_current: bool,
    /// Whether the first hit is chosen as soon as the results arrive, because Enter was pressed before.
    chooses_on_arrival: bool,
    /// The error of the latest search.
    error: Option<String>,
}

/// What follows a key or results.
#[derive(Debug, PartialEq)]
pub(super) enum Reaction {
    /// Only the screen changes.
    Draw,
    /// Search for this text.
    Search(String),
    /// End with this movie.
    Choose(Box<Movie>),
    /// End without a movie.
    Leave,
}

/// Content of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The lines, from the top. None is wider than the screen.
    pub(super) lines: Vec<String>,
    /// Column of the cursor in the first line.
    pub(super) cursor: usize,
}

impl Picker {
    /// Handles an event of the terminal.
    pub(super) fn event(&mut self, event: &Event) -> Reaction {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key),
            Event::Paste(text) => self.edit(|line| line.insert(text)),
            Event::Key(_) | Event::Resize(..) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => {
                Reaction::Draw
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "keys without a meaning here change nothing")]
    fn key(&mut self, KeyEvent { code, modifiers, .. }: KeyEvent) -> Reaction {
        let is_control = modifiers.contains(KeyModifiers::CONTROL);
        match code {
            KeyCode::Esc => Reaction::Leave,
            KeyCode::Char('c') if is_control => Reaction::Leave,
            KeyCode::Enter if self.is_current && self.error.is_some() => self.search(),
            KeyCode::Enter => {
                self.chooses_on_arrival = true;
                self.choice()
            }
            KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down => self.select(self.selected + 1),
            KeyCode::Left => self.edit(LineEditor::move_left),
            KeyCode::Right => self.edit(LineEditor::move_right),
            KeyCode::Home => self.edit(LineEditor::move_to_start),
            KeyCode::End => self.edit(LineEditor::move_to_end),
            KeyCode::Char('a') if is_control => self.edit(LineEditor::move_to_start),
            KeyCode::Char('e') if is_control => self.edit(LineEditor::move_to_end),
            KeyCode::Backspace => self.edit(LineEditor::delete_back),
            // Older terminals send this for Backspace.
            KeyCode::Char('h') if is_control => self.edit(LineEditor::delete_back),
            KeyCode::Delete => self.edit(LineEditor::delete_forward),
            KeyCode::Char('u') if is_control => self.edit(LineEditor::delete_to_start),
            KeyCode::Char('w') if is_control => self.edit(LineEditor::delete_word),
            KeyCode::Char(character) if !is_control && !modifiers.contains(KeyModifiers::ALT) => {
                self.edit(|line| line.insert(character.encode_utf8(&mut [0; 4])))
            }
            _ => Reaction::Draw,
        }
    }

    /// Handles the results of a search. Those of an earlier text are ignored.
    pub(super) fn results(&mut self, text: &str, page: Result<SearchPage, Error>) -> Reaction {
        if text != self.line.text() {
            return Reaction::Draw;
        }
        (self.page, self.error) = match page {
            Ok(page) => (page, None),
            Err(error) => (SearchPage::default(), Some(error.to_string())),
        };
        self.is_current = true;
        self.selected = 0;
        self.choice()
    }

    /// Returns the chosen movie, if there is one.
    fn choice(&mut self) -> Reaction {
        if !self.chooses_on_arrival || !self.is_current {
            return Reaction::Draw;
        }
        self.chooses_on_arrival = false;
        let hit = self.page.hits.get(self.selected);
        hit.map_or(Reaction::Draw, |hit| Reaction::Choose(Box::new(hit.movie.clone())))
    }

    fn select(&mut self, index: usize) -> Reaction {
        self.chooses_on_arrival = false;
        self.selected = index.min(self.page.hits.len().saturating_sub(1));
        Reaction::Draw
    }

    /// Changes the text, or moves the cursor.
    fn edit(&mut self, change: impl FnOnce(&mut LineEditor)) -> Reaction {
        let before = self.line.text();
        change(&mut self.line);
        self.chooses_on_arrival = false;
        if self.line.text() == before { Reaction::Draw } else { self.search() }
    }

    /// Searches for the text.
    fn search(&mut self) -> Reaction {
        self.is_current = false;
        Reaction::Search(self.line.text())
    }

    /// Returns the content of a screen with this many columns and lines.
    pub(super) fn view(&self, width: usize, height: usize, options: &OutputOptions) -> View {
        let (before, after) = self.line.parts();
        let before = text_format::line(before);
        // The cursor needs a column.
        let mut prompt = format!("{PROMPT}{}", end(&before, width.saturating_sub(PROMPT.len() + 1)));
        let cursor = measure_text_width(&prompt);
        prompt.push_str(&text_format::line(after));
        let hits = self.hits(width, height.saturating_sub(FRAME_LINES), options);
        let mut lines = vec![prompt];
        lines.extend(hits);
        // The status is the last line of the screen.
        lines.resize(height.saturating_sub(1).max(1), String::new());
        lines.push(options.style(Style::new().dim()).apply_to(self.status()).to_string());
        lines.truncate(height);
        let lines = lines.iter().map(|line| truncate_str(line, width, "…").into_owned()).collect();
        View { lines, cursor }
    }

    /// Returns the lines of the table: the header, and the selected hit among as many as fit.
    fn hits(&self, width: usize, count: usize, options: &OutputOptions) -> Vec<String> {
        const UNSELECTED: &str = "  ";
        let options =
            OutputOptions { width: Some(width.saturating_sub(UNSELECTED.len())), ..options.clone() };
        let mut lines = hit_lines(&self.page.hits, &options).into_iter();
        let header = lines.next().map(|header| format!("{UNSELECTED}{header}"));
        let selected = options.style(Style::new().reverse());
        let line = |(index, line): (usize, String)| {
            if index == self.selected {
                // Highlights would end the style of the line.
                selected.apply_to(format!("> {}", strip_ansi_codes(&line))).to_string()
            } else {
                format!("{UNSELECTED}{line}")
            }
        };
        let first = (self.selected + 1).saturating_sub(count);
        header.into_iter().chain(lines.enumerate().skip(first).take(count).map(line)).collect()
    }

    fn status(&self) -> String {
        const KEYS: &str = "↑ ↓ choose, Enter prints, Esc ends";
        let (hits, total) = (self.page.hits.len() as u64, self.page.total);
        match &self.error {
            _ if !self.is_current => "searching…".to_owned(),
            Some(error) => format!("{error}; Enter searches again"),
            None if hits == 0 => format!("no movie matches; {KEYS}"),
            None if total == 1 => format!("1 movie; {KEYS}"),
            None if hits < total => format!("the first {hits} of {total} movies; {KEYS}"),
            None => format!("{total} movies; {KEYS}"),
        }
    }
}

/// Returns the end of a text that fits the width.
fn end(text: &str, width: usize) -> &str {
    let mut start = text.char_indices().map(|(start, _)| &text[start..]).chain([""]);
    start.find(|end| measure_text_width(end) <= width).unwrap_or_default()
}
