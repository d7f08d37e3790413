//! Table for people, fitted to the terminal.

use std::io::{self, Write};
use std::{iter, mem};

use console::Style;

use super::layout::{Cell, Column, Layout, Shrink};
use super::text_format::line;
use super::{OutputOptions, Print, Property, Row};
use crate::{Change, Event, Movie};

/// Number of buffered rows after which the columns are laid out.
const MAX_BUFFERED_ROWS: usize = 1_000;

const MOVIE_COLUMNS: &[Column] = &[
    // A UUID has 36 characters.
    Column::text("ID", 36, Shrink::Last),
    Column::text("TITLE", 32, Shrink::First),
    Column::number("YEAR"),
    Column::number("RATING"),
    Column::text("DIRECTOR", 24, Shrink::First),
    Column::text("GENRES", 24, Shrink::First),
];

const CHANGE_COLUMNS: &[Column] = &[
    Column::number("REVISION"),
    Column::text("CHANGE", "caught up".len(), Shrink::Never),
    Column::text("ID", 36, Shrink::Last),
    Column::text("TITLE", 32, Shrink::First),
];

/// Buffers rows until a flush or a full buffer. The first printed rows determine the column widths.
pub(super) struct Table<W: Write> {
    out: W,
    options: OutputOptions,
    header: Style,
    columns: &'static [Column],
    /// Whether rows arrive one by one, so that the first ones are not representative.
    is_slow: bool,
    rows: Vec<Vec<Cell>>,
    layout: Option<Layout>,
}

impl<W: Write> Table<W> {
    pub(super) fn new(out: W, options: OutputOptions) -> Self {
        let header = options.style(Style::new().bold());
        Self { out, options, header, columns: MOVIE_COLUMNS, is_slow: false, rows: Vec::new(), layout: None }
    }

    /// Prints the buffered rows, with a header before the first ones.
    fn print(&mut self) -> io::Result<()> {
        let rows = mem::take(&mut self.rows);
        let is_first = self.layout.is_none();
        let layout = self
            .layout
            .get_or_insert_with(|| Layout::of(self.columns, &rows, self.is_slow, self.options.width));
        if is_first {
            writeln!(self.out, "{}", layout.header(&self.header))?;
        }
        rows.iter().try_for_each(|row| writeln!(self.out, "{}", layout.line(row)))
    }

    /// Prints names and values below each other, without truncation.
    fn print_properties(&mut self, properties: &[(&str, String)]) -> io::Result<()> {
        let width = properties.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let header = &self.header;
        properties.iter().try_for_each(|(name, value)| {
            writeln!(self.out, "{:width$}  {}", header.apply_to(name), line(value))
        })
    }

    fn change(&self, Change { revision, event, .. }: &Change) -> Vec<Cell> {
        let style = |style: Style| self.options.style(style);
        let (change, id, title) = match event {
            Event::Upserted(movie) => {
                let added = Cell::styled("upserted".to_owned(), style(Style::new().green()));
                (added, movie.id.as_str(), movie.title.as_str())
            }
            Event::Deleted(id) => {
                (Cell::styled("deleted".to_owned(), style(Style::new().red())), id.as_str(), "")
            }
            Event::CaughtUp => ("caught up".to_owned().into(), "", ""),
        };
        vec![revision.to_string().into(), change, text(id), text(title)]
    }
}

fn text(text: &str) -> Cell {
    line(text).into_owned().into()
}

/// Returns the cells of a movie. The columns have the names of its fields, and the first one has the id.
fn movie(id: &str, movie: &Movie) -> Vec<Cell> {
    let cell = |column: &Column| {
        let value = movie.fields().find(|(name, _)| name.eq_ignore_ascii_case(column.name));
        value.map_or_else(|| text(""), |(_, value)| text(&value.to_text()))
    };
    iter::once(text(id)).chain(MOVIE_COLUMNS[1..].iter().map(cell)).collect()
}

impl<W: Write> Print for Table<W> {
    fn one(&mut self, movie: &Movie) -> io::Result<()> {
        let mut properties: Vec<_> = movie.fields().map(|(name, value)| (name, value.to_text())).collect();
        properties.retain(|(_, value)| !value.is_empty());
        self.print_properties(&properties)
    }

    fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()> {
        let properties: Vec<_> = properties.iter().map(|(name, value)| (*name, value.to_string())).collect();
        self.print_properties(&properties)
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.is_slow = !matches!(row, Row::Movie(_));
        let cells = match row {
            Row::Movie(found) => movie(&found.id, found),
            Row::Lookup { id, movie: found } => movie(id, found.unwrap_or(&Movie::default())),
            Row::Change(change) => {
                self.columns = CHANGE_COLUMNS;
                self.change(change)
            }
        };
        self.rows.push(cells);
        if self.rows.len() == MAX_BUFFERED_ROWS { self.print() } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        // An empty result has a header.
        if self.layout.is_none() || !self.rows.is_empty() { self.print() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.rows.is_empty() {
            self.print()?;
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for Table<W> {
    /// Prints the buffered rows after an error or an interruption, as buffers of the standard library do.
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            let _ = self.print();
        }
    }
}
