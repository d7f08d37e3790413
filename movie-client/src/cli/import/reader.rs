//! The thread that reads, ahead of what is sent.

use std::mem;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::source::{Format, LONGEST, Source};
use super::{Row, Rows, imdb, json, movielens};
use crate::Movie;

/// The most rows that are passed on at once, and about the most bytes of text in them: movies for one call.
pub(super) const ROWS: usize = 10_000;
const BYTES: usize = 8 << 20;

/// The most rows that are passed on at once if one that is wrong ends it all: the service takes the others of its call.
pub(super) const STRICT_ROWS: usize = 100;

/// A thread that reads. It ends when this is dropped.
pub(super) struct Reader {
    rows: mpsc::Receiver<Vec<Row>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Starts to read files one after the other, and to pass on so many rows at once. What is read moves the bar on.
///
/// # Errors
///
/// If there can be no more threads.
pub(super) fn start(files: Vec<PathBuf>, most: usize, bar: ProgressBar) -> Result<Reader> {
    let (sender, rows) = mpsc::channel(1);
    // No task: the runtime would wait for it at its end, be it for somebody to type.
    let thread = thread::Builder::new().name("reader".into()).spawn(move || {
        let mut batch = Batch { rows: Vec::new(), bytes: 0, most, sender };
        let ended = read(&files, &bar, &mut |row| batch.push(row));
        batch.pass_on().and(ended)
    });
    Ok(Reader { rows, thread: Some(thread.context("start to read")?) })
}

impl Reader {
    /// Returns the next rows, and `None` after the last.
    ///
    /// # Errors
    ///
    /// If a file cannot be read on.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if let Some(rows) = self.rows.recv().await {
            return Ok(Some(rows));
        }
        // Its end of the channel is gone, so it has nothing left to do.
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(anyhow!("the reading has failed"))).map(|()| None)
    }
}

/// Reads files one after the other. All are opened first: a name that is wrong is found before anything is sent.
pub(super) fn read(files: &[PathBuf], bar: &ProgressBar, rows: Rows<'_>) -> Result<()> {
    let open = |file: &PathBuf| {
        let mut source = Source::open(file, bar)?;
        Ok((source.format()?, source))
    };
    for (format, source) in files.iter().map(open).collect::<Result<Vec<_>>>()? {
        match format {
            Format::Json => json::document(source, rows),
            Format::Ndjson => json::lines(source, rows),
            Format::Imdb => imdb::read(source, rows),
            Format::MovieLens => movielens::read(source, rows),
        }?;
    }
    Ok(())
}

/// Rows to be passed on together.
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    most: usize,
    sender: mpsc::Sender<Vec<Row>>,
}

impl Batch {
    fn push(&mut self, mut row: Row) -> Result<()> {
        if let Row::Line { movie, .. } = &mut row {
            let bytes = movie.as_ref().map_or_else(String::len, length);
            if bytes > LONGEST {
                *movie = Err(format!("the movie has {bytes} bytes of text, expected at most {LONGEST}"));
            }
            self.bytes += bytes.min(LONGEST);
        }
        self.rows.push(row);
        if self.rows.len() >= self.most || self.bytes >= BYTES { self.pass_on() } else { Ok(()) }
    }

    fn pass_on(&mut self) -> Result<()> {
        self.bytes = 0;
        let rows = mem::take(&mut self.rows);
        let is_done = rows.is_empty() || self.sender.blocking_send(rows).is_ok();
        if is_done { Ok(()) } else { Err(anyhow!("nobody takes the movies any more")) }
    }
}

/// Returns how many bytes the text of a movie has.
fn length(movie: &Movie) -> usize {
    let Movie { title, director, id, genres, countries, languages, .. } = movie;
    let words = [genres, countries, languages].into_iter().flatten();
    [title, director, id].into_iter().chain(words).map(String::len).sum()
}
