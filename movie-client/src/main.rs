//! The command line of the movie client.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;
use movie_client::args::Args;
use movie_client::command;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout());
    match command::run(&args, &mut out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What has been printed comes before the error. Nothing can be done if nobody reads either.
            let _ = out.flush();
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
