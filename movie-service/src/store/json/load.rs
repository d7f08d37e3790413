//! Loads a JSON database: `{"movies": [{"id": …, "title": …, "rating": …, "director": …}, …]}`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::{mem, thread};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tracing::warn;

use crate::catalogue::{Builder, Draft, NotAdded, Snapshot};
use crate::movie::Field;
use crate::store::json::entry::{MovieReader, id_text};
use crate::store::json::window::{Position, Window, WindowError};
use crate::text::Escaped;

/// Size of the read window; small enough for the CPU cache.
const WINDOW_BYTES: usize = 256 * 1024;

/// Maximum number of encoded batches that wait to be indexed: enough for one block, because the reader would
/// otherwise stall while a block is indexed.
const MAX_PENDING_BATCHES: usize = 64;

/// Limit on the estimated number of movies, relative to the number read so far. It bounds the memory reserved for an
/// unusual file: about 16 bytes for each movie of the estimate.
const MAX_ESTIMATE_RATIO: u64 = 128;

/// Error of loading a database.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not a valid database.
    #[error("{path}:{at}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The position in the file.
        at: Position,
        /// Which movie, and everything that is invalid in it.
        message: String,
    },
}

/// Loads the movies of a JSON file, which may be a pipe, reading it piece by piece.
///
/// # Errors
///
/// [`LoadError`] if the file cannot be read, or is not a valid database.
pub fn load(path: &Path) -> Result<Snapshot, LoadError> {
    load_file(File::open(path), path)
}

/// Loads the movies of a JSON file that has been opened from `path`.
///
/// # Errors
///
/// [`LoadError`] if the file could not be opened or read, or is not a valid database.
pub(super) fn load_file(opened: io::Result<File>, path: &Path) -> Result<Snapshot, LoadError> {
    let file = opened.map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    load_from(file, length, path)
}

/// Loads the movies of a JSON text of about `length` bytes, reading it piece by piece. Errors contain `path`.
///
/// # Errors
///
/// [`LoadError`] if the text cannot be read, or is not a valid database.
pub fn load_from(source: impl Read, length: u64, path: &Path) -> Result<Snapshot, LoadError> {
    let warn = |at: Position, key: &str, field: Field| {
        let (path, line, key) = (path.display(), at.line, Escaped(key));
        warn!("{path}:{line}: the key `{key}` is unknown and ignored; `{}` is known", field.name());
    };
    read(Window::new(source, WINDOW_BYTES), length, &warn).map_err(|error| match error {
        WindowError::Read(source) => LoadError::Read { path: path.to_owned(), source },
        WindowError::Json { at, message } => LoadError::Invalid { path: path.to_owned(), at, message },
    })
}

/// Warns of a key of a movie, whose position is given, that resembles the key of a field. Called once for each key.
type Warn<'a> = &'a (dyn Fn(Position, &str, Field) + Sync);

/// Reads a database of about `length` bytes.
fn read(mut window: Window<impl Read>, length: u64, warn: Warn<'_>) -> Result<Snapshot, WindowError> {
    let (mut movies, mut misspelled) = (None, None);
    window.skip(b"\xef\xbb\xbf")?; // the byte order mark that some editors write
    expect(&mut window, b'{', "`{\"movies\": [...]}`")?;
    let mut more = !next_is(&mut window, b'}')?;
    while more {
        if window.peek()? != Some(b'"') {
            return Err(window.unexpected("a key in double quotes"));
        }
        let at = window.position();
        let key: String = window.take_owned()?;
        if ["movies", "movie"].iter().any(|known| key != "movies" && key.eq_ignore_ascii_case(known)) {
            misspelled = Some(WindowError::Json {
                at,
                message: format!("the key `{key}` is unknown; write `movies`"),
            });
        }
        expect(&mut window, b':', "`:`")?;
        if key != "movies" {
            window.take_owned::<IgnoredAny>()?;
        } else if movies.is_none() {
            movies = Some(list(&mut window, length, warn)?);
        } else {
            window.peek()?;
            return Err(window.unexpected("one list `movies`, not a second"));
        }
        more = another(&mut window, b'}')?;
    }
    if window.peek()?.is_some() {
        return Err(window.unexpected("the end of the file"));
    }
    let missing =
        |window: &mut Window<_>| window.unexpected("a list `movies` in the object: `{\"movies\": [...]}`");
    movies.ok_or_else(|| misspelled.unwrap_or_else(|| missing(&mut window)))
}

/// Takes the list of movies. This thread reads and encodes them, another one indexes them.
fn list<R: Read>(window: &mut Window<R>, length: u64, warn: Warn<'_>) -> Result<Snapshot, WindowError> {
    let (batches, received) = mpsc::sync_channel(MAX_PENDING_BATCHES);
    thread::scope(|scope| {
        let indexing =
            thread::Builder::new().spawn_scoped(scope, || index(received)).map_err(WindowError::Read)?;
        let encoded = encode(window, length, warn, &batches);
        drop(batches);
        // Report errors of earlier movies first.
        let indexed = indexing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        encoded.map(|()| indexed)
    })
}

/// A batch of encoded movies.
struct Batch {
    draft: Draft,
    /// The position of each movie in the file.
    starts: Vec<Position>,
    /// The estimated number of all movies.
    estimate: usize,
}

/// Sends the movies of the list in batches, until the list ends or the receiver is dropped.
fn encode<R: Read>(
    window: &mut Window<R>,
    length: u64,
    warn: Warn<'_>,
    batches: &mpsc::SyncSender<Batch>,
) -> Result<(), WindowError> {
    expect(window, b'[', "a list of movies: `[`")?;
    let (mut movies, mut starts) = (MovieReader::default(), Vec::new());
    let encoded = encode_movies(window, length, warn, batches, &mut movies, &mut starts);
    // Sent after an error, too, so that errors of earlier movies are found. If the receiver was dropped, the indexing
    // thread has failed and returns its error.
    let _ = batches.send(Batch { draft: movies.draft, starts, estimate: 0 });
    encoded
}

fn encode_movies<R: Read>(
    window: &mut Window<R>,
    length: u64,
    warn: Warn<'_>,
    batches: &mpsc::SyncSender<Batch>,
    movies: &mut MovieReader,
    starts: &mut Vec<Position>,
) -> Result<(), WindowError> {
    let mut number = 0_u64;
    let mut more = !next_is(window, b']')?;
    while more {
        if window.peek()? == Some(b']') {
            return Err(window.invalid("remove the comma before `]`: none follows the last movie".to_owned()));
        }
        if window.peek()? != Some(b'{') {
            let error = window.unexpected("a movie: `{...}`");
            return Err(name_movie(error, number + 1, window));
        }
        let start = window.position();
        let warned = movies.misspelled.len();
        let taken = window.take(movies);
        for (key, field) in &movies.misspelled[warned..] {
            warn(start, key, *field);
        }
        if let Some(full) = taken.map_err(|error| name_movie(error, number + 1, window))? {
            // Estimate: the rest of the file resembles its start.
            let estimate = number.saturating_mul(length) / window.passed().max(1);
            let estimate = usize::try_from(estimate.min(MAX_ESTIMATE_RATIO * number)).unwrap_or_default();
            let batch = Batch { draft: full, starts: mem::take(starts), estimate };
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
    // The positions of the movies that the builder has not validated yet.
    let (mut starts, mut validated) = (VecDeque::new(), 0);
    let name = |(number, error): NotAdded, starts: &VecDeque<Position>, validated: usize| {
        let message = format!("movie {}: {error}", number + 1);
        WindowError::Json { at: starts[number - validated], message }
    };
    for batch in batches {
        // Reserve once: growing tables step by step is slower.
        if batch.estimate > reserved {
            reserved = batch.estimate;
            movies.reserve(reserved);
        }
        starts.extend(batch.starts);
        movies.push(&batch.draft).map_err(|error| name(error, &starts, validated))?;
        starts.drain(..movies.len() - validated);
        validated = movies.len();
    }
    movies.finish().map_err(|error| name(error, &starts, validated))
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

/// Adds the name of the movie to an error: its number in the list and, if it can be read, its id or title.
fn name_movie<R: Read>(error: WindowError, number: u64, window: &mut Window<R>) -> WindowError {
    let WindowError::Json { at, message } = error else { return error };
    let Names { id, title } = window.take_owned().unwrap_or_default();
    let title = title.as_str().map(str::to_owned);
    let name = [("id", id_text(id)), ("title", title)].into_iter().find_map(|(key, text)| {
        let text = text.filter(|text| !text.is_empty())?;
        Some(format!(" ({key} `{}`)", Escaped(&text)))
    });
    let message = format!("movie {number}{}: {}", name.unwrap_or_default(), message);
    WindowError::Json { at, message }
}

/// Id and title of a movie, for error messages.
#[derive(Default, Deserialize)]
struct Names {
    #[serde(default)]
    id: serde_json::Value,
    #[serde(default)]
    title: serde_json::Value,
}

#[cfg(test)]
mod tests;
