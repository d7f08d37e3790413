//! JSON: one document, or one document per line.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::mem;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::movie_json::MovieJson;
use super::{OutputOptions, Print, Property, Row};
use crate::error::is_terminal_unsafe;
use crate::{Change, Event, Facet, FacetValue, Highlight, Hit, Movie};

pub(super) struct Json<W: Write> {
    out: W,
    is_on_terminal: bool,
    /// Whether all rows form one document, an array.
    is_document: bool,
    /// Whether an array has been started and not ended.
    has_rows: bool,
    /// Reused buffer for a row, so that `out` is called once per row.
    row: Vec<u8>,
}

impl<W: Write> Json<W> {
    pub(super) fn document(out: W, options: &OutputOptions) -> Self {
        Self::new(out, options, true)
    }

    pub(super) fn lines(out: W, options: &OutputOptions) -> Self {
        Self::new(out, options, false)
    }

    fn new(out: W, options: &OutputOptions, is_document: bool) -> Self {
        let is_on_terminal = options.is_on_terminal();
        Self { out, is_on_terminal, is_document, has_rows: false, row: Vec::new() }
    }

    fn whole(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.row.clear();
        serde_json::to_writer(&mut self.row, value)?;
        self.row.push(b'\n');
        self.write()
    }

    /// Writes the buffer `row`.
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
        self.whole(&MovieJson::of(movie))
    }

    fn properties(&mut self, properties: &[(&'static str, Property)]) -> io::Result<()> {
        self.whole(&Properties(properties))
    }

    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.row.clear();
        if self.is_document {
            self.row.extend_from_slice(if self.has_rows { b",\n" } else { b"[\n" });
        }
        serde_json::to_writer(&mut self.row, &RowJson::of(row))?;
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
    /// Ends a document after an error or an interruption, so that the output is valid JSON.
    fn drop(&mut self) {
        if self.is_document && self.has_rows {
            let _ = self.end();
        }
    }
}

/// Escapes the characters that a terminal may interpret and JSON allows. They occur in strings only.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_terminal_unsafe(character) && character != '\n' {
            // Writing to a string cannot fail. All these characters are in the Basic Multilingual Plane, so four
            // digits suffice.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// JSON representation of a row.
#[derive(Serialize)]
#[serde(untagged)]
enum RowJson<'a> {
    Movie(MovieJson<'a>),
    Lookup {
        id: &'a str,
        movie: Option<MovieJson<'a>>,
    },
    Hit {
        movie: MovieJson<'a>,
        highlights: &'a [Highlight],
    },
    Facet {
        facet: &'a str,
        values: &'a [FacetValue],
    },
    Change {
        revision: u64,
        #[serde(flatten)]
        event: EventJson<'a>,
        #[serde(skip_serializing_if = "str::is_empty")]
        resume_token: &'a str,
    },
}

/// JSON representation of an event.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum EventJson<'a> {
    Upserted(MovieJson<'a>),
    DeletedId(&'a str),
    CaughtUp(bool),
}

impl<'a> RowJson<'a> {
    fn of(row: Row<'a>) -> Self {
        match row {
            Row::Movie(movie) => Self::Movie(MovieJson::of(movie)),
            Row::Lookup { id, movie } => Self::Lookup { id, movie: movie.map(MovieJson::of) },
            Row::Hit(Hit { movie, highlights }) => Self::Hit { movie: MovieJson::of(movie), highlights },
            Row::Facet(Facet { field, values }) => Self::Facet { facet: field, values },
            Row::Change(&Change { revision, ref event, ref resume_token }) => {
                let event = match event {
                    Event::Upserted(movie) => EventJson::Upserted(MovieJson::of(movie)),
                    Event::Deleted(id) => EventJson::DeletedId(id),
                    Event::CaughtUp => EventJson::CaughtUp(true),
                };
                Self::Change { revision, event, resume_token }
            }
        }
    }
}

impl Serialize for Highlight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Highlight", 3)?;
        fields.serialize_field("field", &self.field)?;
        fields.serialize_field("index", &self.index)?;
        // As `{"start":…,"end":…}`.
        fields.serialize_field("ranges", &self.ranges)?;
        fields.end()
    }
}

impl Serialize for FacetValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("FacetValue", 2)?;
        fields.serialize_field("value", &self.value)?;
        fields.serialize_field("count", &self.count)?;
        fields.end()
    }
}

struct Properties<'a>(&'a [(&'static str, Property)]);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Bool(value) => serializer.serialize_bool(*value),
        }
    }
}
