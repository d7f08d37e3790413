//! Command that imports movies from files. The modules, in reading order:
//!
//! * `import`: the command; sends the movies and reports the results.
//! * `reader`: the thread that reads the files.
//! * `ids`: generated ids.
//! * `json`, `imdb`, `movielens`: the file formats; `table`: delimited text for the last two.
//! * `source`: opening, decompression, format detection and lines of a file.

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
use super::print_notice;
use crate::{Client, Error, ImportSummary, Movie};

/// Limit for a list of directors, in bytes. The contract allows as many characters.
const MAX_TEXT_BYTES: usize = 1_000;

/// Limits of the contract for lists of people: numbers of names, and characters of a name.
const MAX_CAST: usize = 200;
const MAX_WRITERS: usize = 50;
const MAX_NAME_CHARS: usize = 100;

/// Number of rejected rows that are reported one by one.
const MAX_REPORTED_ROWS: u64 = 20;

/// An item of a file.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every row has a movie")]
enum Row {
    /// A row with a movie, or the reason for which it is invalid.
    Movie { at: FilePosition, movie: Result<Movie, String> },
    /// A row with a movie that has no id.
    WithoutId { at: FilePosition, is_first: bool },
    /// An invalid row of a related file.
    Related { at: FilePosition, reason: String },
    /// Notice about a file that is empty, or a related file that does not exist.
    Notice(String),
}

/// Receiver of rows. Its error ends the reading.
type Rows<'a> = &'a mut dyn FnMut(Row) -> Result<()>;

/// Imports movies from files, and prints a summary. Rejected rows are counted, and the first ones are reported on
/// standard error. A row is rejected if it cannot be parsed, or if the service rejects its movie.
///
/// # Errors
///
/// A failed call, an unreadable file, or in a strict import the first rejected row. If movies were stored before, the
/// error has a hint with their number.
pub async fn import(
    client: &Client,
    args: &args::Import,
    options: &OutputOptions,
    out: &mut impl Write,
) -> Result<Exit> {
    args.files.iter().try_for_each(|file| check_file(file))?;
    let outcome = run(client, args, &mut io::stderr()).await?;
    let (exit, error) = outcome.verdict();
    let mut printer = Printer::new(out, options.clone());
    let dirty = ("dirty_rows", Property::Number(outcome.dirty + outcome.without_id + outcome.related));
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
    if let Some(error) = error {
        print_notice(&format!("error: {error}"));
    }
    Ok(exit)
}

/// Checks that a file exists, before anything is sent.
fn check_file(file: &Path) -> Result<(), UsageError> {
    let found =
        if file == Path::new("-") { Ok(false) } else { fs::metadata(file).map(|found| found.is_dir()) };
    let error = match found {
        Ok(false) => return Ok(()),
        Ok(true) => io::Error::from(io::ErrorKind::IsADirectory),
        Err(error) => error,
    };
    Err(UsageError(format!("cannot read {}: {error}", file.display())))
}

/// Counts of an import.
#[derive(Debug, Default)]
struct Outcome {
    /// Number of movies that were read.
    read: u64,
    /// Results of the service.
    imported: ImportSummary,
    /// Number of invalid rows.
    dirty: u64,
    /// Number of movies without an id.
    without_id: u64,
    /// Number of invalid rows in related files.
    related: u64,
    /// Number of rows that were reported one by one.
    reported: u64,
}

impl Outcome {
    /// Returns the exit code, and the error if most rows are rejected: the file is probably wrong as a whole.
    fn verdict(&self) -> (Exit, Option<String>) {
        let unread = self.dirty + self.without_id;
        let (rejected, rows) = (self.imported.rejected + unread, self.read + unread);
        if rows > 0 && rejected == rows {
            (Exit::Refused, Some("no row could be imported".to_owned()))
        } else if rejected > rows / 2 {
            let error = format!("{rejected} of {rows} rows were rejected, more than half");
            (Exit::MostRowsRejected, Some(error))
        } else {
            (Exit::Done, None)
        }
    }

    /// Returns the number of movies that the service has as they were read.
    fn stored(&self) -> u64 {
        let ImportSummary { created, updated, unchanged, .. } = self.imported;
        created + updated + unchanged
    }

    /// Returns a description of the progress before an error or an interruption. `how` is what to change in the next
    /// import.
    fn progress_text(&self, how: &str) -> String {
        let ImportSummary { created, updated, unchanged, .. } = self.imported;
        let written = created + updated;
        format!(
            "so far {written} written and {unchanged} unchanged; import again{how} to continue: unchanged movies are not \
             written again"
        )
    }
}

/// Imports the files. Reports rejected rows on `errors`.
async fn run(client: &Client, args: &args::Import, errors: &mut impl Write) -> Result<Outcome> {
    let mut import = Import {
        client,
        args,
        errors,
        bar: progress_bar(args),
        outcome: Outcome::default(),
        has_ended: false,
    };
    let ended = import.process_all().await;
    import.has_ended = true;
    import.bar.finish_and_clear();
    // The error of a strict import has its only rejected row.
    if !args.strict {
        import.report_rest();
    }
    let outcome = mem::take(&mut import.outcome);
    match ended {
        Ok(()) => Ok(outcome),
        Err(error) if matches!(error.downcast_ref(), Some(Error::DeadlineExceeded { .. })) => {
            Err(error.context(Hint(outcome.progress_text(" with a longer --timeout"))))
        }
        Err(error) if outcome.stored() == 0 => Err(error),
        Err(error) => Err(error.context(Hint(outcome.progress_text("")))),
    }
}

fn progress_bar(args: &args::Import) -> ProgressBar {
    // The length of standard input and of pipes is unknown.
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
    /// Clears the progress bar, of which the reader thread may keep a clone. Prints the progress of an interrupted
    /// import.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if !self.has_ended && !self.args.dry_run {
            let progress_text = self.outcome.progress_text("");
            self.print(&progress_text);
        }
    }
}

impl<W: Write> Import<'_, W> {
    async fn process_all(&mut self) -> Result<()> {
        let started = Instant::now();
        let mut reader = reader::start(self.args.clone(), self.bar.clone())?;
        while let Some(rows) = reader.next().await? {
            self.process(rows).await?;
            let read = self.outcome.read;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "shown to people"
            )]
            let rate = (read as f64 / started.elapsed().as_secs_f64()) as u64;
            self.bar.set_message(format!("{} movies, {}/s", HumanCount(read), HumanCount(rate)));
        }
        Ok(())
    }

    /// Sends the movies of these rows, and reports the invalid rows.
    async fn process(&mut self, rows: Vec<Row>) -> Result<()> {
        let (mut positions, mut movies) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let mut strict_error = None;
        for row in rows {
            let (at, reason) = match row {
                Row::Movie { at, movie: Ok(movie) } => {
                    positions.push(at);
                    movies.push(movie);
                    continue;
                }
                Row::Notice(text) => {
                    self.print(&text);
                    continue;
                }
                Row::WithoutId { at, is_first } => {
                    self.outcome.without_id += 1;
                    if !self.args.strict {
                        if is_first {
                            self.print(&format!("{at}: {}", ids::MISSING_ID));
                        }
                        continue;
                    }
                    (at, ids::MISSING_ID.to_owned())
                }
                Row::Movie { at, movie: Err(reason) } => {
                    self.outcome.dirty += 1;
                    (at, reason)
                }
                Row::Related { at, reason } => {
                    self.outcome.related += 1;
                    (at, reason)
                }
            };
            if self.args.strict {
                strict_error = Some((at, reason));
                break;
            }
            self.report(&at, &reason);
        }
        self.outcome.read += movies.len() as u64;
        if !self.args.dry_run && !movies.is_empty() {
            self.send(movies, &positions).await?;
        }
        // The movies before the invalid row have been sent.
        match strict_error {
            Some((at, reason)) => bail!(RejectedRow(line(&format!("{at}: {reason}")).into_owned())),
            None => Ok(()),
        }
    }

    async fn send(&mut self, movies: Vec<Movie>, positions: &[FilePosition]) -> Result<(), anyhow::Error> {
        let response: Result<ImportSummary, Error> = self.client.import(movies).await;
        let ImportSummary { created, updated, unchanged, rejected, rejections } = response?;
        let total = &mut self.outcome.imported;
        total.created += created;
        total.updated += updated;
        total.unchanged += unchanged;
        total.rejected += rejected;
        for rejection in rejections {
            let at = usize::try_from(rejection.index).ok().and_then(|index| positions.get(index));
            let reason = format!("(id `{}`) {}", rejection.id, rejection.reason);
            match at {
                Some(at) if self.args.strict => {
                    bail!(RejectedRow(line(&format!("{at}: {reason}")).into_owned()))
                }
                Some(at) => self.report(at, &reason),
                None => {}
            }
        }
        Ok(())
    }

    /// Reports a rejected row, if it is one of the first.
    fn report(&mut self, at: &FilePosition, reason: &str) {
        if self.outcome.reported < MAX_REPORTED_ROWS {
            self.outcome.reported += 1;
            self.print(&format!("{at}: {reason}"));
        }
    }

    /// Prints the number of rejected rows that were not reported.
    fn report_rest(&mut self) {
        let Outcome { imported, dirty, related, reported, .. } = &self.outcome;
        let rest = (imported.rejected + dirty + related).saturating_sub(*reported);
        if rest > 0 {
            self.print(&format!("and {rest} more"));
        }
    }

    fn print(&mut self, text: &str) {
        let Self { bar, errors, .. } = self;
        // An error of writing to standard error is ignored.
        let _ = bar.suspend(|| writeln!(errors, "{}", line(text)));
    }
}
