//! Column widths and lines of a table.

use std::borrow::Cow;
use std::fmt::Write;

use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};

const COLUMN_SEPARATOR: &str = "  ";

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    align: Alignment,
    /// Width that is usually sufficient.
    usual_width: usize,
    shrink: Shrink,
}

/// Order in which columns are narrowed if the table is wider than the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shrink {
    First,
    Last,
    /// A truncated number would be wrong.
    Never,
}

impl Column {
    pub(super) const fn text(name: &'static str, usual_width: usize, shrink: Shrink) -> Self {
        Self { name, align: Alignment::Left, usual_width, shrink }
    }

    pub(super) const fn number(name: &'static str) -> Self {
        Self { name, align: Alignment::Right, usual_width: name.len(), shrink: Shrink::Never }
    }
}

/// A cell: text without control characters, except those of styles.
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn styled(text: String, style: Style) -> Self {
        Self { text, style }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: Style::new() }
    }
}

/// Columns and their widths.
pub(super) struct Layout {
    columns: &'static [Column],
    widths: Vec<usize>,
    /// Whether text wider than its column is truncated.
    truncates: bool,
}

impl Layout {
    /// Computes the widths for these rows, within `max_width` if it is known. With `is_slow`, later rows are expected
    /// to be wider than the few rows so far.
    pub(super) fn of(
        columns: &'static [Column],
        rows: &[Vec<Cell>],
        is_slow: bool,
        max_width: Option<usize>,
    ) -> Self {
        let mut widths: Vec<usize> = columns
            .iter()
            .map(|column| if is_slow { column.usual_width.max(column.name.len()) } else { column.name.len() })
            .collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        if let Some(max_width) = max_width {
            fit_widths(columns, &mut widths, max_width);
        }
        Self { columns, widths, truncates: max_width.is_some() }
    }

    /// Returns the line with the column names.
    pub(super) fn header(&self, style: &Style) -> String {
        let cell = |column: &Column| Cell::styled(column.name.to_owned(), style.clone());
        self.line(&self.columns.iter().map(cell).collect::<Vec<_>>())
    }

    /// Returns the line of a row, without a line end.
    pub(super) fn line(&self, cells: &[Cell]) -> String {
        let mut line = String::new();
        let last = self.columns.len() - 1;
        for (number, ((column, width), Cell { text, style })) in
            self.columns.iter().zip(&self.widths).zip(cells).enumerate()
        {
            if number > 0 {
                line.push_str(COLUMN_SEPARATOR);
            }
            let truncates = self.truncates && column.shrink != Shrink::Never;
            let text = if truncates { truncate(text, *width) } else { text.into() };
            let pad_to = if number == last && column.align == Alignment::Left { 0 } else { *width };
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", style.apply_to(pad_str(&text, pad_to, column.align, None)));
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// Narrows the widest column until the table fits: first the columns with `Shrink::First`, then those with
/// `Shrink::Last`. No column becomes narrower than its name. Remaining space goes to the last column.
fn fit_widths(columns: &[Column], widths: &mut [usize], max_width: usize) {
    let between = COLUMN_SEPARATOR.len() * (columns.len() - 1);
    let used = widths.iter().sum::<usize>() + between;
    let mut excess = used.saturating_sub(max_width);
    for shrink in [Shrink::First, Shrink::Last] {
        while excess > 0 {
            let widest = widths
                .iter_mut()
                .zip(columns)
                .filter(|(width, column)| column.shrink == shrink && **width > column.name.len())
                .max_by_key(|(width, _)| **width);
            let Some((width, _)) = widest else { break };
            *width -= 1;
            excess -= 1;
        }
    }
    if let Some(last) = widths.last_mut() {
        *last += max_width.saturating_sub(used);
    }
}

/// Truncates text to a width, with an ellipsis.
fn truncate(text: &str, width: usize) -> Cow<'_, str> {
    // `truncate_str` adds up the widths of characters. Some are wider together, such as a heart with the variation selector
    // of an emoji.
    let mut max_width = width;
    loop {
        let truncated = truncate_str(text, max_width, "…");
        if max_width <= 1 || measure_text_width(&truncated) <= width {
            return truncated;
        }
        max_width -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_by_its_width_on_a_terminal() {
        assert_eq!(truncate("Amélie", 6), "Amélie");
        assert_eq!(truncate("Amélie", 5), "Amél…");
        assert_eq!(truncate("七人の侍", 8), "七人の侍");
        assert_eq!(truncate("七人の侍", 7), "七人の…");
        assert_eq!(truncate("七人の侍", 6), "七人…");
        assert_eq!(truncate("😀😀😀", 4), "😀…");
        assert_eq!(truncate("Ame\u{301}lie", 5), "Ame\u{301}l…");
        assert_eq!(truncate("ab", 1), "…");
    }

    #[test]
    fn a_grapheme_wider_than_its_characters_is_truncated_to_fit() {
        let hearts = "\u{2764}\u{fe0f}".repeat(5);
        for width in 1..10 {
            assert!(measure_text_width(&truncate(&hearts, width)) <= width, "{width}");
        }
    }

    const COLUMNS: &[Column] = &[
        Column::text("ID", 4, Shrink::Last),
        Column::text("TITLE", 9, Shrink::First),
        Column::number("YEAR"),
        Column::text("BY", 9, Shrink::First),
    ];

    fn widths(is_slow: bool, max_width: Option<usize>) -> Vec<usize> {
        let row = ["12345678", "a title of 24 characters", "1940", "a director"];
        let rows = [row.map(|text| Cell::from(text.to_owned())).into()];
        Layout::of(COLUMNS, &rows, is_slow, max_width).widths
    }

    #[test]
    fn columns_fit_their_rows_and_the_last_column_gets_the_remaining_space() {
        assert_eq!(widths(false, None), [8, 24, 4, 10]);
        assert_eq!(widths(false, Some(52)), [8, 24, 4, 10]);
        assert_eq!(widths(false, Some(60)), [8, 24, 4, 18]);
    }

    #[test]
    fn the_widest_column_is_narrowed_first_and_the_id_last() {
        assert_eq!(widths(false, Some(50)), [8, 22, 4, 10]);
        assert_eq!(widths(false, Some(36)), [8, 9, 4, 9]);
        assert_eq!(widths(false, Some(24)), [7, 5, 4, 2]);
        assert_eq!(widths(false, Some(1)), [2, 5, 4, 2]);
    }

    #[test]
    fn a_slow_stream_uses_the_usual_widths() {
        let layout = Layout::of(COLUMNS, &[], true, None);
        assert_eq!(layout.widths, [4, 9, 4, 9]);
        assert_eq!(Layout::of(COLUMNS, &[], false, None).widths, [2, 5, 4, 2]);
    }
}
