//! The command line of the movie client.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use movie_client::cli::{self, args::Args, failure};

/// What is printed leaves in pieces of this size, and whenever there is nothing to wait for.
const BUFFER: usize = 64 << 10;

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout());
    let outcome = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let outcome = runtime.block_on(cli::run(args, &mut out));
            // Whoever reads standard input may do so for ever.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(error.into()),
    };
    let outcome = outcome.and_then(|exit| Ok(out.flush().map(|()| exit)?));
    let exit = outcome.unwrap_or_else(|error| {
        let exit = failure::exit(&error);
        if exit != failure::Exit::Done {
            // Nothing can be done if nobody reads it.
            let _ = writeln!(io::stderr(), "{}", failure::message(&error));
        }
        exit
    });
    ExitCode::from(exit as u8)
}
