//! Comma-separated values.
//!
//! Cells that a spreadsheet would interpret as a formula, such as a title that begins with `=`, are not changed. The
//! output is for programs, which must read back the same movie.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use super::text_format::line;
use super::value::{Rating, Time};
use super::{OutputOptions, Print, Property, Row};
use crate::movie::Value;
use crate::{Change, Event, Facet, Hit, Movie};

/// Columns of a facet: a row per value.
const FACET_COLUMNS: [&str; 3] = ["facet", "value", "count"];

/// Columns of a change, before the columns of its movie.
const CHANGE_COLUMNS: [&str; 3] = ["revision", "change", "resume_token"];

pub(super) struct Csv<W: Write> {
    writer: csv::Writer<W>,
    has_header: bool,
    is_on_terminal: bool,
    /// Reused buffer for a cell.
    cell: String,
}

impl<W: Write> Csv<W> {
    pub(super) fn new(out: W, options: &OutputOptions) -> Self {
        let is_on_terminal = options.is_on_terminal();
        Self { writer: csv::Writer::from_writer(out), has_header: false, is_on_terminal, cell: String::new() }
    }

    fn record<'a>(&mut self, cells: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        self.writer.write_record(cells).map_err(error)
    }

    /// Writes the header before the first row.
    fn header(&mut self, row: Option<Row<'_>>) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.has_header = true;
        if let Some(Row::Facet(_)) = row {
            return self.record(FACET_COLUMNS);
        }
        let change = if let Some(Row::Change(_)) = row { &CHANGE_COLUMNS[..] } else { &[] };
        let empty = Movie::default();
        let movie = columns_after_id(&empty).map(|(name, _)| name);
        self.record(change.iter().copied().chain(["id"]).chain(movie))
    }

    fn movie(&mut self, id: &str, movie: &Movie) -> io::Result<()> {
        self.text(id)?;
        for (_, value) in columns_after_id(movie) {
            match value {
                Value::Text(text) => self.text(text)?,
                Value::Rating(rating) => self.value(rating.map(Rating))?,
                Value::Number(number) => self.value(*number)?,
                Value::Count(count) => self.value(*count)?,
                Value::List(list) => self.list(list)?,
                Value::Time(time) => self.value(Time::of(*time))?,
            }
        }
        self.writer.write_record(None::<&str>).map_err(error)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if self.is_on_terminal {
            return self.writer.write_field(&*line(text)).map_err(error);
        }
        self.writer.write_field(text).map_err(error)
    }

    fn value(&mut self, value: Option<impl Display>) -> io::Result<()> {
        self.cell.clear();
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(self.cell, "{value}");
        }
        self.writer.write_field(&self.cell).map_err(error)
    }

    fn list(&mut self, values: &[String]) -> io::Result<()> {
        self.cell.clear();
        for (number, value) in values.iter().enumerate() {
            if number > 0 {
                self.cell.push('|');
            }
            let value = if self.is_on_terminal { line(value) } else { value.into() };
            self.cell.push_str(&value);
        }
        self.writer.write_field(&self.cell).map_err(error)
    }
}

impl<W: Write> Print for Csv<W> {
    fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.row(Row::Movie(movie))
    }

    fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()> {
        self.record(["name", "value"])?;
        properties.iter().try_for_each(|(name, value)| {
            self.text(name)?;
            self.text(&value.to_string())?;
            self.writer.write_record(None::<&str>).map_err(error)
        })
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.header(Some(row))?;
        let empty = Movie::default();
        match row {
            Row::Movie(movie) | Row::Hit(Hit { movie, .. }) => self.movie(&movie.id, movie),
            Row::Lookup { id, movie } => self.movie(id, movie.unwrap_or(&empty)),
            Row::Facet(Facet { field, values }) => values.iter().try_for_each(|found| {
                self.text(field)?;
                self.text(&found.value)?;
                self.value(Some(found.count))?;
                self.writer.write_record(None::<&str>).map_err(error)
            }),
            Row::Change(Change { revision, event, resume_token }) => {
                let (change, id, movie) = match event {
                    Event::Upserted(movie) => ("upserted", movie.id.as_str(), movie),
                    Event::Deleted(id) => ("deleted", id.as_str(), &empty),
                    Event::CaughtUp => ("caught_up", "", &empty),
                };
                self.value(Some(revision))?;
                self.text(change)?;
                self.text(resume_token)?;
                self.movie(id, movie)
            }
        }
    }

    fn end(&mut self) -> io::Result<()> {
        // Without a row, the kind of rows is unknown; the header of movies is the most likely one.
        self.header(None)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Returns the names and the values of the columns of a movie, except its id.
fn columns_after_id(movie: &Movie) -> impl Iterator<Item = (&'static str, Value<'_>)> {
    movie.fields().filter(|(name, _)| *name != "id")
}

/// Unwraps the I/O error, by which a closed pipe is recognised.
fn error(error: csv::Error) -> io::Error {
    let csv::ErrorKind::Io(error) = error.into_kind() else {
        return io::Error::other("rows of different kinds have no CSV header in common");
    };
    error
}
