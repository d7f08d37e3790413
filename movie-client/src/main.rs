//! Command line of the movie client.

use std::process::ExitCode;

fn main() -> ExitCode {
    movie_client::cli::main()
}
