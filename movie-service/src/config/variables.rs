//! Empty environment variables.

use std::env;

use anyhow::bail;
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// Variables that must not be empty: an empty value would silently change what is served, or to whom.
const NEVER_EMPTY: [&str; 6] = [
    "MOVIE_DATABASE",
    "MOVIE_LISTEN",
    "MOVIE_TOKENS",
    "MOVIE_TLS_CERT",
    "MOVIE_TLS_KEY",
    "MOVIE_TLS_CLIENT_CA",
];

/// Ignores empty environment variables: Docker Compose files unset a variable by leaving it empty.
pub(super) fn ignore_empty(command: Command) -> Command {
    let ignore = |arg: Arg| if has_empty_variable(&arg) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(ignore).mut_subcommands(ignore_empty)
}

/// Refuses an empty variable of [`NEVER_EMPTY`], unless the command line has the value.
///
/// # Errors
///
/// A message with the name of the variable.
pub(super) fn check(command: &Command, matches: &ArgMatches) -> anyhow::Result<()> {
    for arg in command.get_arguments().filter(|arg| has_empty_variable(arg)) {
        let name = arg.get_env().unwrap_or_default().display();
        let is_given = matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        if !is_given && NEVER_EMPTY.iter().any(|never| arg.get_env().is_some_and(|name| name == *never)) {
            bail!("the environment variable {name} is empty; unset it or set a value");
        }
    }
    Ok(())
}

fn has_empty_variable(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(env::var_os);
    value.is_some_and(|value| value.to_str().is_some_and(|value| value.trim().is_empty()))
}
