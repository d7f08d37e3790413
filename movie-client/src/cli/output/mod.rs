//! Movies, changes and facts in the form that was asked for. In reading order:
//!
//! * [`Form`] — which form, how wide, with colours or not;
//! * [`Printer`] — prints in that form, one movie or one of many at a time;
//! * `text`, `table`, `json`, `csv` — the forms, and [`text_format`] what the first prints of one movie;
//! * [`DatabaseWriter`] — movies as a database that the service and `import` read;
//! * `entry`, `value` — what several of these have in common.
//!
//! Text and table are read on terminals: control characters and what turns the direction of writing are escaped there.
//! JSON and CSV are read by programs, which get the data as it is; only on a terminal is it escaped there, too.

mod csv;
mod database;
mod entry;
mod form;
mod json;
mod layout;
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
pub use self::form::{Form, Format};
use self::json::Json;
use self::table::Table;
use self::text::Text;
use crate::{Change, Movie};

/// One of many that are printed as they come. Those of one answer are of the same kind.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// A movie of a list.
    Movie(&'a Movie),
    /// The answer to an id.
    Found {
        /// The id that was asked for.
        id: &'a str,
        /// The movie, if there is one.
        movie: Option<&'a Movie>,
    },
    /// What happened to the catalogue.
    Change(&'a Change),
}

/// A named value of something that is no movie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
    /// Whether something is so.
    Bool(bool),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Bool(is_so) => is_so.fmt(f),
        }
    }
}

/// Prints one answer: [`Printer::one`], [`Printer::facts`] or any number of [`Printer::row`], and then
/// [`Printer::finish`]. If it is dropped before, rows that are still gathered are printed, as they come before an error, and
/// a JSON document is ended.
pub struct Printer<W: Write> {
    print: Forms<W>,
    /// Whether the answer is a whole rather than rows, of which there may be none.
    is_whole: bool,
}

impl<W: Write> Printer<W> {
    /// Prepares to print to `out`, which should be buffered.
    pub fn new(out: W, form: Form) -> Self {
        let print = match form.format {
            Format::Text => Forms::Text(Text::new(out, &form)),
            Format::Table => Forms::Table(Table::new(out, form)),
            Format::Json => Forms::Json(Json::document(out, &form)),
            Format::Ndjson => Forms::Json(Json::lines(out, &form)),
            Format::Csv => Forms::Csv(Box::new(Csv::new(out, &form))),
        };
        Self { print, is_whole: false }
    }

    /// Prints a movie as the whole answer.
    ///
    /// # Errors
    ///
    /// Why it cannot be written, as of all that follow.
    pub fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.is_whole = true;
        self.print.as_mut().one(movie)
    }

    /// Prints named values as the whole answer.
    ///
    /// # Errors
    ///
    /// Why they cannot be written.
    pub fn facts(&mut self, facts: &[(&'static str, Fact)]) -> io::Result<()> {
        self.is_whole = true;
        self.print.as_mut().facts(facts)
    }

    /// Prints one of a stream, which may become visible only with a later one or [`Printer::flush`].
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.print.as_mut().row(row)
    }

    /// Makes visible what has come so far.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.print.as_mut().flush()
    }

    /// Prints what belongs at the end, and makes all visible.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.is_whole {
            self.print.as_mut().end()?;
        }
        self.flush()
    }
}

/// What each form can print.
trait Print {
    fn one(&mut self, movie: &Movie) -> io::Result<()>;
    fn facts(&mut self, facts: &[(&'static str, Fact)]) -> io::Result<()>;
    fn row(&mut self, row: Row<'_>) -> io::Result<()>;
    /// Ends the rows, of which there may have been none.
    fn end(&mut self) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}

enum Forms<W: Write> {
    Text(Text<W>),
    Table(Table<W>),
    Json(Json<W>),
    Csv(Box<Csv<W>>),
}

impl<W: Write> Forms<W> {
    fn as_mut(&mut self) -> &mut (dyn Print + '_) {
        match self {
            Self::Text(text) => text,
            Self::Table(table) => table,
            Self::Json(json) => json,
            Self::Csv(csv) => csv.as_mut(),
        }
    }
}
