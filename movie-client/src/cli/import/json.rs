//! Movies as JSON: documents, one after the other, and ndjson, an object a line.
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

use super::source::{FilePosition, LONGEST, Line, Lines, Source};
use super::{Row, Rows, table};
use crate::Movie;

/// Reads documents, one after the other, movie by movie: a database, `{"movies": [{…}, …]}`, a list of movies, or a movie.
/// A movie that is wrong is a row that is wrong.
///
/// # Errors
///
/// If the file cannot be read or is not such documents, with line and column, and what `rows` returns.
pub(super) fn documents(source: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let file = source.name.clone();
    let progress = Progress { line: Cell::new(1), left: Cell::new(ANY) };
    let mut json = serde_json::Deserializer::from_reader(Counted(source.into_text(), &progress));
    let mut stopped = None;
    let take = &mut |line, movie| {
        rows(Row::Line { at: FilePosition { file: file.clone(), line }, movie })
            .map_err(|error| stopped = Some(error))
            .is_ok()
    };
    let read = loop {
        match json.end() {
            Ok(()) => break Ok(()),
            Err(error) if error.is_io() => break Err(error),
            Err(_) => {} // Another document follows.
        }
        let movies = Movies { is_document: true, progress: &progress, take };
        if let Err(error) = movies.deserialize(&mut json) {
            break Err(error);
        }
    };
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
        let movie = object.and_then(keys).and_then(movie);
        rows(Row::Line { at: FilePosition { file: file.clone(), line: number }, movie })?;
    }
    Ok(())
}

/// Returns the keys of an object.
fn keys(json: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(keys) = json else { return Err("expected a movie: `{…}`".to_owned()) };
    Ok(keys)
}

/// The keys of a movie that are read.
const KEYS: [&str; 9] =
    ["title", "rating", "director", "id", "year", "genres", "runtime_minutes", "countries", "languages"];

/// Makes a movie of its keys, or says what is wrong with it.
fn movie(mut keys: Map<String, Value>) -> Result<Movie, String> {
    Ok(Movie {
        title: take(&mut keys, "title", "a string", any)?.unwrap_or_default(),
        rating: take(&mut keys, "rating", "a number", any)?,
        director: take(&mut keys, "director", "a string", any)?.unwrap_or_default(),
        id: take(&mut keys, "id", "a string or a whole number", id)?.unwrap_or_default(),
        year: take(&mut keys, "year", "a whole number", whole)?,
        genres: take(&mut keys, "genres", "a list of strings", any)?.unwrap_or_default(),
        runtime_minutes: take(&mut keys, "runtime_minutes", "a whole number", whole)?,
        countries: take(&mut keys, "countries", "a list of strings", any)?.unwrap_or_default(),
        languages: take(&mut keys, "languages", "a list of strings", any)?.unwrap_or_default(),
        ..Movie::default()
    })
}

/// Takes the value of a key with `read`; `None` if it is missing or null.
fn take<T>(
    keys: &mut Map<String, Value>,
    key: &str,
    expected: &str,
    read: impl FnOnce(Value) -> Option<T>,
) -> Result<Option<T>, String> {
    match keys.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| format!("expected `{key}` to be {expected}")),
    }
}

fn any<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// Reads an id. A whole number, also one written as `603.0`, stands for its decimal text.
fn id(value: Value) -> Option<String> {
    let Some(number) = value.as_number() else { return any(value) };
    if !number.is_f64() {
        return Some(number.to_string());
    }
    let id = number.as_f64().filter(|id| id.fract() == 0.0 && id.abs() <= MAX_EXACT)?;
    Some(format!("{id:.0}"))
}

/// The largest float up to which every whole number is one: 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Reads a whole number, which may be written as `1894.0`.
#[expect(clippy::needless_pass_by_value, reason = "as the others take it")]
fn whole(value: Value) -> Option<u32> {
    value.as_number().and_then(|number| table::whole(&number.to_string()))
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

impl Progress {
    /// Reads something that is kept in memory.
    fn bounded<T>(&self, read: impl FnOnce() -> T) -> T {
        self.left.set(LONGEST);
        let value = read();
        self.left.set(ANY);
        value
    }
}

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

/// What is said of an object that is no document.
const NEITHER: &str = "neither a movie, `{\"id\": …, \"title\": …}`, nor a database, `{\"movies\": […]}`";

/// Reads a document, or the list of movies in one, and passes each movie on with the line where it begins, until that is
/// not wanted any more.
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
        f.write_str(if self.is_document { "movies: `{…}` or `[…]`" } else { "a list of movies: `[…]`" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<(), A::Error> {
        let Self { is_document, progress, take } = self;
        if !is_document {
            return Err(Error::invalid_type(Unexpected::Map, &Movies { is_document, progress, take }));
        }
        let line = progress.line.get();
        let (mut found, mut has_movies) = (Map::new(), false);
        while let Some(key) = progress.bounded(|| keys.next_key::<String>())? {
            if key == "movies" {
                has_movies = true;
                keys.next_value_seed(Movies { is_document: false, progress, take: &mut *take })?;
            } else if KEYS.contains(&key.as_str()) {
                found.insert(key, progress.bounded(|| keys.next_value())?);
            } else {
                keys.next_value::<IgnoredAny>()?;
            }
        }
        match (has_movies, found.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::custom(NEITHER)),
            (false, false) => pass_on(take, line, movie(found)),
        }
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
        let json = self.progress.bounded(|| Value::deserialize(json))?;
        pass_on(self.take, line, keys(json).and_then(movie))
    }
}

/// Passes a movie on, or fails if it is not wanted any more.
fn pass_on<E: Error>(
    take: &mut impl FnMut(u64, Result<Movie, String>) -> bool,
    line: u64,
    movie: Result<Movie, String>,
) -> Result<(), E> {
    if take(line, movie) { Ok(()) } else { Err(Error::custom("not wanted any more")) }
}
