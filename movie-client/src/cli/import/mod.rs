//! Adds the movies of files. In reading order:
//!
//! * `import` — the command: sends what is read, and tells what became of it;
//! * `reader` — the thread that reads;
//! * `ids` — the ids of movies that have none;
//! * `json`, `imdb`, `movielens` — what can be read; `table` — what the last two have in common;
//! * `source` — files: opened, unpacked, told apart, and read line by line.

mod ids;
mod imdb;
mod json;
mod movielens;
mod reader;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::source::FilePosition;
use super::args;
use super::failure::{Exit, Hint, RejectedRow, UsageError};
use super::output::text_format::line;
use super::output::{OutputOptions, Printer, Property};
use crate::{Client, Error, ImportSummary, Movie};

/// The most characters of a title and of a director, by the contract.
const MOST_TEXT: usize = 1_000;

/// How many rows that cannot be taken are named.
const NAMED: u64 = 20;

/// What is found in files.
#[derive(Clone, Debug, PartialEq)]
enum Row {
    /// A line: a movie, or what is wrong with it.
    Line { at: FilePosition, movie: Result<Movie, String> },
    /// A movie without an id.
    WithoutId { at: FilePosition, is_first: bool },
    /// A line that is wrong, of a file that says more of the movies of another.
    Beside { at: FilePosition, reason: String },
    /// A file is not there that could say more of the movies: people should know of it.
    Missing(String),
}

/// Takes rows; an error ends the reading.
type Rows<'a> = &'a mut dyn FnMut(Row) -> Result<()>;

/// Sends the movies of files to the service, and prints what became of them. A row that cannot be taken is named on
/// standard error and counted: what the service says against a movie by the contract's rules as well as what cannot be
/// read.
///
/// # Errors
///
/// Why it ended early, with what was done by then, if anything was: a call that failed, a file that cannot be read, or any
/// row that cannot be taken if the import is strict.
pub async fn import(
    client: &Client,
    args: &args::Import,
    options: &OutputOptions,
    out: &mut impl Write,
) -> Result<Exit> {
    args.files.iter().try_for_each(|file| find(file))?;
    let outcome = run(client, args, &mut io::stderr()).await?;
    let exit = outcome.exit();
    let mut printer = Printer::new(out, options.clone());
    let dirty = ("dirty_rows", Property::Number(outcome.dirty + outcome.without_id + outcome.beside));
    let Outcome { read, imported: ImportSummary { created, updated, unchanged, rejected, .. }, .. } = outcome;
    if args.dry_run {
        printer.properties(&[("would_import", Property::Number(read)), dirty])?;
    } else {
        let [created, updated, unchanged, rejected] =
            [("created", created), ("updated", updated), ("unchanged", unchanged), ("rejected", rejected)]
                .map(|(name, number)| (name, Property::Number(number)));
        printer.properties(&[created, updated, unchanged, rejected, dirty])?;
    }
    printer.finish()?;
    Ok(exit)
}

/// Checks that a file is there. Nothing has been sent by then.
fn find(file: &Path) -> Result<(), UsageError> {
    let found =
        if file == Path::new("-") { Ok(false) } else { fs::metadata(file).map(|found| found.is_dir()) };
    let error = match found {
        Ok(false) => return Ok(()),
        Ok(true) => io::Error::from(io::ErrorKind::IsADirectory),
        Err(error) => error,
    };
    Err(UsageError(format!("cannot read {}: {error}", file.display())))
}

/// What became of an import so far.
#[derive(Debug, Default)]
struct Outcome {
    /// How many movies were read.
    read: u64,
    /// What the service did with them.
    imported: ImportSummary,
    /// How many rows were no movies.
    dirty: u64,
    /// How many movies had no id.
    without_id: u64,
    /// How many rows were wrong in files that say more of the movies of others.
    beside: u64,
    /// How many rows were named that could not be taken.
    named: u64,
}

impl Outcome {
    /// Returns how the import ended: of a file of which little can be taken, something is wrong with the whole.
    fn exit(&self) -> Exit {
        let unread = self.dirty + self.without_id;
        let (rejected, rows) = (self.imported.rejected + unread, self.read + unread);
        if rows > 0 && rejected == rows {
            Exit::Refused
        } else if rejected > rows / 2 {
            Exit::MostRowsRejected
        } else {
            Exit::Done
        }
    }

    /// How many movies the service has by now as they were read.
    fn done(&self) -> u64 {
        let ImportSummary { created, updated, unchanged, .. } = self.imported;
        created + updated + unchanged
    }

    /// What was done before an error or an interruption.
    fn so_far(&self) -> String {
        let ImportSummary { created, updated, unchanged, .. } = self.imported;
        let written = created + updated;
        format!(
            "so far {written} written and {unchanged} unchanged; import again to go on: what is unchanged is not written \
             again"
        )
    }
}

/// Imports, and names on `errors` what cannot be taken.
async fn run(client: &Client, args: &args::Import, errors: &mut impl Write) -> Result<Outcome> {
    let mut import =
        Import { client, args, errors, bar: bar(args), outcome: Outcome::default(), has_ended: false };
    let ended = import.all().await;
    import.has_ended = true;
    import.bar.finish_and_clear();
    // One row ends a strict import, and is in the error.
    if !args.strict {
        import.tell_the_rest();
    }
    let outcome = mem::take(&mut import.outcome);
    match ended {
        Ok(()) => Ok(outcome),
        Err(error) if outcome.done() == 0 => Err(error),
        Err(error) => Err(error.context(Hint(outcome.so_far()))),
    }
}

fn bar(args: &args::Import) -> ProgressBar {
    // Of standard input and of pipes nobody knows the length.
    let is_endless = !args.files.iter().all(|file| file.is_file());
    let length = (!is_endless).then_some(0);
    let template =
        if is_endless { "{bytes} {msg}" } else { "{bytes}/{total_bytes} {wide_bar} {msg}, {eta} left" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_message("0 movies")
}

struct Import<'a, W: Write> {
    client: &'a Client,
    args: &'a args::Import,
    errors: &'a mut W,
    bar: ProgressBar,
    outcome: Outcome,
    has_ended: bool,
}

impl<W: Write> Drop for Import<'_, W> {
    /// Takes the bar away, which the thread that reads may keep for ever, and tells how far an interrupted import came.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if !self.has_ended && !self.args.dry_run {
            let so_far = self.outcome.so_far();
            self.tell(&so_far);
        }
    }
}

impl<W: Write> Import<'_, W> {
    async fn all(&mut self) -> Result<()> {
        let began = Instant::now();
        let mut reader = reader::start(self.args.clone(), self.bar.clone())?;
        while let Some(rows) = reader.next().await? {
            self.some(rows).await?;
            let read = self.outcome.read;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "shown to people"
            )]
            let rate = (read as f64 / began.elapsed().as_secs_f64()) as u64;
            self.bar.set_message(format!("{} movies, {}/s", HumanCount(read), HumanCount(rate)));
        }
        Ok(())
    }

    /// Sends the movies of some rows, and names those that are none.
    async fn some(&mut self, rows: Vec<Row>) -> Result<()> {
        let (mut places, mut movies) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut wrong = None;
        for row in rows {
            let (at, reason) = match row {
                Row::Line { at, movie: Ok(movie) } => {
                    places.push(at);
                    movies.push(movie);
                    continue;
                }
                Row::Missing(text) => {
                    self.tell(&text);
                    continue;
                }
                Row::WithoutId { at, is_first } => {
                    self.outcome.without_id += 1;
                    if !self.args.strict {
                        if is_first {
                            self.tell(&format!("{at}: {}", ids::MISSING));
                        }
                        continue;
                    }
                    (at, ids::MISSING.to_owned())
                }
                Row::Line { at, movie: Err(reason) } => {
                    self.outcome.dirty += 1;
                    (at, reason)
                }
                Row::Beside { at, reason } => {
                    self.outcome.beside += 1;
                    (at, reason)
                }
            };
            if self.args.strict {
                wrong = Some((at, reason));
                break;
            }
            self.name(&at, &reason);
        }
        self.outcome.read += movies.len() as u64;
        if !self.args.dry_run && !movies.is_empty() {
            self.send(movies, &places).await?;
        }
        // What comes before it has been sent by now.
        match wrong {
            Some((at, reason)) => bail!(RejectedRow(line(&format!("{at}: {reason}")).into_owned())),
            None => Ok(()),
        }
    }

    async fn send(&mut self, movies: Vec<Movie>, places: &[FilePosition]) -> Result<(), anyhow::Error> {
        let answer: Result<ImportSummary, Error> = self.client.import(movies).await;
        let ImportSummary { created, updated, unchanged, rejected, rejections } = answer?;
        let total = &mut self.outcome.imported;
        total.created += created;
        total.updated += updated;
        total.unchanged += unchanged;
        total.rejected += rejected;
        for rejection in rejections {
            let at = usize::try_from(rejection.index).ok().and_then(|index| places.get(index));
            let reason = format!("(id `{}`) {}", rejection.id, rejection.reason);
            match at {
                Some(at) if self.args.strict => {
                    bail!(RejectedRow(line(&format!("{at}: {reason}")).into_owned()))
                }
                Some(at) => self.name(at, &reason),
                None => {}
            }
        }
        Ok(())
    }

    /// Names a row that cannot be taken, if it is one of the first.
    fn name(&mut self, at: &FilePosition, reason: &str) {
        if self.outcome.named < NAMED {
            self.outcome.named += 1;
            self.tell(&format!("{at}: {reason}"));
        }
    }

    /// Tells how many rows were not named.
    fn tell_the_rest(&mut self) {
        let Outcome { imported, dirty, beside, named, .. } = &self.outcome;
        let rest = (imported.rejected + dirty + beside).saturating_sub(*named);
        if rest > 0 {
            self.tell(&format!("and {rest} more"));
        }
    }

    fn tell(&mut self, text: &str) {
        let Self { bar, errors, .. } = self;
        // That nobody reads it is no reason to stop.
        let _ = bar.suspend(|| writeln!(errors, "{}", line(text)));
    }
}
