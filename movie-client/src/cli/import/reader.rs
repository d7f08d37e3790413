//! Thread that reads the files ahead of the import calls.

use std::mem;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use super::ids::IdGenerator;
use super::source::{Format, MAX_RECORD_BYTES, Source};
use super::{Row, Rows, imdb, json, movielens};
use crate::Movie;
use crate::cli::args;
use crate::cli::failure::UsageError;
use crate::movie::Value;

/// Size at which a batch is complete: a number of rows, or a number of bytes of text. A batch is sent in one call. The
/// deadline applies to each call, so it limits the time for a batch, not for the import.
const MAX_BATCH_ROWS: usize = 1_000;
const BATCH_TARGET_BYTES: usize = 1 << 20;

/// Largest batch of a strict import. The service stores the other movies of the call that has a rejected one.
const MAX_STRICT_BATCH_ROWS: usize = 100;

/// A thread that reads files. Dropping the reader ends the thread.
pub(super) struct Reader {
    rows: mpsc::Receiver<Vec<Row>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Starts a thread that reads the files one after the other and sends batches of rows. The progress bar follows the
/// bytes that are read.
///
/// # Errors
///
/// The thread cannot be started.
pub(super) fn start(args: args::Import, bar: ProgressBar) -> Result<Reader> {
    let (sender, rows) = mpsc::channel(1);
    let max_rows = if args.strict { MAX_STRICT_BATCH_ROWS } else { MAX_BATCH_ROWS };
    // Not a task of the runtime, which would wait at its end for a blocked read of standard input.
    let thread = thread::Builder::new().name("reader".into()).spawn(move || {
        let mut batch = Batch { rows: Vec::new(), bytes: 0, max_rows, sender };
        let ended = read(&args.files, args.make_ids, &bar, &mut |row| batch.push(row));
        batch.send().and(ended)
    });
    Ok(Reader { rows, thread: Some(thread.context("cannot start the reader thread")?) })
}

impl Reader {
    /// Returns the next batch, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`UsageError`] if a file cannot be imported.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if let Some(rows) = self.rows.recv().await {
            return Ok(Some(rows));
        }
        // The thread has dropped its end of the channel and is about to end.
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        let read = ended.map_err(|_| anyhow!("the reader thread failed"))?;
        read.map_err(|error| UsageError(format!("{error:#}")))?;
        Ok(None)
    }
}

/// Reads files one after the other. All files are opened first, so that a wrong name is found before anything is
/// sent. With `make_ids`, missing ids are generated.
pub(super) fn read(files: &[PathBuf], make_ids: bool, bar: &ProgressBar, rows: Rows<'_>) -> Result<()> {
    let open = |file: &PathBuf| {
        let mut source = Source::open(file, bar)?;
        Ok((source.format()?, source))
    };
    for (format, mut source) in files.iter().map(open).collect::<Result<Vec<_>>>()? {
        let mut ids = IdGenerator::new(make_ids);
        let rows = &mut |row| rows(ids.complete(row));
        if source.is_blank()? {
            rows(Row::Notice(format!("{} is empty", source.name)))?;
        }
        match format {
            Format::Json => json::documents(source, rows),
            Format::Ndjson => json::lines(source, rows),
            Format::Imdb => imdb::read(source, rows),
            Format::MovieLens => movielens::read(source, rows),
        }?;
    }
    Ok(())
}

/// Rows to send together.
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    max_rows: usize,
    sender: mpsc::Sender<Vec<Row>>,
}

impl Batch {
    fn push(&mut self, mut row: Row) -> Result<()> {
        if let Row::Movie { movie, .. } = &mut row {
            let bytes = movie.as_ref().map_or_else(String::len, text_bytes);
            if bytes > MAX_RECORD_BYTES {
                *movie =
                    Err(format!("the movie has {bytes} bytes of text, expected at most {MAX_RECORD_BYTES}"));
            }
            self.bytes += bytes.min(MAX_RECORD_BYTES);
        }
        self.rows.push(row);
        if self.rows.len() >= self.max_rows || self.bytes >= BATCH_TARGET_BYTES {
            self.send()
        } else {
            Ok(())
        }
    }

    fn send(&mut self) -> Result<()> {
        self.bytes = 0;
        let rows = mem::take(&mut self.rows);
        let is_done = rows.is_empty() || self.sender.blocking_send(rows).is_ok();
        if is_done { Ok(()) } else { Err(anyhow!("the import has ended")) }
    }
}

/// Returns the number of bytes of text in a movie.
fn text_bytes(movie: &Movie) -> usize {
    let bytes = |value| match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.iter().map(String::len).sum(),
        Value::Rating(_) | Value::Number(_) | Value::Count(_) | Value::Time(_) => 0,
    };
    movie.fields().map(|(_, value)| bytes(value)).sum()
}
