//! Environment variables that are ignored.

use std::env;
use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::{Arg, Command};

/// Ignores empty environment variables. Scripts and compose files unset a variable by setting it to nothing.
pub(super) fn ignore_empty(command: Command) -> Command {
    ignore(command, is_empty)
}

/// Ignores all environment variables.
pub(super) fn ignore_all(command: Command) -> Command {
    ignore(command, |_| true)
}

fn ignore(command: Command, is_ignored: fn(&OsStr) -> bool) -> Command {
    let without =
        |arg: Arg| if arg.get_env().is_some_and(is_ignored) { arg.env(Resettable::Reset) } else { arg };
    command.mut_args(without).mut_subcommands(|command| ignore(command, is_ignored))
}

/// Returns whether an environment variable is set and blank.
pub(super) fn is_empty(name: &OsStr) -> bool {
    env::var_os(name).is_some_and(|value| value.to_str().is_some_and(|value| value.trim().is_empty()))
}
