//! Runs the project's automation.

use std::process::ExitCode;

use clap::Parser;
use xtask::{bench, fuzz, interop, regen_proto, root, soak};

/// The project's automation.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Measure the service beside a plain tonic server, and print one table.
    Bench(bench::Options),
    /// Feed made-up bytes to whatever reads bytes from outside.
    Fuzz(fuzz::Options),
    /// Check that the service and the client work with Python programs at the other end.
    Interop(interop::Options),
    /// Generate `movie-proto/src/generated/` from `proto/`.
    RegenProto {
        /// Change nothing; fail if a generated file is stale, missing or left over.
        #[arg(long)]
        check: bool,
    },
    /// Keep the service under mixed load and hostile peers for a while, and check every answer.
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Bench(options) => bench::run(&root(), &options),
        Command::Fuzz(options) => fuzz::run(&root(), &options),
        Command::Interop(options) => interop::check(&root(), &options),
        Command::RegenProto { check: false } => {
            regen_proto::write(&root()).map(|report| println!("{report}"))
        }
        Command::RegenProto { check: true } => regen_proto::check(&root()),
        Command::Soak(options) => soak::run(&root(), &options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not returned from `main`, which would bury the reason under a backtrace where those are on.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
