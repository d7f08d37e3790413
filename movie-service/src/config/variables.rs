//! Environment variables that are empty.

use std::env;

use anyhow::bail;
use clap::builder::Resettable;
use clap::{Arg, Command};

/// Variables that may not be empty: without them, something else would be served, or to others.
const NEVER_EMPTY: [&str; 6] = [
    "MOVIE_DATABASE",
    "MOVIE_LISTEN",
    "MOVIE_TOKENS",
    "MOVIE_TLS_CERT",
    "MOVIE_TLS_KEY",
    "MOVIE_TLS_CLIENT_CA",
];

/// Has a command line take each environment variable that is empty for one that is not set: that is how compose files leave
/// one out.
///
/// # Errors
///
/// The name of a variable that may not be empty, and is.
pub(super) fn without_empty(command: Command) -> anyhow::Result<Command> {
    if let Some(name) = NEVER_EMPTY.into_iter().find(|name| is_empty(name)) {
        bail!("the variable {name} is empty; unset it, or say what it is to be");
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
