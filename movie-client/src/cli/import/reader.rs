//! The thread that reads, ahead of what is sent.

use std::mem;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::ids::Ids;
use super::source::{Format, LONGEST, Source};
use super::{Row, Rows, imdb, json, movielens};
use crate::Movie;
use crate::cli::args;
use crate::cli::failure::UsageError;

/// The most rows that are passed on at once, and about the most bytes of text in them: movies for one call.
const ROWS: usize = 10_000;
const BYTES: usize = 8 << 20;

/// The most rows that are passed on at once if one that is wrong ends it all: the service takes the others of its call.
const STRICT_ROWS: usize = 100;

/// A thread that reads. It ends when this is dropped.
pub(super) struct Reader {
    rows: mpsc::Receiver<Vec<Row>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Starts to read files one after the other, and to pass on what they hold, many rows at once. What is read moves the bar on.
///
/// # Errors
///
/// If there can be no more threads.
pub(super) fn start(args: args::Import, bar: ProgressBar) -> Result<Reader> {
    let (sender, rows) = mpsc::channel(1);
    let most = if args.strict { STRICT_ROWS } else { ROWS };
    // No task: the runtime would wait for it at its end, be it for somebody to type.
    let thread = thread::Builder::new().name("reader".into()).spawn(move || {
        let mut batch = Batch { rows: Vec::new(), bytes: 0, most, sender };
        let ended = read(&args.files, args.make_ids, &bar, &mut |row| batch.push(row));
        batch.pass_on().and(ended)
    });
    Ok(Reader { rows, thread: Some(thread.context("start to read")?) })
}

impl Reader {
    /// Returns the next rows, and `None` after the last.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if a file cannot be imported.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if let Some(rows) = self.rows.recv().await {
            return Ok(Some(rows));
        }
        // Its end of the channel is gone, so it has nothing left to do.
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        let read = ended.map_err(|_| anyhow!("the reading has failed"))?;
        read.map_err(|error| UsageError(format!("{error:#}")))?;
        Ok(None)
    }
}

/// Reads files one after the other. All are opened first: a name that is wrong is found before anything is sent.
/// Movies without ids are given some if `make_ids`.
pub(super) fn read(files: &[PathBuf], make_ids: bool, bar: &ProgressBar, rows: Rows<'_>) -> Result<()> {
    let open = |file: &PathBuf| {
        let mut source = Source::open(file, bar)?;
        Ok((source.format()?, source))
    };
    for (format, source) in files.iter().map(open).collect::<Result<Vec<_>>>()? {
        let mut ids = Ids::new(make_ids);
        let rows = &mut |row| rows(ids.complete(row));
        match format {
            Format::Json => json::documents(source, rows),
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
