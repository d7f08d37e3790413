//! Movies as JSON: a sequence of documents, or ndjson with one object per line.
//!
//! `databases/README.md` lists the keys. Other keys are ignored, so that the output of `list` and `get` can be
//! imported: the service sets times and etags anew.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use anyhow::anyhow;
use serde::de::{Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::{Map, Value};

use super::source::{FilePosition, Line, Lines, MAX_RECORD_BYTES, Source};
use super::{Row, Rows, table};
use crate::Movie;
use crate::movie::{SET_BY_SERVICE, ValueMut};

/// Reads a sequence of documents, movie by movie. A document is a database, `{"movies": [{…}, …]}`, a list of movies,
/// or a movie. An invalid movie is an invalid row.
///
/// # Errors
///
/// An unreadable file, invalid JSON with its line and column, or an error of `rows`.
pub(super) fn documents(source: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let file = source.name.clone();
    let progress = Progress { line: Cell::new(1), bytes_left: Cell::new(UNLIMITED_BYTES) };
    let mut json = serde_json::Deserializer::from_reader(CountingReader(source.into_text(), &progress));
    let mut stopped = None;
    let take = &mut |line, movie| {
        rows(Row::Movie { at: FilePosition { file: file.clone(), line }, movie })
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
            Err(anyhow!("{file}:{}:{}: {}", error.line(), error.column(), without_position(&error)))
        }
    }
}

/// Reads one object per line. Blank lines are skipped.
///
/// # Errors
///
/// An unreadable file, or an error of `rows`.
pub(super) fn lines(source: Source, rows: Rows<'_>) -> anyhow::Result<()> {
    let file = source.name.clone();
    let mut lines = Lines::of(source);
    while let Some(Line { number, text }) = lines.next()? {
        if text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty()) {
            continue;
        }
        let object = text.and_then(|text| {
            let object = serde_json::from_slice::<Value>(text);
            object.map_err(|error| format!("{} at column {}", without_position(&error), error.column()))
        });
        let movie = object.and_then(keys).and_then(movie);
        rows(Row::Movie { at: FilePosition { file: file.clone(), line: number }, movie })?;
    }
    Ok(())
}

/// Returns the members of an object.
fn keys(json: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(keys) = json else { return Err("expected a movie: `{…}`".to_owned()) };
    Ok(keys)
}

/// Returns whether an object with this key is a movie. Keys of fields that the service sets are ignored.
fn is_movie_key(key: &str) -> bool {
    !SET_BY_SERVICE.contains(&key) && Movie::default().fields().any(|(name, _)| name == key)
}

/// Converts the members of an object to a movie.
fn movie(mut keys: Map<String, Value>) -> Result<Movie, String> {
    let mut movie = Movie::default();
    for (name, value) in movie.fields_mut().filter(|(name, _)| !SET_BY_SERVICE.contains(name)) {
        let keys = &mut keys;
        match value {
            ValueMut::Text(text) if name == "id" => set(text, keys, name, "a string or a whole number", id)?,
            ValueMut::Text(text) => set(text, keys, name, "a string", any)?,
            ValueMut::Rating(rating) => set(rating, keys, name, "a number", any)?,
            ValueMut::Number(number) => {
                set(number, keys, name, "a whole number", |value| whole(value).map(Some))?;
            }
            ValueMut::Count(count) => {
                set(count, keys, name, "a whole number", |value| whole(value).map(Some))?;
            }
            ValueMut::List(list) => set(list, keys, name, "a list of strings", any)?,
            ValueMut::Time(_) => {}
        }
    }
    Ok(movie)
}

/// Takes the value of a key, and sets a field to what `read` makes of it. A missing key or null changes nothing.
fn set<T>(
    field: &mut T,
    keys: &mut Map<String, Value>,
    key: &str,
    expected: &str,
    read: impl FnOnce(Value) -> Option<T>,
) -> Result<(), String> {
    match keys.remove(key) {
        None | Some(Value::Null) => {}
        Some(value) => *field = read(value).ok_or_else(|| format!("expected `{key}` to be {expected}"))?,
    }
    Ok(())
}

fn any<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// Converts an id. A whole number, also one written as `603.0`, becomes its decimal text.
fn id(value: Value) -> Option<String> {
    let Some(number) = value.as_number() else { return any(value) };
    if !number.is_f64() {
        return Some(number.to_string());
    }
    let id = number.as_f64().filter(|id| id.fract() == 0.0 && id.abs() <= MAX_EXACT_INTEGER)?;
    // `-0.0 + 0.0` is `0.0`, so that its id is `0`.
    Some(format!("{:.0}", id + 0.0))
}

/// Largest float up to which all whole numbers are exact: 2^53.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Converts a whole number, which may be written as `1894.0`.
#[expect(clippy::needless_pass_by_value, reason = "as the others take it")]
fn whole<T: FromStr>(value: Value) -> Option<T> {
    value.as_number().and_then(|number| table::whole(&number.to_string()))
}

/// Returns the message of `serde_json` without its position.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// Reading position in a text.
struct Progress {
    /// Current line, from 1.
    line: Cell<u64>,
    /// Bytes that the current key or movie may still have, because it is kept in memory.
    bytes_left: Cell<usize>,
}

/// Limit for values that are skipped.
const UNLIMITED_BYTES: usize = usize::MAX;

impl Progress {
    /// Reads a value that is kept in memory.
    fn bounded<T>(&self, read: impl FnOnce() -> T) -> T {
        self.bytes_left.set(MAX_RECORD_BYTES);
        let value = read();
        self.bytes_left.set(UNLIMITED_BYTES);
        value
    }
}

/// Counts the lines and the bytes of a text. `serde_json` reads byte by byte, so the counts match its position.
struct CountingReader<'a, R>(R, &'a Progress);

impl<R: Read> Read for CountingReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self(text, Progress { line, bytes_left }) = self;
        let read = text.read(buffer)?;
        let ends = buffer[..read].split(|byte| *byte == b'\n').count() - 1;
        line.set(line.get() + ends as u64);
        if bytes_left.get() != UNLIMITED_BYTES {
            let error = || io::Error::other(format!("a movie has more than {MAX_RECORD_BYTES} bytes"));
            bytes_left.set(bytes_left.get().checked_sub(read).ok_or_else(error)?);
        }
        Ok(read)
    }
}

/// Error for an object that is neither a movie nor a database.
const NOT_A_DOCUMENT: &str =
    "neither a movie, `{\"id\": …, \"title\": …}`, nor a database, `{\"movies\": […]}`";

/// Deserialises a document, or the list of movies in one. Delivers each movie with its first line, until `take`
/// returns `false`.
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
            } else if is_movie_key(&key) {
                found.insert(key, progress.bounded(|| keys.next_value())?);
            } else {
                keys.next_value::<IgnoredAny>()?;
            }
        }
        match (has_movies, found.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::custom(NOT_A_DOCUMENT)),
            (false, false) => deliver(take, line, movie(found)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(MovieElement { progress: self.progress, take: &mut *self.take })?
            .is_some()
        {}
        Ok(())
    }
}

/// Deserialises one movie of a list.
struct MovieElement<'a, F> {
    progress: &'a Progress,
    take: &'a mut F,
}

impl<'de, F: FnMut(u64, Result<Movie, String>) -> bool> DeserializeSeed<'de> for MovieElement<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        // `serde_json` has read no further than the first byte of the movie.
        let line = self.progress.line.get();
        let json = self.progress.bounded(|| Value::deserialize(json))?;
        deliver(self.take, line, keys(json).and_then(movie))
    }
}

/// Delivers a movie, or fails if `take` returns `false`.
fn deliver<E: Error>(
    take: &mut impl FnMut(u64, Result<Movie, String>) -> bool,
    line: u64,
    movie: Result<Movie, String>,
) -> Result<(), E> {
    if take(line, movie) { Ok(()) } else { Err(Error::custom("the import has ended")) }
}
