//! Runs the project's automation.

use std::process::ExitCode;

use clap::Parser;
use xtask::{command::Command, root};

fn main() -> ExitCode {
    match Command::parse().run(&root()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not returned from `main`, which would bury the reason under a backtrace where those are on.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
