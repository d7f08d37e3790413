//! Movies as JSON: a database, which is one document, and ndjson, an object a line.
//!
//! The keys are those that `databases/README.md` lists. Others are passed over, so what `list` and `get` print can be
//! imported: the service sets times and etags anew.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use anyhow::anyhow;
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Value};

use super::source::{LONGEST, Line, Lines, Place, Source};
use super::{Row, Rows};
use crate::Movie;

/// Reads a document, `{"movies": [{…}, …]}` or only the list, movie by movie. A movie that is wrong is a row that is
/// wrong.
///
/// # Errors
///
/// If the file cannot be read or is not such a document, with line and column, and what `rows` returns.
pub(super) fn document(source: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let file = source.name.clone();
    let progress = Progress { line: Cell::new(1), left: Cell::new(ANY) };
    let mut json = serde_json::Deserializer::from_reader(Counted(source.into_text(), &progress));
    let mut stopped = None;
    let take = &mut |line, movie| {
        rows(Row::Line { at: Place { file: file.clone(), line }, movie })
            .map_err(|error| stopped = Some(error))
            .is_ok()
    };
    let movies = Movies { is_document: true, progress: &progress, take };
    let read = movies.deserialize(&mut json).and_then(|()| json.end());
    match (stopped, read) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => Err(anyhow::Error::new(io::Error::from(error))
            .context(format!("cannot read {file} at line {}", progress.line.get()))),
        (None, Err(error)) => {
            Err(anyhow!("{file}:{}:{}: {}", error.line(), error.column(), without_place(&error)))
        }
    }
}

/// Reads an object a line. Blank lines are passed over.
///
/// # Errors
///
/// If the file cannot be read, and what `rows` returns.
pub(super) fn lines(source: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let file = source.name.clone();
    let mut lines = Lines::of(source);
    while let Some(Line { number, text }) = lines.next()? {
        if text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty()) {
            continue;
        }
        let object = text.and_then(|text| {
            let object = serde_json::from_slice::<Value>(text);
            object.map_err(|error| format!("{} at column {}", without_place(&error), error.column()))
        });
        rows(Row::Line { at: Place { file: file.clone(), line: number }, movie: object.and_then(movie) })?;
    }
    Ok(())
}

/// Makes a movie of its JSON, or says what is wrong with it.
fn movie(json: Value) -> Result<Movie, String> {
    let Value::Object(mut keys) = json else { return Err("expected a movie: `{…}`".to_owned()) };
    Ok(Movie {
        title: take(&mut keys, "title", "a string")?.unwrap_or_default(),
        rating: take(&mut keys, "rating", "a number")?,
        director: take(&mut keys, "director", "a string")?.unwrap_or_default(),
        id: take(&mut keys, "id", "a string")?.unwrap_or_default(),
        year: take(&mut keys, "year", "a whole number")?,
        genres: take(&mut keys, "genres", "a list of strings")?.unwrap_or_default(),
        runtime_minutes: take(&mut keys, "runtime_minutes", "a whole number")?,
        countries: take(&mut keys, "countries", "a list of strings")?.unwrap_or_default(),
        languages: take(&mut keys, "languages", "a list of strings")?.unwrap_or_default(),
        ..Movie::default()
    })
}

/// Takes the value of a key; `None` if it is missing or null.
fn take<T: DeserializeOwned>(
    keys: &mut Map<String, Value>,
    key: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    let value = keys.remove(key).unwrap_or_default();
    serde_json::from_value(value).map_err(|_| format!("expected `{key}` to be {expected}"))
}

/// What `serde_json` says, without where.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// How far a text is read.
struct Progress {
    /// The line, from 1.
    line: Cell<u64>,
    /// How many bytes may follow of what is kept in memory: a key, or a movie.
    left: Cell<usize>,
}

/// What is not kept may be of any length.
const ANY: usize = usize::MAX;

/// Counts the lines and the bytes of a text as it is read. `serde_json` reads byte by byte, so the count is that of what
/// it looks at.
struct Counted<'a, R>(R, &'a Progress);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(text, Progress { line, left }) = self;
        let read = text.read(buffer)?;
        let ends = buffer[..read].split(|byte| *byte == b'\n').count() - 1;
        line.set(line.get() + ends as u64);
        if left.get() != ANY {
            let error = || io::Error::other(format!("a movie has more than {LONGEST} bytes"));
            left.set(left.get().checked_sub(read).ok_or_else(error)?);
        }
        Ok(read)
    }
}

/// Reads the list of movies, or the document that it is in, and passes each movie on with the line where it begins,
/// until that is not wanted any more.
struct Movies<'a, F> {
    is_document: bool,
    progress: &'a Progress,
    take: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<Movie, String>) -> bool> DeserializeSeed<'de> for Movies<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, F: FnMut(u64, Result<Movie, String>) -> bool> Visitor<'de> for Movies<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_document { "`{\"movies\": […]}`" } else { "a list of movies: `[…]`" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<(), A::Error> {
        let Self { is_document, progress, take } = self;
        if !is_document {
            return Err(Error::invalid_type(Unexpected::Map, &Movies { is_document, progress, take }));
        }
        let mut has_movies = false;
        loop {
            progress.left.set(LONGEST);
            let key = keys.next_key::<String>()?;
            progress.left.set(ANY);
            let Some(key) = key else { break };
            if key == "movies" {
                has_movies = true;
                keys.next_value_seed(Movies { is_document: false, progress, take: &mut *take })?;
            } else {
                keys.next_value::<IgnoredAny>()?;
            }
        }
        if has_movies { Ok(()) } else { Err(Error::missing_field("movies")) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(OneMovie { progress: self.progress, take: &mut *self.take })?.is_some() {
        }
        Ok(())
    }
}

/// Reads one movie of the list.
struct OneMovie<'a, F> {
    progress: &'a Progress,
    take: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<Movie, String>) -> bool> DeserializeSeed<'de> for OneMovie<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // serde_json has looked at the first byte of the movie, and no further.
        let line = self.progress.line.get();
        self.progress.left.set(LONGEST);
        let json = Value::deserialize(json)?;
        self.progress.left.set(ANY);
        if (self.take)(line, movie(json)) { Ok(()) } else { Err(Error::custom("not wanted any more")) }
    }
}
