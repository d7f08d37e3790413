//! Commands that print the manual pages and the completion scripts, both made from the declaration of the command line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::Args;
use super::failure::Exit;

/// Section of the manual for programs: `man-pages(7)`.
const SECTION: &str = "1";

/// Prints the manual page of the program; or writes it, and a page for each command, into a directory.
pub(super) fn man(directory: Option<&Path>, out: &mut impl Write) -> Result<Exit> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    if let Some(directory) = directory {
        let write = || -> io::Result<()> {
            fs::create_dir_all(directory)?;
            for command in program.get_subcommands().chain([&program]) {
                let name = command.get_display_name().unwrap_or(command.get_name());
                render(command.clone(), &mut File::create(directory.join(format!("{name}.{SECTION}")))?)?;
            }
            Ok(())
        };
        write().with_context(|| format!("write the manual pages into {}", directory.display()))?;
    } else {
        render(program, out)?;
    }
    Ok(Exit::Done)
}

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

fn render(command: Command, out: &mut impl Write) -> io::Result<()> {
    let mut page = Vec::new();
    let source = concat!("movie-client ", env!("CARGO_PKG_VERSION"));
    Man::new(command).section(SECTION).source(source).manual("Movie service").render(&mut page)?;
    // What follows the options in the help is one block of lines; the page shows them as they are.
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    let page = page
        .replace(".SH EXTRA\nExit codes:", ".SH EXIT STATUS\n")
        .replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n");
    out.write_all(page.as_bytes())
}
