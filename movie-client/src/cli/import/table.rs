//! Tables of text: a first line that names the columns, and a row a line.

use std::str::FromStr;
use std::{array, str};

use anyhow::Context;
use csv::{ByteRecord, ReaderBuilder};

use super::source::{Line, Lines, Place, Source};
use super::{Row, Rows};
use crate::Movie;

/// What separates the cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// A tab; there are no quotes.
    Tab,
    /// A comma; a cell may be in double quotes (RFC 4180), but never has a line break in it: a quote that is not closed
    /// spoils its row, not the rest of the file.
    Comma,
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

    /// Returns the number, or what is wrong with it.
    pub(super) fn number<T: FromStr>(self) -> Result<T, String> {
        self.parsed("a number", |text| text.parse().ok())
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

/// Reads a table, and passes these columns of each row to `take`, which returns a movie, nothing, or what is wrong.
///
/// # Errors
///
/// If the file cannot be read or does not have the columns, and what `rows` returns.
pub(super) fn read<const N: usize>(
    source: Source,
    separator: Separator,
    names: [&'static str; N],
    rows: Rows<'_>,
    mut take: impl FnMut([Cell<'_>; N]) -> Result<Option<Movie>, String>,
) -> anyhow::Result<()> {
    let file = source.name.clone();
    let mut lines = Lines::of(source);
    let header = lines.next()?.and_then(|line| line.text.ok()).unwrap_or_default();
    let byte = if separator == Separator::Tab { b'\t' } else { b',' };
    let columns: Vec<_> = header.split(|found| *found == byte).map(<[u8]>::to_vec).collect();
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(names) {
        let found = columns.iter().position(|column| column == name.as_bytes());
        *place = found.with_context(|| format!("the first line of {file} names no column `{name}`"))?;
    }
    let mut record = ByteRecord::new();
    while let Some(Line { number, text }) = lines.next()? {
        let cells = text.and_then(|text| {
            let mut found = [&[][..]; N];
            let mut count = 0;
            let mut cell = |bytes| {
                if let Some(index) = places.iter().position(|place| *place == count) {
                    found[index] = bytes;
                }
                count += 1;
            };
            if separator == Separator::Comma && text.contains(&b'"') {
                unquote(text, &mut record)?;
                record.iter().for_each(&mut cell);
            } else {
                text.split(|found| *found == byte).for_each(&mut cell);
            }
            if count != columns.len() {
                return Err(format!("{count} columns, expected {}", columns.len()));
            }
            Ok(array::from_fn(|index| Cell { name: names[index], bytes: found[index] }))
        });
        let movie = cells.and_then(&mut take).transpose();
        if let Some(movie) = movie {
            rows(Row::Line { at: Place { file: file.clone(), line: number }, movie })?;
        }
    }
    Ok(())
}

/// Splits a line that has quotes.
fn unquote(line: &[u8], record: &mut ByteRecord) -> Result<(), String> {
    let mut reader = ReaderBuilder::new().has_headers(false).buffer_capacity(line.len()).from_reader(line);
    match reader.read_byte_record(record) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
