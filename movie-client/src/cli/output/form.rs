//! Which form, how wide, with colours or not.

use console::{Style, Term};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, as the course prints: protobuf's text format, and a line a movie in lists.
    Text,
    /// Columns, fitted to the terminal.
    Table,
    /// One JSON document.
    Json,
    /// A JSON document a line.
    Ndjson,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
}

/// The form of what is printed, and what fits where it is printed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The form.
    pub format: Format,
    /// The columns of the terminal; without a terminal nothing is cut, and programs get their data as it is.
    pub width: Option<usize>,
    /// Whether there may be colours.
    pub colours: bool,
}

impl Form {
    /// Returns the form that was asked for, or the one that suits: a table on a terminal and ndjson elsewhere. Colours are
    /// for terminals that have some, and not for people who set `NO_COLOR` (<https://no-color.org>).
    #[must_use]
    pub fn of(format: Option<Format>, terminal: &Term) -> Self {
        let suits = if terminal.is_term() { Format::Table } else { Format::Ndjson };
        Self {
            format: format.unwrap_or(suits),
            width: terminal.is_term().then(|| terminal.size().1.into()),
            colours: terminal.features().colors_supported(),
        }
    }

    /// Whether it is printed to a terminal, which may take some characters for commands.
    pub(super) fn is_on_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Lets a style show only where there may be colours, whatever `console` thinks of the process.
    pub(super) fn style(&self, style: Style) -> Style {
        style.force_styling(self.colours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_terminal_gets_ndjson_uncut_and_without_colours() {
        let file = || tempfile::tempfile().unwrap();
        let form = Form::of(None, &Term::read_write_pair(file(), file()));
        assert_eq!(form, Form { format: Format::Ndjson, width: None, colours: false });
    }

    #[test]
    fn the_form_that_was_asked_for_is_taken() {
        let file = || tempfile::tempfile().unwrap();
        let form = Form::of(Some(Format::Table), &Term::read_write_pair(file(), file()));
        assert_eq!(form, Form { format: Format::Table, width: None, colours: false });
    }
}
