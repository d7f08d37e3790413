//! Runs the automation of the workspace.

use std::process::ExitCode;

use anyhow::anyhow;
use xtask::{regen_proto, root};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["regen-proto"] => regen_proto::write(&root()).map(|report| println!("{report}")),
        ["regen-proto", "--check"] => regen_proto::check(&root()),
        _ => Err(anyhow!("usage: cargo xtask regen-proto [--check]")),
    };
    if let Err(error) = &done {
        eprintln!("error: {error:#}");
    }
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
