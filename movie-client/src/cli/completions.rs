//! Command that prints completion scripts for shells.

use std::io::Write;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::args::Args;
use super::failure::Exit;

pub(super) fn completions(shell: Shell, out: &mut impl Write) -> Result<Exit> {
    // The generator panics if a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "movie-client", &mut script);
    let mut script = String::from_utf8(script)?;
    if shell == Shell::Bash {
        // clap_complete 4.6 misinterprets the hyphen of the name in one of two places.
        script = script.replace("movie__subcmd__client", "movie__client");
    }
    out.write_all(script.as_bytes())?;
    Ok(Exit::Done)
}
