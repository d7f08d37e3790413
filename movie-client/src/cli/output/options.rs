//! Output options: format, width and colours.

use console::{Style, Term};

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The course's output: protobuf's text format, and one line per movie in lists.
    Text,
    /// Columns, fitted to the terminal.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
}

/// Output options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOptions {
    /// The format.
    pub format: Format,
    /// Width of the terminal, in columns. `None` without a terminal: cells are not truncated, and data is not
    /// escaped.
    pub width: Option<usize>,
    /// Whether colours are allowed.
    pub colours: bool,
}

impl OutputOptions {
    /// Returns the options for a terminal. The default format is a table on a terminal and ndjson elsewhere. Colours
    /// are used if the terminal supports them and `NO_COLOR` is not set (<https://no-color.org>).
    #[must_use]
    pub fn of(format: Option<Format>, terminal: &Term) -> Self {
        let default = if terminal.is_term() { Format::Table } else { Format::Ndjson };
        Self {
            format: format.unwrap_or(default),
            width: terminal.is_term().then(|| terminal.size().1.into()),
            colours: terminal.features().colors_supported(),
        }
    }

    /// Returns whether the output goes to a terminal, which interprets control characters.
    pub(in crate::cli) fn is_on_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Returns the style, or no style if colours are not allowed. Overrides the detection by `console`.
    pub(in crate::cli) fn style(&self, style: Style) -> Style {
        style.force_styling(self.colours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_the_default_is_ndjson_without_colours() {
        let file = || tempfile::tempfile().unwrap();
        let options = OutputOptions::of(None, &Term::read_write_pair(file(), file()));
        assert_eq!(options, OutputOptions { format: Format::Ndjson, width: None, colours: false });
    }

    #[test]
    fn the_requested_format_is_used() {
        let file = || tempfile::tempfile().unwrap();
        let options = OutputOptions::of(Some(Format::Table), &Term::read_write_pair(file(), file()));
        assert_eq!(options, OutputOptions { format: Format::Table, width: None, colours: false });
    }
}
