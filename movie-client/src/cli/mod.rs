//! Command line. The modules, in reading order:
//!
//! * [`args`]: command-line arguments; `field_flags`, `parse`: the flags of a movie's fields, and values of flags.
//! * `command_line`: parses the command line, and explains errors; `environment`: environment variables that count.
//! * [`main`]: runs a command and returns the exit code; `stdout`: standard output.
//! * `client_config`: the configuration of the library.
//! * `reads`, `search`, `course`, `writes`, `watch`, `export`, [`import`], [`mod@bench`], `manual`: the commands.
//! * [`output`]: text, table, JSON and CSV; `stream`: prints items as they arrive.
//! * [`failure`]: error messages, hints and exit codes.
//! * `log`: the log on standard error.

pub mod args;
pub mod bench;
mod client_config;
mod command_line;
mod course;
mod environment;
mod export;
pub mod failure;
pub mod field_flags;
pub mod import;
mod log;
mod manual;
pub mod output;
mod parse;
mod reads;
mod search;
mod stdout;
mod stream;
mod watch;
mod writes;

use std::io::{self, Write};
use std::process::{self, ExitCode};
use std::time::Duration;

use anyhow::Result;
use console::Term;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use self::args::{Args, Command};
use self::failure::Exit;
use self::output::{OutputOptions, Printer};
use crate::Client;

/// Time for an interrupted command to end by itself.
const INTERRUPT_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Runs the command of the process's arguments, prints an error if it fails, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let exit = run_to_stdout().unwrap_or_else(|error| {
        let exit = failure::exit(&error);
        if exit != Exit::Done {
            print_notice(&failure::message(&error));
        }
        exit
    });
    ExitCode::from(exit as u8)
}

fn run_to_stdout() -> Result<Exit> {
    let args = command_line::read();
    let mut out = stdout::buffered();
    let runtime = Runtime::new()?;
    let outcome = runtime.block_on(run(args, &mut out));
    // A thread may be blocked on standard input for ever.
    runtime.shutdown_background();
    let exit = outcome?;
    out.flush()?;
    Ok(exit)
}

/// Runs a command, and prints its results to `out`. An interruption (Ctrl-C) ends it between two lines.
///
/// # Errors
///
/// The error of the command, for people; [`failure::exit`] returns its exit code.
pub async fn run(args: Args, out: &mut impl Write) -> Result<Exit> {
    log::start(args.verbose);
    // An interrupted benchmark still prints its results.
    let is_bench = matches!(args.command, Some(Command::Bench(_)));
    if !is_bench {
        tokio::spawn(end_when_interrupted());
    }
    let outcome = tokio::select! {
        outcome = call(args, out) => outcome,
        interrupted = tokio::signal::ctrl_c(), if !is_bench => {
            interrupted.map(|()| Exit::Interrupted).map_err(Into::into)
        }
    };
    // Results are printed before an error.
    out.flush()?;
    outcome
}

/// Ends the process if an interrupted command does not, for example because it writes to a pipe that is not read.
async fn end_when_interrupted() {
    if tokio::signal::ctrl_c().await.is_ok() {
        sleep(INTERRUPT_GRACE_PERIOD).await;
        process::exit(Exit::Interrupted as i32);
    }
}

/// Prints a line on standard error. An error of writing is ignored.
fn print_notice(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

async fn call<W: Write>(args: Args, out: &mut W) -> Result<Exit> {
    let Args { output, connection, command, .. } = args;
    let options = OutputOptions::of(output, &Term::stdout());
    let config = || client_config::read(&connection);
    let client = || anyhow::Ok(Client::connect(&config()?)?);
    let to = |out| Printer::new(out, options.clone());
    match command {
        None => course::run(&client()?, out).await,
        Some(Command::Get { id }) => reads::get(&client()?, &id, &mut to(out)).await,
        Some(Command::List(args)) => reads::list(&client()?, args, &options, out).await,
        Some(Command::Search(args)) => search::search(&client()?, args, &options, out).await,
        Some(Command::Batch { ids }) => reads::batch(&client()?, ids, &mut to(out)).await,
        Some(Command::Lookup) => reads::lookup(&client()?, &mut to(out)).await,
        Some(Command::Create(args)) => writes::create(&client()?, args, &mut to(out)).await,
        Some(Command::Update(args)) => writes::update(&client()?, args, &mut to(out)).await,
        Some(Command::Delete(args)) => writes::delete(&client()?, args, &mut to(out)).await,
        Some(Command::Import(args)) => import::import(&client()?, &args, &options, out).await,
        Some(Command::Export { file }) => export::export(&client()?, file.as_deref(), out).await,
        Some(Command::Watch(args)) => watch::watch(&client()?, &args, &mut to(out)).await,
        Some(Command::Info) => reads::info(&client()?, &mut to(out)).await,
        Some(Command::Bench(args)) => bench::bench(&config()?, &args, &options, out).await,
        Some(Command::Completions { shell }) => manual::completions(shell, out),
        Some(Command::Man { directory }) => manual::man(directory.as_deref(), out),
        Some(Command::Health { service }) => reads::health(&client()?, &service, &mut to(out)).await,
    }
}
