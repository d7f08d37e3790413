//! Tokens and tokens files.

use std::process::Command;

use super::certificates::Files;
use super::process::{bare_command, outcome};

/// Adds the tokens file of `files` to a command.
pub(crate) fn with_tokens(mut command: Command, files: &Files) -> Command {
    command.arg("--tokens").arg(files.path("tokens"));
    command
}

/// Runs `movie-service token`; returns the token and its line for the tokens file.
pub(crate) fn make_token(name: &str, role: &str) -> (String, String) {
    let (status, stdout, stderr) = outcome(bare_command().args(["token", name, "--role", role]));
    assert!(status.success(), "{stderr}");
    let line_with =
        |start: &str| stdout.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    (line_with("movie_"), line_with(&format!("{name} {role} ")))
}
