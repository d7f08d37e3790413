//! Table for people, fitted to the terminal.

use std::io::{self, Write};
use std::{iter, mem, ptr};

use console::Style;

use super::highlight::{highlighted, matches_outside};
use super::layout::{Cell, Column, Layout, Shrink};
use super::text_format::line;
use super::{OutputOptions, Print, Property, Row, highlight};
use crate::{Change, Event, Facet, Hit, Movie};

/// Number of buffered rows after which the columns are laid out.
const MAX_BUFFERED_ROWS: usize = 1_000;

static MOVIE_COLUMNS: &[Column] = &[
    // A UUID has 36 characters.
    Column::text("ID", 36, Shrink::Last),
    Column::text("TITLE", 32, Shrink::First),
    Column::number("YEAR"),
    Column::number("RATING"),
    Column::text("DIRECTOR", 24, Shrink::First),
    Column::text("GENRES", 24, Shrink::First),
];

static HIT_COLUMNS: &[Column] = &[
    Column::text("ID", 36, Shrink::Last),
    Column::text("TITLE", 32, Shrink::First),
    Column::number("YEAR"),
    Column::number("RATING"),
    Column::text("DIRECTOR", 24, Shrink::First),
    // Texts of other fields that match.
    Column::text("MATCHES", 24, Shrink::First),
];

static FACET_COLUMNS: &[Column] = &[
    Column::text("FACET", 9, Shrink::Last),
    Column::text("VALUE", 24, Shrink::First),
    Column::number("MOVIES"),
];

static CHANGE_COLUMNS: &[Column] = &[
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

    /// Begins another table if the next row has other columns.
    fn set_columns(&mut self, columns: &'static [Column]) -> io::Result<()> {
        if ptr::eq(self.columns, columns) {
            return Ok(());
        }
        if self.layout.is_some() || !self.rows.is_empty() {
            self.print()?;
            writeln!(self.out)?;
            self.layout = None;
        }
        self.columns = columns;
        Ok(())
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
fn movie(columns: &[Column], id: &str, movie: &Movie) -> Vec<Cell> {
    let cell = |column: &Column| {
        let value = movie.fields().find(|(name, _)| name.eq_ignore_ascii_case(column.name));
        value.map_or_else(|| text(""), |(_, value)| text(&value.to_text()))
    };
    iter::once(text(id)).chain(columns[1..].iter().map(cell)).collect()
}

/// Returns the cells of a movie that a search found.
fn hit(hit: &Hit, style: &Style) -> Vec<Cell> {
    let movie = movie(HIT_COLUMNS, &hit.movie.id, &hit.movie);
    let cell = |(column, cell): (&Column, Cell)| match column.name {
        "TITLE" => highlighted(hit, "title", 0, style).into(),
        "DIRECTOR" => highlighted(hit, "director", 0, style).into(),
        "MATCHES" => matches_outside(&["title", "director"], hit, style).into(),
        _ => cell,
    };
    HIT_COLUMNS.iter().zip(movie).map(cell).collect()
}

/// Returns the lines of a table of hits without their ids: the header, and a line per hit.
pub(in crate::cli) fn hit_lines(hits: &[Hit], options: &OutputOptions) -> Vec<String> {
    let columns = &HIT_COLUMNS[1..];
    let style = highlight::style(options);
    let rows: Vec<Vec<Cell>> = hits.iter().map(|found| hit(found, &style).split_off(1)).collect();
    let layout = Layout::of(columns, &rows, false, options.width);
    let header = layout.header(&options.style(Style::new().bold()));
    iter::once(header).chain(rows.iter().map(|row| layout.line(row))).collect()
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

    fn begin_hits(&mut self) -> io::Result<()> {
        self.set_columns(HIT_COLUMNS)
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.is_slow = matches!(row, Row::Lookup { .. } | Row::Change(_));
        self.set_columns(match row {
            Row::Movie(_) | Row::Lookup { .. } => MOVIE_COLUMNS,
            Row::Hit(_) => HIT_COLUMNS,
            Row::Facet(_) => FACET_COLUMNS,
            Row::Change(_) => CHANGE_COLUMNS,
        })?;
        match row {
            Row::Movie(found) => self.rows.push(movie(MOVIE_COLUMNS, &found.id, found)),
            Row::Lookup { id, movie: found } => {
                self.rows.push(movie(MOVIE_COLUMNS, id, found.unwrap_or(&Movie::default())));
            }
            Row::Hit(found) => self.rows.push(hit(found, &highlight::style(&self.options))),
            Row::Facet(Facet { field, values }) => self.rows.extend(
                values
                    .iter()
                    .map(|found| vec![text(field), text(&found.value), found.count.to_string().into()]),
            ),
            Row::Change(change) => self.rows.push(self.change(change)),
        }
        if self.rows.len() >= MAX_BUFFERED_ROWS { self.print() } else { Ok(()) }
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
