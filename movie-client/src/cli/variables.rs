//! Environment variables that are empty.

use std::env;

use clap::builder::Resettable;
use clap::{Arg, Command};

use super::failure::WrongCommandLine;

/// Variables that may not be empty: without them, other authorities than the ones meant would be trusted.
const NEVER_EMPTY: [&str; 1] = ["MOVIE_TLS_CA"];

/// Has a command line take each environment variable that is empty for one that is not set: that is how scripts and compose
/// files leave one out.
///
/// # Errors
///
/// The name of a variable that may not be empty, and is.
pub(super) fn without_empty(command: Command) -> Result<Command, WrongCommandLine> {
    if let Some(name) = NEVER_EMPTY.into_iter().find(|name| is_empty(name)) {
        return Err(WrongCommandLine(format!("the variable {name} is empty; unset it, or name a file")));
    }
    Ok(ignore_empty(command))
}

fn ignore_empty(command: Command) -> Command {
    let ignore = |arg: Arg| {
        let is_empty = arg.get_env().and_then(|name| name.to_str()).is_some_and(is_empty);
        if is_empty { arg.env(Resettable::Reset) } else { arg }
    };
    command.mut_args(ignore).mut_subcommands(ignore_empty)
}

fn is_empty(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| value.to_str().is_some_and(|value| value.trim().is_empty()))
}
