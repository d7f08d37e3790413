//! Delimited text: a header with column names, then one row per line.

use std::borrow::Cow;
use std::str::FromStr;
use std::{array, str};

use anyhow::Context;
use csv::ReaderBuilder;

use super::source::{FilePosition, Line, Lines, Source};
use super::{Row, Rows};
use crate::Movie;

/// Header of a table.
///
/// Programs that rewrite a table quote cells by different rules. A cell never contains a line break, so an unclosed
/// quote makes only its own row invalid.
pub(super) struct Header {
    /// Tab or comma.
    separator: u8,
    /// Whether the column names are quoted. Then other text cells are quoted as well.
    is_quoted: bool,
    columns: Vec<Vec<u8>>,
}

/// A cell with the name of its column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'a> {
    pub(super) name: &'static str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Cell<'a> {
    /// Returns the text.
    pub(super) fn text(self) -> Result<&'a str, String> {
        str::from_utf8(self.bytes).map_err(|_| format!("`{}` is not UTF-8", self.name))
    }

    /// Returns `None` for a missing value: an empty cell, `\N` (IMDb), or `NA` (R).
    pub(super) fn value(self) -> Option<Self> {
        Some(self).filter(|cell| !matches!(cell.bytes, b"" | b"\\N" | b"NA"))
    }

    /// Parses a number.
    pub(super) fn number<T: FromStr>(self) -> Result<T, String> {
        self.parsed("a number", |text| text.parse().ok())
    }

    /// Parses a whole number, which may have a fraction of zeros.
    pub(super) fn whole<T: FromStr>(self) -> Result<T, String> {
        self.parsed("a number", whole)
    }

    /// Parses the text. The error states what was expected.
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

/// Parses a whole number, such as `1894` or `1894.0`. pandas writes a column of whole numbers with missing values as
/// floats.
pub(super) fn whole<T: FromStr>(text: &str) -> Option<T> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
    digits.parse().ok().filter(|_| is_whole)
}

impl Header {
    /// Parses the first line of a table.
    pub(super) fn of(line: &[u8]) -> Self {
        let separator = if line.contains(&b'\t') { b'\t' } else { b',' };
        let is_quoted = line.contains(&b'"');
        let columns = line.split(|found| *found == separator);
        let columns =
            columns.map(|name| unquoted(name, is_quoted).unwrap_or_else(|| name.to_vec())).collect();
        Self { separator, is_quoted, columns }
    }

    /// Returns whether the header has these columns in this order, possibly with others between them.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        let mut columns = self.columns.iter();
        names.iter().all(|name| columns.any(|column| column == name.as_bytes()))
    }

    /// Splits a line into cells, one per column.
    fn cells<'a>(&self, line: &'a [u8]) -> Result<Vec<Cow<'a, [u8]>>, String> {
        let Self { separator, is_quoted, columns } = self;
        let has_quotes = line.contains(&b'"');
        let mut cells: Vec<_> = if has_quotes && *separator == b',' {
            split_quoted(line)?
        } else {
            let text = |cell| has_quotes.then(|| unquoted(cell, *is_quoted)).flatten();
            let cells = line.split(|found| found == separator);
            cells.map(|cell| text(cell).map_or(Cow::Borrowed(cell), Cow::Owned)).collect()
        };
        // R writes row names in a column that has no name.
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

/// Returns the text of a quoted cell, or `None`. Quotes within the text are doubled, or escaped by a backslash in
/// files from R. IMDb's own files have only quotes that belong to the text. So without a quoted header, a cell is
/// quoted only if it contains doubled quotes.
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

/// Splits a line at its unquoted commas (RFC 4180).
fn split_quoted<'a>(line: &[u8]) -> Result<Vec<Cow<'a, [u8]>>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).buffer_capacity(line.len()).from_reader(line);
    let record = reader.byte_records().next().transpose().map_err(|error| error.to_string())?;
    Ok(record.iter().flatten().map(|cell| Cow::Owned(cell.to_vec())).collect())
}

/// Reads a table, and passes these columns of each row to `take`. In a table without an optional column, the cells of
/// the column are empty. `take` returns a movie, `None` to skip the row, or the reason for which the row is invalid.
///
/// # Errors
///
/// A file that is unreadable or lacks a required column, or an error of `rows`.
pub(super) fn read<const N: usize, const M: usize>(
    source: Source,
    required: [&'static str; N],
    optional: [&'static str; M],
    rows: Rows<'_>,
    mut take: impl FnMut([Cell<'_>; N], [Cell<'_>; M]) -> Result<Option<Movie>, String>,
) -> anyhow::Result<()> {
    let file = source.name.clone();
    let mut lines = Lines::of(source);
    let header = Header::of(lines.next()?.and_then(|line| line.text.ok()).unwrap_or_default());
    let find = |name: &str| header.columns.iter().position(|column| column == name.as_bytes());
    let mut required_indices = [0; N];
    for (index, name) in required_indices.iter_mut().zip(required) {
        *index = find(name).with_context(|| format!("the header of {file} has no column `{name}`"))?;
    }
    let optional_indices = optional.map(find);
    while let Some(Line { number, text }) = lines.next()? {
        let movie = text.and_then(|text| header.cells(text)).and_then(|cells| {
            let required = array::from_fn(|column| Cell {
                name: required[column],
                bytes: &cells[required_indices[column]],
            });
            let optional = array::from_fn(|column| Cell {
                name: optional[column],
                bytes: optional_indices[column].map_or(&[], |index| &cells[index]),
            });
            take(required, optional)
        });
        if let Some(movie) = movie.transpose() {
            rows(Row::Movie { at: FilePosition { file: file.clone(), line: number }, movie })?;
        }
    }
    Ok(())
}

/// Reads a related table. `take` returns the reason for which a row is invalid.
///
/// # Errors
///
/// The same as [`read`].
pub(super) fn read_related<const N: usize, const M: usize>(
    source: Source,
    required: [&'static str; N],
    optional: [&'static str; M],
    rows: Rows<'_>,
    mut take: impl FnMut([Cell<'_>; N], [Cell<'_>; M]) -> Result<(), String>,
) -> anyhow::Result<()> {
    let rows = &mut |row| {
        rows(if let Row::Movie { at, movie: Err(reason) } = row { Row::Related { at, reason } } else { row })
    };
    read(source, required, optional, rows, |required, optional| take(required, optional).map(|()| None))
}
