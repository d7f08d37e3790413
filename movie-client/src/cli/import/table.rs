//! Tables of text: a header that names the columns, then one row per line.

use std::borrow::Cow;
use std::str::FromStr;
use std::{array, str};

use anyhow::Context;
use csv::ReaderBuilder;

use super::source::{FilePosition, Line, Lines, Source};
use super::{Row, Rows};
use crate::Movie;

/// The first line of a table.
///
/// Programs that rewrite a table may put cells in quotes, and differ in which. Cells never have a line break in them: a
/// quote that is not closed spoils its row, not the rest of the file.
pub(super) struct Header {
    /// A tab or a comma.
    separator: u8,
    /// Whether names are in quotes. Then the other cells of text are as well.
    is_quoted: bool,
    columns: Vec<Vec<u8>>,
}

/// A cell and the name of its column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    pub(super) name: &'static str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Cell<'a> {
    /// Returns the text, or what is wrong with it.
    pub(super) fn text(self) -> Result<&'a str, String> {
        str::from_utf8(self.bytes).map_err(|_| format!("`{}` is not UTF-8", self.name))
    }

    /// Returns the cell unless its value is missing: it is empty, `\N` as IMDb writes it, or `NA` as R does.
    pub(super) fn value(self) -> Option<Self> {
        Some(self).filter(|cell| !matches!(cell.bytes, b"" | b"\\N" | b"NA"))
    }

    /// Returns the number, or what is wrong with it.
    pub(super) fn number<T: FromStr>(self) -> Result<T, String> {
        self.parsed("a number", |text| text.parse().ok())
    }

    /// Returns the whole number, or what is wrong with it. It may have zeros as its fraction.
    pub(super) fn whole(self) -> Result<u32, String> {
        self.parsed("a number", whole)
    }

    /// Returns what the text means, or that something else was expected.
    pub(super) fn parsed<T>(
        self,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, String> {
        let text = self.text()?;
        parse(text).ok_or_else(|| {
            let text: String = text.chars().take(40).collect();
            format!("`{}` is `{text}`, expected {expected}", self.name)
        })
    }
}

/// Reads a whole number, such as `1894` or `1894.0`: a column that has numbers and missing values is one of floats to pandas.
pub(super) fn whole(text: &str) -> Option<u32> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    digits.parse().ok().filter(|_| is_whole)
}

impl Header {
    /// Reads the first line of a table.
    pub(super) fn of(line: &[u8]) -> Self {
        let separator = if line.contains(&b'\t') { b'\t' } else { b',' };
        let is_quoted = line.contains(&b'"');
        let columns = line.split(|found| *found == separator);
        let columns =
            columns.map(|name| unquoted(name, is_quoted).unwrap_or_else(|| name.to_vec())).collect();
        Self { separator, is_quoted, columns }
    }

    /// Returns whether it names these columns, in this order, be there others between them.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        let mut columns = self.columns.iter();
        names.iter().all(|name| columns.any(|column| column == name.as_bytes()))
    }

    /// Splits a line into its cells, one for each column.
    fn cells<'a>(&self, line: &'a [u8]) -> Result<Vec<Cow<'a, [u8]>>, String> {
        let Self { separator, is_quoted, columns } = self;
        let has_quotes = line.contains(&b'"');
        let mut cells: Vec<_> = if has_quotes && *separator == b',' {
            unquoted_row(line)?
        } else {
            let text = |cell| has_quotes.then(|| unquoted(cell, *is_quoted)).flatten();
            let cells = line.split(|found| found == separator);
            cells.map(|cell| text(cell).map_or(Cow::Borrowed(cell), Cow::Owned)).collect()
        };
        // R names the rows, and has no name for the column of these names.
        if *is_quoted && cells.len() == columns.len() + 1 {
            cells.remove(0);
        }
        if cells.len() == columns.len() {
            Ok(cells)
        } else {
            Err(format!("{} columns, expected {}", cells.len(), columns.len()))
        }
    }
}

/// Returns the text of a cell that is in quotes. Quotes within the text are doubled, or have a backslash in front if R
/// wrote the file. IMDb's own files have no quotes but those that belong to the text: of a file whose header is not
/// quoted, only text that has doubled quotes in it can be in quotes.
fn unquoted(cell: &[u8], is_quoted: bool) -> Option<Vec<u8>> {
    let mut rest = cell.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut text = Vec::with_capacity(rest.len());
    let mut has_quotes = false;
    while let Some(at) = rest.iter().position(|byte| *byte == b'"') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let escaped = before.strip_suffix(b"\\").filter(|_| is_quoted);
        let (before, after) = match (after.strip_prefix(b"\""), escaped) {
            (Some(after), _) => (before, after),
            (None, Some(before)) => (before, after),
            (None, None) => return None,
        };
        text.extend_from_slice(before);
        text.push(b'"');
        rest = after;
        has_quotes = true;
    }
    text.extend_from_slice(rest);
    (is_quoted || has_quotes).then_some(text)
}

/// Splits a line at its commas that are not in quotes (RFC 4180).
fn unquoted_row<'a>(line: &[u8]) -> Result<Vec<Cow<'a, [u8]>>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).buffer_capacity(line.len()).from_reader(line);
    let record = reader.byte_records().next().transpose().map_err(|error| error.to_string())?;
    Ok(record.iter().flatten().map(|cell| Cow::Owned(cell.to_vec())).collect())
}

/// Reads a table, and passes these columns of each row to `take`, which returns a movie, nothing, or what is wrong.
///
/// # Errors
///
/// If the file cannot be read or does not have the columns, and what `rows` returns.
pub(super) fn read<const N: usize>(
    source: Source,
    names: [&'static str; N],
    rows: Rows<'_>,
    mut take: impl FnMut([Cell<'_>; N]) -> Result<Option<Movie>, String>,
) -> anyhow::Result<()> {
    let file = source.name.clone();
    let mut lines = Lines::of(source);
    let header = Header::of(lines.next()?.and_then(|line| line.text.ok()).unwrap_or_default());
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        let found = header.columns.iter().position(|column| column == name.as_bytes());
        *place = found.with_context(|| format!("the first line of {file} names no column `{name}`"))?;
    }
    while let Some(Line { number, text }) = lines.next()? {
        let movie = text.and_then(|text| header.cells(text)).and_then(|cells| {
            take(array::from_fn(|index| Cell { name: names[index], bytes: &cells[places[index]] }))
        });
        if let Some(movie) = movie.transpose() {
            rows(Row::Line { at: FilePosition { file: file.clone(), line: number }, movie })?;
        }
    }
    Ok(())
}

/// Reads a table that says more of the movies of another. `take` returns what is wrong with a row.
///
/// # Errors
///
/// As [`read`].
pub(super) fn read_beside<const N: usize>(
    source: Source,
    names: [&'static str; N],
    rows: Rows<'_>,
    mut take: impl FnMut([Cell<'_>; N]) -> Result<(), String>,
) -> anyhow::Result<()> {
    let rows = &mut |row| {
        rows(if let Row::Line { at, movie: Err(reason) } = row { Row::Beside { at, reason } } else { row })
    };
    read(source, names, rows, |cells| take(cells).map(|()| None))
}
