//! The flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use clap::builder::FalseyValueParser;

/// Serves a movie database over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-service", version)]
pub struct Config {
    /// Address and port to listen on; `[::]` takes IPv4 connections too, port 0 picks a free port.
    #[arg(long, env = "MOVIE_LISTEN", value_name = "ADDRESS", default_value = "[::]:3001", value_parser = address)]
    pub listen: SocketAddr,

    /// JSON file with the movies; `databases/README.md` describes the format.
    #[arg(long, env = "MOVIE_DATABASE", value_name = "FILE", default_value = "databases/movies.json")]
    pub database: PathBuf,

    /// Do not print `Movie found!` for each movie that is found.
    #[arg(long, env = "MOVIE_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,
}

impl Config {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    ///
    /// A sentence in one line if a flag or a value is not known. `--help` and `--version` print and exit.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
            anyhow::anyhow!("{line}; see `movie-service --help`")
        })
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, for example [::]:3001 or 127.0.0.1:3001")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_course_s() {
        let config = Config::try_parse_from(["movie-service"]).unwrap();
        assert_eq!(config.listen.to_string(), "[::]:3001");
        assert_eq!(config.database, PathBuf::from("databases/movies.json"));
        assert!(!config.quiet);
    }
}
