//! Output of movies, changes and properties in several formats. The modules, in reading order:
//!
//! * [`OutputOptions`]: format, width and colours.
//! * [`Printer`]: prints one movie, properties, or a stream of rows.
//! * `text`, `table`, `json`, `csv`: the formats; [`text_format`]: protobuf's text format of a movie.
//! * [`DatabaseWriter`]: a JSON database, which the service and `import` can read.
//! * `highlight`, `movie_json`, `value`: parts that several formats share.
//!
//! Text and tables are for terminals: control characters and directional characters are always escaped. JSON and CSV
//! are for programs, which get unmodified data; on a terminal, the same characters are escaped there, too.

mod csv;
mod database;
mod highlight;
mod json;
mod layout;
mod movie_json;
mod options;
mod table;
#[cfg(test)]
mod tests;
mod text;
pub mod text_format;
mod value;

use std::fmt;
use std::io::{self, Write};

use self::csv::Csv;
pub use self::database::DatabaseWriter;
use self::json::Json;
pub use self::options::{Format, OutputOptions};
use self::table::Table;
pub(super) use self::table::hit_lines;
use self::text::Text;
use crate::{Change, Facet, Hit, Movie};

/// One row of a stream. All rows of a stream have the same kind, except that facets follow hits.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// A movie of a list.
    Movie(&'a Movie),
    /// The result of a lookup.
    Lookup {
        /// The requested id.
        id: &'a str,
        /// The movie, or `None` for an unknown id.
        movie: Option<&'a Movie>,
    },
    /// A movie that a search found.
    Hit(&'a Hit),
    /// The counted values of a field.
    Facet(&'a Facet),
    /// A change of the catalogue.
    Change(&'a Change),
}

/// Value of a named property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// A boolean.
    Bool(bool),
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

/// Prints one result: [`Printer::one`], [`Printer::properties`], or any number of [`Printer::row`], followed by
/// [`Printer::finish`].
///
/// Dropping a printer prints the buffered rows, so that they precede an error message, and ends a JSON document.
pub struct Printer<W: Write> {
    print: FormatPrinter<W>,
    /// Whether the result is a single value instead of rows.
    is_whole: bool,
}

impl<W: Write> Printer<W> {
    /// Creates a printer to `out`, which should be buffered.
    pub fn new(out: W, options: OutputOptions) -> Self {
        let print = match options.format {
            Format::Text => FormatPrinter::Text(Text::new(out, &options)),
            Format::Table => FormatPrinter::Table(Table::new(out, options)),
            Format::Json => FormatPrinter::Json(Json::document(out, &options)),
            Format::Ndjson => FormatPrinter::Json(Json::lines(out, &options)),
            Format::Csv => FormatPrinter::Csv(Box::new(Csv::new(out, &options))),
        };
        Self { print, is_whole: false }
    }

    /// Prints a movie as the whole result.
    ///
    /// # Errors
    ///
    /// The error of writing, as in all other methods.
    pub fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.is_whole = true;
        self.print.as_mut().one(movie)
    }

    /// Prints named properties as the whole result.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()> {
        self.is_whole = true;
        self.print.as_mut().properties(properties)
    }

    /// Begins the rows of a search, so that its header is printed even if no row follows.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn begin_hits(&mut self) -> io::Result<()> {
        self.print.as_mut().begin_hits()
    }

    /// Prints a row. It may be buffered until a later row or [`Printer::flush`].
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.print.as_mut().row(row)
    }

    /// Flushes the buffered rows.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.print.as_mut().flush()
    }

    /// Ends the rows, and flushes.
    ///
    /// # Errors
    ///
    /// The error of writing.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.is_whole {
            self.print.as_mut().end()?;
        }
        self.flush()
    }
}

/// A format.
trait Print {
    fn one(&mut self, movie: &Movie) -> io::Result<()>;
    fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()>;
    /// Does nothing in formats without a header, and in those whose header does not depend on it.
    fn begin_hits(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn row(&mut self, row: Row<'_>) -> io::Result<()>;
    /// Ends the rows, of which there may be none.
    fn end(&mut self) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}

enum FormatPrinter<W: Write> {
    Text(Text<W>),
    Table(Table<W>),
    Json(Json<W>),
    Csv(Box<Csv<W>>),
}

impl<W: Write> FormatPrinter<W> {
    fn as_mut(&mut self) -> &mut (dyn Print + '_) {
        match self {
            Self::Text(text) => text,
            Self::Table(table) => table,
            Self::Json(json) => json,
            Self::Csv(csv) => csv.as_mut(),
        }
    }
}
