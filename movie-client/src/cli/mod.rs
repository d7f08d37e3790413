//! The command line. In reading order:
//!
//! * [`args`] — what can be said on it; `variables` — which environment variables count;
//! * [`run`] — does what was said;
//! * `reach` — the configuration of the library that it asks for;
//! * `reads`, `course`, `writes`, `watch`, `export`, [`import`], [`mod@bench`], `completions` — the commands;
//! * [`output`] — text, table, JSON and CSV; `stream` — when what arrives is printed;
//! * [`failure`] — what went wrong, what to do about it, and the exit code;
//! * `log` — what happens meanwhile, on standard error.

pub mod args;
pub mod bench;
mod completions;
mod course;
mod export;
pub mod failure;
pub mod import;
mod log;
pub mod output;
mod parse;
mod reach;
mod reads;
mod stream;
mod variables;
mod watch;
mod writes;

use std::io::{self, Write};
use std::process;
use std::time::Duration;

use anyhow::Result;
use console::Term;
use tokio::time::sleep;

use self::args::{Args, Command};
use self::failure::Exit;
use self::output::{Form, Printer};
use crate::Client;

/// How long an interrupted command may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does what a command line says, and prints the answers to `out`. An interruption (Ctrl-C) ends it between two lines.
///
/// # Errors
///
/// Why it could not be done, for people; [`failure::exit`] has the exit code.
pub async fn run(args: Args, out: &mut impl Write) -> Result<Exit> {
    log::start(args.verbose);
    // Interrupted, it tells what it has measured by then.
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
    // What has been printed comes before an error.
    out.flush()?;
    outcome
}

/// Ends the process if an interrupted command does not: it may be writing into a pipe that nobody reads.
async fn end_when_interrupted() {
    if tokio::signal::ctrl_c().await.is_ok() {
        sleep(PATIENCE).await;
        process::exit(Exit::Interrupted as i32);
    }
}

/// Tells people something on standard error. That nobody can read it is no reason to stop.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

async fn call<W: Write>(args: Args, out: &mut W) -> Result<Exit> {
    let Args { output, reach, command, .. } = args;
    let form = Form::of(output, &Term::stdout());
    let config = || reach::config(&reach);
    let client = || anyhow::Ok(Client::connect(&config()?)?);
    let to = |out| Printer::new(out, form.clone());
    match command {
        None => course::run(&client()?, out).await,
        Some(Command::Get { id }) => reads::get(&client()?, &id, &mut to(out)).await,
        Some(Command::List(args)) => reads::list(&client()?, args, &mut to(out)).await,
        Some(Command::Batch { ids }) => reads::batch(&client()?, ids, &mut to(out)).await,
        Some(Command::Lookup) => reads::lookup(&client()?, &mut to(out)).await,
        Some(Command::Create(args)) => writes::create(&client()?, args, &mut to(out)).await,
        Some(Command::Update(args)) => writes::update(&client()?, args, &mut to(out)).await,
        Some(Command::Delete(args)) => writes::delete(&client()?, args, &mut to(out)).await,
        Some(Command::Import(args)) => import::import(&client()?, &args, &form, out).await,
        Some(Command::Export { file }) => export::export(&client()?, file.as_deref(), out).await,
        Some(Command::Watch(args)) => watch::watch(&client()?, &args, &mut to(out)).await,
        Some(Command::Info) => reads::info(&client()?, &mut to(out)).await,
        Some(Command::Bench(args)) => bench::bench(&config()?, &args, &form, out).await,
        Some(Command::Completions { shell }) => completions::completions(shell, out),
        Some(Command::Health { service }) => reads::health(&client()?, &service, &mut to(out)).await,
    }
}
