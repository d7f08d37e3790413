//! Parses the command line and the environment.

use std::env;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args::Args;
use super::environment;

/// Parses the command line and the environment. Invalid arguments end the process with a message.
pub(super) fn read() -> Args {
    let line: Vec<_> = env::args_os().collect();
    let mut command = environment::ignore_empty(Args::command());
    let matches = command.try_get_matches_from_mut(&line).map_err(|error| {
        // Describing an argument of a command that was not used needs this.
        command.build();
        explain(error, &line, &command)
    });
    let args = matches
        .and_then(|matches| Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    args.unwrap_or_else(|error| error.exit())
}

/// Returns the error that helps more. The error may come from an environment variable, or its usage may list arguments
/// that only environment variables set.
fn explain(error: Error, line: &[OsString], command: &Command) -> Error {
    // Help and the version are errors, too.
    if !error.use_stderr() {
        return error;
    }
    match environment::ignore_all(Args::command()).try_get_matches_from(line) {
        Err(plain) if plain.kind() == ErrorKind::UnknownArgument => with_command_tip(plain, line, command),
        Err(plain) if plain.kind() == error.kind() => with_tip(plain, line, command, value_tip),
        Ok(_) | Err(_) => with_tip(error, line, command, |_, arg| {
            Some(format!("the environment variable {} sets it", arg.get_env()?.display()))
        }),
    }
}

/// Describes an argument whose value is missing.
fn value_tip(error: &Error, arg: &Arg) -> Option<String> {
    let is_missing = error.kind() == ErrorKind::InvalidValue
        && matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty());
    is_missing.then(|| arg.get_help().map(ToString::to_string)).flatten()
}

/// Replaces the suggestion for an unknown argument where it misleads. Before a command, it is one of the connection's
/// flags, such as `--tries` for `--title`.
fn with_command_tip(mut error: Error, line: &[OsString], command: &Command) -> Error {
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return error };
    let used = line.iter().find_map(|word| command.find_subcommand(word));
    let is_before = |command: &Command| {
        let position = |text: &str| line.iter().position(|word| word.to_string_lossy().starts_with(text));
        position(unknown) < position(command.get_name())
    };
    let tip = match used.filter(|used| !is_before(used)) {
        _ if unknown == "--deadline" => {
            Some("`--timeout TIME` sets the deadline of a call, for example `--timeout 1s`".to_owned())
        }
        None => of_commands(unknown, command),
        Some(used) if used.get_name() != "list" => None,
        Some(_) if unknown == "--title" => Some(
            "`search WORDS` finds words of a title; `--title-prefix TEXT` is the start of one".to_owned(),
        ),
        Some(_) => (!unknown.starts_with('-')).then(|| format!("`search {unknown}` finds movies by words")),
    };
    if let Some(tip) = tip {
        let usage = used.unwrap_or(command).clone().render_usage();
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// Names the commands that have this flag.
fn of_commands(flag: &str, command: &Command) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    let has_flag = |command: &&Command| command.get_arguments().any(|arg| arg.get_long() == Some(long));
    let names: Vec<_> = command.get_subcommands().filter(has_flag).map(Command::get_name).collect();
    (!names.is_empty())
        .then(|| format!("`{flag}` is a flag of {}; write it after the command", names.join(", ")))
}

/// Adds a tip about the argument that an error names.
fn with_tip(
    mut error: Error,
    line: &[OsString],
    command: &Command,
    tip: impl Fn(&Error, &Arg) -> Option<String>,
) -> Error {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return error };
    let used = command.get_subcommands().filter(|command| line.iter().any(|word| word == command.get_name()));
    let arg = std::iter::once(command).chain(used).flat_map(Command::get_arguments);
    let arg = arg.into_iter().find(|arg| arg.to_string() == *name);
    if let Some(tip) = arg.and_then(|arg| tip(&error, arg)) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}
