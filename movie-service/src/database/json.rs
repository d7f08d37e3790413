//! Loads a JSON database: `{"movies": [{"id": …, "title": …, "rating": …, "director": …}, …]}`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::{mem, thread};

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};

use super::window::{Lend, Position, Window, WindowError};
use crate::catalogue::{Builder, Draft, Facts, Movie, NotAdded, Quoted, Snapshot};

/// How much of the file is in memory at a time: little enough for the processor's cache.
const WINDOW: usize = 256 * 1024;

/// How many batches of encoded movies may wait to be indexed: as many as fill one of the catalogue's blocks, since
/// they are indexed a block at a time and the reader would stand still for that long.
const WAITING: usize = 64;

/// Why a database could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not a database.
    #[error("{path}:{at}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        at: Position,
        /// Which movie, what was found and what was expected.
        message: String,
    },
}

/// Loads the movies of a JSON file, reading it piece by piece.
///
/// # Errors
///
/// [`LoadError`] if the file cannot be read, or is not a database.
pub fn load(path: &Path) -> Result<Snapshot, LoadError> {
    let file = File::open(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    load_from(file, length, path)
}

/// Loads the movies of a JSON text of about `length` bytes, reading it piece by piece; `path` names it in errors.
///
/// # Errors
///
/// [`LoadError`] if the text cannot be read, or is not a database.
pub fn load_from(source: impl Read, length: u64, path: &Path) -> Result<Snapshot, LoadError> {
    read(Window::new(source, WINDOW), length).map_err(|error| match error {
        WindowError::Read(source) => LoadError::Read { path: path.to_owned(), source },
        WindowError::Json { at, message } => LoadError::Invalid { path: path.to_owned(), at, message },
    })
}

/// Reads a database of about `length` bytes.
fn read(mut window: Window<impl Read>, length: u64) -> Result<Snapshot, WindowError> {
    let mut movies = None;
    window.skip(b"\xef\xbb\xbf")?; // the byte order mark that some editors write
    expect(&mut window, b'{', "`{\"movies\": [...]}`")?;
    let mut more = !next_is(&mut window, b'}')?;
    while more {
        if window.peek()? != Some(b'"') {
            return Err(window.unexpected("a key in double quotes"));
        }
        let key: String = window.take_owned()?;
        expect(&mut window, b':', "`:`")?;
        if key != "movies" {
            window.take_owned::<IgnoredAny>()?;
        } else if movies.is_none() {
            movies = Some(list(&mut window, length)?);
        } else {
            window.peek()?;
            return Err(window.unexpected("one list `movies`, not a second"));
        }
        more = another(&mut window, b'}')?;
    }
    if window.peek()?.is_some() {
        return Err(window.unexpected("the end of the file"));
    }
    movies.ok_or_else(|| window.unexpected("a list `movies` in the object: `{\"movies\": [...]}`"))
}

/// Takes the list of movies. This thread reads and encodes, another one indexes what is encoded.
fn list<R: Read>(window: &mut Window<R>, length: u64) -> Result<Snapshot, WindowError> {
    let (batches, received) = mpsc::sync_channel(WAITING);
    thread::scope(|scope| {
        let indexing =
            thread::Builder::new().spawn_scoped(scope, || index(received)).map_err(WindowError::Read)?;
        let encoded = encode(window, length, &batches);
        drop(batches);
        // What is wrong with the movies that were encoded comes before what ended that.
        let indexed = indexing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        encoded.map(|()| indexed)
    })
}

/// Some movies, encoded.
struct Batch {
    draft: Draft,
    /// Where in the file each movie starts.
    starts: Vec<Position>,
    /// How many movies to expect in all.
    expected: usize,
}

/// Sends the movies of the list in batches, until the list ends or nobody receives them.
fn encode<R: Read>(
    window: &mut Window<R>,
    length: u64,
    batches: &mpsc::SyncSender<Batch>,
) -> Result<(), WindowError> {
    expect(window, b'[', "a list of movies: `[`")?;
    let (mut draft, mut starts) = (Draft::default(), Vec::new());
    let encoded = encode_movies(window, length, batches, &mut draft, &mut starts);
    // After an error, too, so that what is wrong with the movies before it is found. If nobody receives this, the
    // other thread says why.
    let _ = batches.send(Batch { draft, starts, expected: 0 });
    encoded
}

fn encode_movies<R: Read>(
    window: &mut Window<R>,
    length: u64,
    batches: &mpsc::SyncSender<Batch>,
    draft: &mut Draft,
    starts: &mut Vec<Position>,
) -> Result<(), WindowError> {
    let (mut number, mut details) = (0_u64, Vec::new());
    let mut more = !next_is(window, b']')?;
    while more {
        if window.peek()? != Some(b'{') {
            let error = window.unexpected("a movie: `{...}`");
            return Err(name_movie(error, number + 1, window));
        }
        let start = window.position();
        let pushed = window.take::<Entry<'_>, _>(|entry| {
            draft.push(&entry.movie(&mut details)).map_err(|error| error.to_string())
        });
        if let Some(full) = pushed.map_err(|error| name_movie(error, number + 1, window))? {
            // The rest of the file is like its start. If it is not, the memory for movies that never come is bounded.
            let expected = number.saturating_mul(length) / window.passed().max(1);
            let expected = usize::try_from(expected.min(64 * number)).unwrap_or_default();
            let batch = Batch { draft: full, starts: mem::take(starts), expected };
            if batches.send(batch).is_err() {
                return Ok(());
            }
        }
        starts.push(start);
        number += 1;
        more = another(window, b']')?;
    }
    Ok(())
}

/// Makes a snapshot of the movies of all batches.
fn index(batches: mpsc::Receiver<Batch>) -> Result<Snapshot, WindowError> {
    let (mut movies, mut reserved) = (Builder::default(), 0);
    // Where the movies start that the builder has not called good yet.
    let (mut starts, mut good) = (VecDeque::new(), 0);
    let name = |(number, error): NotAdded, starts: &VecDeque<Position>, good: usize| {
        let message = format!("movie {}: {error}", number + 1);
        WindowError::Json { at: starts[number - good], message }
    };
    for batch in batches {
        // Tables that grow one step after the other cost more.
        if batch.expected > reserved {
            reserved = batch.expected;
            movies.reserve(reserved);
        }
        starts.extend(batch.starts);
        movies.push(&batch.draft).map_err(|error| name(error, &starts, good))?;
        starts.drain(..movies.len() - good);
        good = movies.len();
    }
    movies.finish().map_err(|error| name(error, &starts, good))
}

/// Takes `byte`, or fails with what was `expected`.
fn expect<R: Read>(window: &mut Window<R>, byte: u8, expected: &str) -> Result<(), WindowError> {
    if next_is(window, byte)? { Ok(()) } else { Err(window.unexpected(expected)) }
}

/// Takes the comma before another item, or the `end` of the items.
fn another<R: Read>(window: &mut Window<R>, end: u8) -> Result<bool, WindowError> {
    if next_is(window, b',')? {
        return Ok(true);
    }
    expect(window, end, &format!("`,` or `{}`", char::from(end))).map(|()| false)
}

/// Takes `byte` if it is next.
fn next_is<R: Read>(window: &mut Window<R>, byte: u8) -> Result<bool, WindowError> {
    let is_next = window.peek()? == Some(byte);
    if is_next {
        window.take_byte();
    }
    Ok(is_next)
}

/// Adds to an error which movie it is about: its number in the list and, if that can be read, its id or title.
fn name_movie<R: Read>(error: WindowError, number: u64, window: &mut Window<R>) -> WindowError {
    let WindowError::Json { at, message } = error else { return error };
    let Names { id, title } = window.take_owned().unwrap_or_default();
    let name = [("id", id), ("title", title)].into_iter().find_map(|(key, value)| {
        let text = value.as_str().filter(|text| !text.is_empty())?;
        Some(format!(" ({key} `{}`)", Quoted(text)))
    });
    let message = format!("movie {number}{}: {}", name.unwrap_or_default(), shortened(&message, 300));
    WindowError::Json { at, message }
}

fn shortened(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What a movie may be called in an error, whatever else is wrong with it.
#[derive(Default, Deserialize)]
struct Names {
    #[serde(default)]
    id: serde_json::Value,
    #[serde(default)]
    title: serde_json::Value,
}

/// A movie in the file. Keys that are not here are passed over.
#[derive(Deserialize)]
#[serde(expecting = "a movie: `{...}`")]
struct Entry<'a> {
    #[serde(default, borrow, deserialize_with = "title")]
    title: Cow<'a, str>,
    #[serde(default, deserialize_with = "rating")]
    rating: Option<f32>,
    #[serde(default, borrow, deserialize_with = "director")]
    director: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "id")]
    id: Cow<'a, str>,
    #[serde(default, deserialize_with = "year")]
    year: u32,
    #[serde(default, borrow, deserialize_with = "genres")]
    genres: Vec<Cow<'a, str>>,
    #[serde(default, deserialize_with = "runtime_minutes")]
    runtime_minutes: u32,
    #[serde(default, borrow, deserialize_with = "countries")]
    countries: Vec<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "languages")]
    languages: Vec<Cow<'a, str>>,
}

impl Entry<'_> {
    /// Returns the movie, and leaves in `buffer` what is encoded of it.
    fn movie<'a>(&'a self, buffer: &'a mut Vec<u8>) -> Movie<'a> {
        let Self { title, rating, director, id, year, genres, runtime_minutes, countries, languages } = self;
        buffer.clear();
        let facts = Facts {
            is_rated_zero: *rating == Some(0.0),
            year: *year,
            genres,
            runtime_minutes: *runtime_minutes,
            countries,
            languages,
        };
        facts.encode(buffer);
        Movie { title, rating: rating.unwrap_or_default(), director, id, details: buffer }
    }
}

impl Lend for Entry<'_> {
    type Lent<'a> = Entry<'a>;
}

fn title<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_str(Text("title"))
}

fn director<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_str(Text("director"))
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    deserializer.deserialize_str(Text("id"))
}

fn rating<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    deserializer.deserialize_any(Rating).map(Some)
}

fn year<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number { key: "year", least: 1870, most: 2200 })
}

fn runtime_minutes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Number { key: "runtime_minutes", least: 1, most: 100_000 })
}

fn genres<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("genres"))
}

fn countries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("countries"))
}

fn languages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(Words("languages"))
}

/// Reads a string, borrowed where JSON needs no unescaping; holds the key, for errors.
struct Text(&'static str);

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a string", self.0)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads a rating.
struct Rating;

impl Visitor<'_> for Rating {
    type Value = f32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`rating` to be a number from 0 to 10")
    }

    fn visit_f64<E: Error>(self, rating: f64) -> Result<f32, E> {
        if (0.0..=10.0).contains(&rating) {
            #[expect(clippy::cast_possible_truncation, reason = "the contract's rating is a float")]
            Ok(rating as f32)
        } else {
            Err(E::invalid_value(Unexpected::Float(rating), &self))
        }
    }

    fn visit_u64<E: Error>(self, rating: u64) -> Result<f32, E> {
        u8::try_from(rating)
            .ok()
            .filter(|rating| *rating <= 10)
            .map(f32::from)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(rating), &self))
    }

    fn visit_i64<E: Error>(self, rating: i64) -> Result<f32, E> {
        Err(E::invalid_value(Unexpected::Signed(rating), &self))
    }
}

/// Reads a whole number; 0 and null stand for one that is not known.
struct Number {
    key: &'static str,
    least: u64,
    most: u64,
}

impl Visitor<'_> for Number {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a whole number from {} to {}, or none", self.key, self.least, self.most)
    }

    fn visit_unit<E: Error>(self) -> Result<u32, E> {
        Ok(0)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        let fits = number == 0 || (self.least..=self.most).contains(&number);
        let known = u32::try_from(number).ok().filter(|_| fits);
        known.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }
}

/// Reads a list of strings; null stands for none.
struct Words(&'static str);

impl<'de> Visitor<'de> for Words {
    type Value = Vec<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` to be a list of strings", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut words = Vec::with_capacity(list.size_hint().unwrap_or(4));
        while let Some(Word(word)) = list.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

/// A string in a list, borrowed where JSON needs no unescaping.
#[derive(Deserialize)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
