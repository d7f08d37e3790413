//! JSON: one document, or one a line.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::mem;

use serde::{Serialize, Serializer};

use super::entry::Entry;
use super::{Fact, Form, Print, Row};
use crate::error::moves;
use crate::{Change, Event, Movie};

pub(super) struct Json<W: Write> {
    out: W,
    is_on_terminal: bool,
    /// Whether all rows are one document, an array.
    is_document: bool,
    /// Whether there are rows that are not ended.
    has_rows: bool,
    /// One row, kept for its room: `out` is called once a row instead of once a quote, comma and brace.
    row: Vec<u8>,
}

impl<W: Write> Json<W> {
    pub(super) fn document(out: W, form: &Form) -> Self {
        Self::new(out, form, true)
    }

    pub(super) fn lines(out: W, form: &Form) -> Self {
        Self::new(out, form, false)
    }

    fn new(out: W, form: &Form, is_document: bool) -> Self {
        let is_on_terminal = form.is_on_terminal();
        Self { out, is_on_terminal, is_document, has_rows: false, row: Vec::new() }
    }

    fn whole(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.row.clear();
        serde_json::to_writer(&mut self.row, value)?;
        self.row.push(b'\n');
        self.write()
    }

    /// Writes what is in `row`.
    fn write(&mut self) -> io::Result<()> {
        if self.is_on_terminal
            && let Ok(text) = str::from_utf8(&self.row)
        {
            return self.out.write_all(escaped(text).as_bytes());
        }
        self.out.write_all(&self.row)
    }
}

impl<W: Write> Print for Json<W> {
    fn one(&mut self, movie: &Movie) -> io::Result<()> {
        self.whole(&Entry::of(movie))
    }

    fn facts(&mut self, facts: &[(&'static str, Fact)]) -> io::Result<()> {
        self.whole(&Facts(facts))
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.row.clear();
        if self.is_document {
            self.row.extend_from_slice(if self.has_rows { b",\n" } else { b"[\n" });
        }
        serde_json::to_writer(&mut self.row, &Item::of(row))?;
        if !self.is_document {
            self.row.push(b'\n');
        }
        self.has_rows = true;
        self.write()
    }

    fn end(&mut self) -> io::Result<()> {
        let had_rows = mem::take(&mut self.has_rows);
        match (self.is_document, had_rows) {
            (true, true) => self.out.write_all(b"\n]\n"),
            (true, false) => self.out.write_all(b"[]\n"),
            (false, _) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Json<W> {
    /// Ends a document that an error or an interruption cut short: what was printed is JSON.
    fn drop(&mut self) {
        if self.is_document && self.has_rows {
            let _ = self.end();
        }
    }
}

/// Escapes what a terminal may take for a command, and JSON lets stand. Such characters are only in strings.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if moves(character) && character != '\n' {
            // Writing to a string cannot fail. All of them are of the basic plane, so four digits do.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// A row, borrowed.
#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Movie(Entry<'a>),
    Found {
        id: &'a str,
        movie: Option<Entry<'a>>,
    },
    Change {
        revision: u64,
        #[serde(flatten)]
        event: Told<'a>,
        #[serde(skip_serializing_if = "str::is_empty")]
        resume_token: &'a str,
    },
}

/// What happened: its name, and to what.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Told<'a> {
    Upserted(Entry<'a>),
    DeletedId(&'a str),
    CaughtUp(bool),
}

impl<'a> Item<'a> {
    fn of(row: Row<'a>) -> Self {
        match row {
            Row::Movie(movie) => Self::Movie(Entry::of(movie)),
            Row::Found { id, movie } => Self::Found { id, movie: movie.map(Entry::of) },
            Row::Change(&Change { revision, ref event, ref resume_token }) => {
                let event = match event {
                    Event::Upserted(movie) => Told::Upserted(Entry::of(movie)),
                    Event::Deleted(id) => Told::DeletedId(id),
                    Event::CaughtUp => Told::CaughtUp(true),
                };
                Self::Change { revision, event, resume_token }
            }
        }
    }
}

struct Facts<'a>(&'a [(&'static str, Fact)]);

impl Serialize for Facts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, fact)| (name, fact)))
    }
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Bool(is_so) => serializer.serialize_bool(*is_so),
        }
    }
}
