//! The command line.

use clap::{Parser, Subcommand};

/// Calls the movie service. Without a command it makes the course's two calls.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-client", version)]
pub struct Args {
    /// Where the service is.
    #[arg(
        long,
        env = "MOVIE_ADDRESS",
        value_name = "HOST:PORT",
        default_value = "localhost:3001",
        global = true
    )]
    pub address: String,

    /// What to call.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to call.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the movie that has an id.
    Get {
        /// The id.
        id: String,
    },
    /// Print the title of every movie.
    List,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
