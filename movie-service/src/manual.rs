//! The manual pages and the completion scripts, both made from the declaration of the command line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::config::Config;

/// Section of the manual for services: `man-pages(7)`.
const SECTION: &str = "8";

/// Prints the manual page of the program; or writes it, and a page for each command, into a directory.
///
/// # Errors
///
/// If a page cannot be written.
pub fn man(directory: Option<&Path>) -> anyhow::Result<()> {
    let mut program = Config::command().disable_help_subcommand(true);
    program.build();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        render(program, &mut page)?;
        return print(&page).context("print the manual page");
    };
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        for command in program.get_subcommands().chain([&program]) {
            let name = command.get_display_name().unwrap_or(command.get_name());
            render(command.clone(), &mut File::create(directory.join(format!("{name}.{SECTION}")))?)?;
        }
        Ok(())
    };
    write().with_context(|| format!("write the manual pages into {}", directory.display()))
}

/// Prints the completion script for a shell.
///
/// # Errors
///
/// If it cannot be written.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    // The generator panics if a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Config::command(), "movie-service", &mut script);
    if shell == Shell::Bash {
        // clap_complete 4.6 misinterprets the hyphen of the name in one of two places.
        script = String::from_utf8(script)?.replace("movie__subcmd__service", "movie__service").into_bytes();
    }
    print(&script).context("print the completion script")
}

fn print(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        // The reader needs no more, as in `man | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn render(command: Command, out: &mut impl Write) -> io::Result<()> {
    let mut page = Vec::new();
    let source = concat!("movie-service ", env!("CARGO_PKG_VERSION"));
    Man::new(command).section(SECTION).source(source).manual("Movie service").render(&mut page)?;
    // What follows the options in the help is one block of lines; the page shows them as they are, under headings.
    let mut page = String::from_utf8(page).map_err(io::Error::other)?;
    for (start, heading) in [
        ("\n.SH EXTRA\nExamples:\n", "\n.SH EXAMPLES\n.nf\n"),
        ("\nSignals: ", "\n.SH SIGNALS\n"),
        ("\nExit codes: ", "\n.SH EXIT STATUS\n"),
        ("\nDocumentation: ", "\n.SH SEE ALSO\n"),
    ] {
        page = page.replace(start, heading);
    }
    out.write_all(page.as_bytes())
}
