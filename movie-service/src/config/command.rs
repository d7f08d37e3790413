//! The commands that do not serve.

use std::path::PathBuf;

use clap::Subcommand;
use clap_complete::Shell;

use super::Database;
use crate::rpc::Role;

/// A command to run instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Generate a token for a caller: prints the token, then the line for the tokens file.
    Token {
        /// Name of the caller: one word.
        name: String,
        /// Role of the caller: reader or writer.
        #[arg(long)]
        role: Role,
    },
    /// Add the movies of JSON files to a store, or replace those that differ; can be run again after an interruption.
    Import {
        /// JSON files; `databases/README.md` describes the format.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The store: sqlite:PATH, or `postgres://USER:PASSWORD@HOST/DATABASE`.
        #[arg(long, env = "MOVIE_DATABASE", value_name = "DATABASE", hide_env_values = true)]
        database: Database,
    },
    /// Write the movies of a store as a JSON file.
    Export {
        /// The store, which may be in use by a service: sqlite:PATH, or `postgres://USER:PASSWORD@HOST/DATABASE`.
        #[arg(long, env = "MOVIE_DATABASE", value_name = "DATABASE", hide_env_values = true)]
        database: Database,
        /// The file to write; `-`, or none, is standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page; `movie-service man | man -l -` shows it.
    Man {
        /// Write it, and a page for each command, into this directory.
        directory: Option<PathBuf>,
    },
}
