//! The flags and environment variables.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::FalseyValueParser;

use crate::server::Limits;
use crate::server::limits::parse_time;
use crate::server::listen::Address;

/// Serves a movie database over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-service", version)]
pub struct Config {
    /// Address and port to listen on, or unix:PATH; `[::]` takes IPv4 connections too, port 0 picks a free port.
    #[arg(long, env = "MOVIE_LISTEN", value_name = "ADDRESS", default_value = "[::]:3001")]
    pub listen: Address,

    /// JSON file with the movies; `databases/README.md` describes the format.
    #[arg(long, env = "MOVIE_DATABASE", value_name = "FILE", default_value = "databases/movies.json")]
    pub database: PathBuf,

    /// Do not print `Movie found!` for each movie that is found.
    #[arg(long, env = "MOVIE_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// How long calls in flight may take to end once the service is asked to stop.
    #[arg(long, env = "MOVIE_GRACE", value_name = "TIME", default_value = "20s", value_parser = parse_time)]
    pub grace: Duration,

    /// How long to go on accepting calls then, so that a load balancer notices first.
    #[arg(long, env = "MOVIE_PAUSE", value_name = "TIME", default_value = "0", value_parser = parse_time)]
    pub pause: Duration,

    /// Limit on what a peer may do, for example idle=5m; `docs/operations.md` lists them.
    #[arg(long = "limit", env = "MOVIE_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = limit)]
    limits: Vec<String>,
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

    /// Returns the limits, of which the last of each name counts.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for limit in &self.limits {
            // Each was checked when the command line was read.
            let _ = limits.set(limit);
        }
        limits
    }
}

fn limit(text: &str) -> Result<String, String> {
    Limits::default().set(text).map(|()| text.to_owned())
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
        assert_eq!(config.limits(), Limits::default());
    }

    #[test]
    fn limits_are_set_one_by_one() {
        let config =
            Config::try_parse_from(["movie-service", "--limit", "idle=1s,age=2s", "--limit", "idle=3s"]);
        let limits = config.unwrap().limits();
        assert_eq!((limits.idle, limits.age), (Duration::from_secs(3), Duration::from_secs(2)));
    }
}
