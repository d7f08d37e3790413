//! The command line of the movie client.

use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use movie_client::cli;
use movie_client::cli::args::Args;
use movie_client::cli::failure::{self, Exit};

/// What is printed leaves in pieces of this size, and whenever there is nothing to wait for.
const BUFFER: usize = 64 << 10;

/// Whether standard output was closed when the process started, as by `>&-`. Rust's runtime opens `/dev/null` instead before
/// it calls `main`, and what is printed would be lost without an error.
static IS_STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Looks at standard output. This runs before Rust's runtime starts.
#[ctor::ctor]
fn look_at_stdout() {
    let is_closed = io::stdout().as_fd().try_clone_to_owned().is_err();
    IS_STDOUT_CLOSED.store(is_closed, Ordering::Relaxed);
}

/// Standard output that is closed.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("cannot print: standard output is closed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let is_closed = IS_STDOUT_CLOSED.load(Ordering::Relaxed);
    let stdout: Box<dyn Write> = if is_closed { Box::new(Closed) } else { Box::new(io::stdout()) };
    let mut out = BufWriter::with_capacity(BUFFER, stdout);
    let exit = run(&mut out).unwrap_or_else(|error| {
        let exit = failure::exit(&error);
        if exit != Exit::Done {
            // Nothing can be done if nobody reads it.
            let _ = writeln!(io::stderr(), "{}", failure::message(&error));
        }
        exit
    });
    ExitCode::from(exit as u8)
}

fn run(out: &mut impl Write) -> anyhow::Result<Exit> {
    let args = Args::read();
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(cli::run(args, out));
    // Whoever reads standard input may do so for ever.
    runtime.shutdown_background();
    let exit = outcome?;
    out.flush()?;
    Ok(exit)
}
