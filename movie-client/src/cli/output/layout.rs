//! Columns: how wide they are, and a line of them.

use std::borrow::Cow;
use std::fmt::Write;

use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};

const BETWEEN: &str = "  ";

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    align: Alignment,
    /// As wide as it usually has to be.
    usual: usize,
    gives_way: GivesWay,
}

/// Whether a column becomes narrower where there is not enough room for all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GivesWay {
    First,
    Last,
    /// A part of it would be wrong: of a number.
    Never,
}

impl Column {
    pub(super) const fn text(name: &'static str, usual: usize, gives_way: GivesWay) -> Self {
        Self { name, align: Alignment::Left, usual, gives_way }
    }

    pub(super) const fn number(name: &'static str) -> Self {
        Self { name, align: Alignment::Right, usual: name.len(), gives_way: GivesWay::Never }
    }
}

/// What a row has in a column: text without control characters.
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

/// Columns and how wide they are.
pub(super) struct Layout {
    columns: &'static [Column],
    widths: Vec<usize>,
    /// Whether what is wider than its column is cut.
    cuts: bool,
}

impl Layout {
    /// Lays out columns for these rows and those like them, in as much room as there is, if that is known. With
    /// `is_slow`, later rows are expected to be wider than the few that came so far.
    pub(super) fn of(
        columns: &'static [Column],
        rows: &[Vec<Cell>],
        is_slow: bool,
        room: Option<usize>,
    ) -> Self {
        let mut widths: Vec<usize> = columns
            .iter()
            .map(|column| if is_slow { column.usual.max(column.name.len()) } else { column.name.len() })
            .collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        if let Some(room) = room {
            fit(columns, &mut widths, room);
        }
        Self { columns, widths, cuts: room.is_some() }
    }

    /// Returns the line with the names of the columns.
    pub(super) fn header(&self, style: &Style) -> String {
        let cell = |column: &Column| Cell::styled(column.name.to_owned(), style.clone());
        self.line(&self.columns.iter().map(cell).collect::<Vec<_>>())
    }

    /// Returns a row as a line, which it does not end.
    pub(super) fn line(&self, cells: &[Cell]) -> String {
        let mut line = String::new();
        let last = self.columns.len() - 1;
        for (number, ((column, width), Cell { text, style })) in
            self.columns.iter().zip(&self.widths).zip(cells).enumerate()
        {
            if number > 0 {
                line.push_str(BETWEEN);
            }
            let cuts = self.cuts && column.gives_way != GivesWay::Never;
            let text = if cuts { cut(text, *width) } else { text.into() };
            let pad_to = if number == last && column.align == Alignment::Left { 0 } else { *width };
            // Writing to a string cannot fail.
            let _ = write!(line, "{}", style.apply_to(pad_str(&text, pad_to, column.align, None)));
        }
        line.truncate(line.trim_end_matches(' ').len());
        line
    }
}

/// Narrows the widest of the columns that give way first, until all fit, then those that give way last; none below its
/// name, so that a terminal narrower than the names wraps the lines. What is left over goes to the last column.
fn fit(columns: &[Column], widths: &mut [usize], room: usize) {
    let between = BETWEEN.len() * (columns.len() - 1);
    let used = widths.iter().sum::<usize>() + between;
    let mut excess = used.saturating_sub(room);
    for gives_way in [GivesWay::First, GivesWay::Last] {
        while excess > 0 {
            let widest = widths
                .iter_mut()
                .zip(columns)
                .filter(|(width, column)| column.gives_way == gives_way && **width > column.name.len())
                .max_by_key(|(width, _)| **width);
            let Some((width, _)) = widest else { break };
            *width -= 1;
            excess -= 1;
        }
    }
    if let Some(last) = widths.last_mut() {
        *last += room.saturating_sub(used);
    }
}

/// Cuts text that is wider than so many columns, of which the last then says so.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    // `truncate_str` adds up the widths of characters, and some are wider together, such as a heart and the mark that makes
    // an emoji of it.
    let mut room = width;
    loop {
        let cut = truncate_str(text, room, "…");
        if room <= 1 || measure_text_width(&cut) <= width {
            return cut;
        }
        room -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_what_it_takes_on_a_terminal() {
        assert_eq!(cut("Amélie", 6), "Amélie");
        assert_eq!(cut("Amélie", 5), "Amél…");
        assert_eq!(cut("七人の侍", 8), "七人の侍");
        assert_eq!(cut("七人の侍", 7), "七人の…");
        assert_eq!(cut("七人の侍", 6), "七人…");
        assert_eq!(cut("😀😀😀", 4), "😀…");
        assert_eq!(cut("Ame\u{301}lie", 5), "Ame\u{301}l…");
        assert_eq!(cut("ab", 1), "…");
    }

    #[test]
    fn what_is_wider_together_than_its_characters_is_cut_to_fit() {
        let hearts = "\u{2764}\u{fe0f}".repeat(5);
        for width in 1..10 {
            assert!(measure_text_width(&cut(&hearts, width)) <= width, "{width}");
        }
    }

    const COLUMNS: &[Column] = &[
        Column::text("ID", 4, GivesWay::Last),
        Column::text("TITLE", 9, GivesWay::First),
        Column::number("YEAR"),
        Column::text("BY", 9, GivesWay::First),
    ];

    fn widths(is_slow: bool, room: Option<usize>) -> Vec<usize> {
        let row = ["12345678", "a title of 24 characters", "1940", "a director"];
        let rows = [row.map(|text| Cell::from(text.to_owned())).into()];
        Layout::of(COLUMNS, &rows, is_slow, room).widths
    }

    #[test]
    fn columns_are_as_wide_as_their_rows_and_the_last_has_what_is_left() {
        assert_eq!(widths(false, None), [8, 24, 4, 10]);
        assert_eq!(widths(false, Some(52)), [8, 24, 4, 10]);
        assert_eq!(widths(false, Some(60)), [8, 24, 4, 18]);
    }

    #[test]
    fn the_widest_gives_way_first_and_the_id_last() {
        assert_eq!(widths(false, Some(50)), [8, 22, 4, 10]);
        assert_eq!(widths(false, Some(36)), [8, 9, 4, 9]);
        assert_eq!(widths(false, Some(24)), [7, 5, 4, 2]);
        assert_eq!(widths(false, Some(1)), [2, 5, 4, 2]);
    }

    #[test]
    fn a_slow_stream_has_room_for_what_is_usual() {
        let layout = Layout::of(COLUMNS, &[], true, None);
        assert_eq!(layout.widths, [4, 9, 4, 9]);
        assert_eq!(Layout::of(COLUMNS, &[], false, None).widths, [2, 5, 4, 2]);
    }
}
