//! Flags and environment variables.

mod command;
mod database;
mod variables;

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser};

pub use self::command::Command;
pub use self::database::Database;
use crate::catalogue::DEFAULT_KEPT_CHANGES;
use crate::server::accept::listener::Address;
use crate::server::accept::tls::TlsFiles;
use crate::server::call::dispatch::Features;
use crate::server::call::origin::Origin;
use crate::server::call::page::poster_origin::PosterOrigin;
use crate::server::limits::{Limits, parse_duration};
use crate::telemetry::log::LogFormat;

/// Help headings of the flags.
const CALLERS: &str = "Callers";
const FEATURES: &str = "Features";
const LOG: &str = "Log and metrics";
const MOVIES: &str = "Movies";
const STOP: &str = "Stop";

/// What follows the flags in the help, and in the manual page.
const EXAMPLES: &str = "\
Examples:
  movie-service --listen 127.0.0.1:3001
      Serve databases/movies.json to callers on this machine.
  movie-service --database sqlite:movies.db --listen 127.0.0.1:3001
      --allow-anonymous-writes
      Serve a store that callers on this machine may write.
  movie-service --database sqlite:movies.db --tokens tokens
      --tls-cert server.pem --tls-key server.key
      Serve a store to a network, to callers who have a token.

Signals: SIGTERM and SIGINT stop the service; calls in flight may end. SIGHUP
reads the JSON file, the certificates and the tokens again.

Exit codes: 0 stopped, 1 error, 130 ended by a second signal.

Documentation: docs/operations/README.md of the sources.";

/// Serves a movie database over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-service", version, args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub struct Config {
    /// Address and port to listen on, or unix:PATH; `[::]` also accepts IPv4 connections, port 0 picks a free port.
    #[arg(help_heading = CALLERS, long, env = "MOVIE_LISTEN", value_name = "ADDRESS", default_value = "[::]:3001", value_parser = address)]
    pub listen: Address,

    /// Database of movies: a JSON file, which is only read, or sqlite:PATH, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        help_heading = MOVIES,
        long,
        env = "MOVIE_DATABASE",
        value_name = "DATABASE",
        default_value = "databases/movies.json",
        hide_env_values = true
    )]
    pub database: Database,

    /// Number of recent changes to keep for watchers and other nodes; each takes about 80 bytes of memory, and those of the movie before it.
    #[arg(help_heading = MOVIES, long, env = "MOVIE_KEEP_CHANGES", value_name = "NUMBER", default_value_t = DEFAULT_KEPT_CHANGES)]
    pub keep_changes: usize,

    /// Do not print `Movie found!` for each movie that a caller finds.
    #[arg(help_heading = LOG, long, env = "MOVIE_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Time for calls in flight to end after a stop request.
    #[arg(help_heading = STOP, long, env = "MOVIE_GRACE", value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    pub grace: Duration,

    /// Time to keep accepting calls after a stop request, so that load balancers notice first.
    #[arg(help_heading = STOP, long, env = "MOVIE_PAUSE", value_name = "TIME", default_value = "0", value_parser = parse_duration)]
    pub pause: Duration,

    /// Limit on the resources that a peer may use, for example idle=5m; `docs/operations/limits.md` lists them.
    #[arg(help_heading = CALLERS, long = "limit", env = "MOVIE_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = limit)]
    limits: Vec<Option<String>>,

    #[command(flatten)]
    tls: TlsFlags,

    /// Tokens file: the callers and their roles, by token or client certificate; without it, everybody may read.
    #[arg(help_heading = CALLERS, long, env = "MOVIE_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Let everybody write; has no effect with --tokens.
    #[arg(help_heading = CALLERS, long, env = "MOVIE_ALLOW_ANONYMOUS_WRITES", value_parser = BoolishValueParser::new())]
    pub allow_anonymous_writes: bool,

    /// Log levels, as in `RUST_LOG`: a level, and `MODULE=LEVEL` for single modules.
    #[arg(help_heading = LOG, long, env = "MOVIE_LOG", value_name = "LEVELS")]
    pub log: Option<String>,

    /// Format of the log.
    #[arg(help_heading = LOG, long, env = "MOVIE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Address and port for /metrics, /livez and /readyz.
    #[arg(help_heading = LOG, long, env = "MOVIE_METRICS", value_name = "ADDRESS", value_parser = tcp_address)]
    pub metrics: Option<SocketAddr>,

    #[command(flatten)]
    features: FeatureFlags,

    /// A command to run instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Optional features of the server.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Args, Clone, Debug)]
struct FeatureFlags {
    /// The page at `/`, JSON over HTTP, and gRPC-Web for pages of the service itself.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_HTTP", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    http: bool,

    /// Origin whose pages may call, for example `https://films.example`, or `*` for all.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_WEB_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin::<Origin>)]
    web_origin: Vec<Option<Origin>>,

    /// Origin that the page may load posters from, for example `https://posters.example`; without one, it draws them.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_POSTER_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin::<PosterOrigin>)]
    poster_origin: Vec<Option<PosterOrigin>>,

    /// Search: an index of titles and people, which takes about 40 bytes a movie.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_SEARCH", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    search: bool,

    /// Compress response messages of 1 KiB or more for callers that accept gzip.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_GZIP", value_parser = BoolishValueParser::new())]
    gzip: bool,

    /// Serve gRPC health checks.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_HEALTH", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    health: bool,

    /// Serve gRPC server reflection.
    #[arg(help_heading = FEATURES, long, env = "MOVIE_REFLECTION", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    reflection: bool,
}

/// The files for TLS.
#[derive(Args, Clone, Debug)]
struct TlsFlags {
    /// Certificate chain of the service, in PEM; turns TLS on.
    #[arg(help_heading = CALLERS, long = "tls-cert", env = "MOVIE_TLS_CERT", value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(help_heading = CALLERS, long = "tls-key", env = "MOVIE_TLS_KEY", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Authorities of client certificates, in PEM; each caller then needs a certificate.
    #[arg(help_heading = CALLERS, long = "tls-client-ca", env = "MOVIE_TLS_CLIENT_CA", value_name = "FILE", requires = "cert")]
    client_ca: Option<PathBuf>,
}

impl Config {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    ///
    /// A one-line message if a flag or a value is invalid, or a variable that must have a value is empty. `--help` and
    /// `--version` print and exit.
    pub fn from_env() -> anyhow::Result<Self> {
        let declared = Self::command();
        let used = env::args_os().nth(1).and_then(|word| declared.find_subcommand(word));
        let mut command = variables::ignore_empty(declared.clone());
        if used.is_some() {
            // The variables of the service do not matter to a command.
            command = command.mut_args(|arg| arg.env(Resettable::Reset));
        }
        let parsed = command.try_get_matches_from_mut(env::args_os());
        let parsed = parsed.and_then(|matches| Ok((Self::from_arg_matches(&matches)?, matches)));
        let (config, matches) = parsed.map_err(|error| {
            let error = error.format(&mut command);
            if !error.use_stderr() {
                error.exit();
            }
            let mut text = error.to_string();
            if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
                text = text.replace(value.as_str(), &without_password(value));
            }
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = superfluous_word(&error, &declared).unwrap_or(line);
            let similar = similar_flag(&error).unwrap_or_default();
            let used = used.map(|used| format!("{} ", used.get_name())).unwrap_or_default();
            anyhow::anyhow!("{line}{similar}; see `movie-service {used}--help`")
        })?;
        if config.command.is_none() {
            variables::check(&declared, &matches)?;
        }
        Ok(config)
    }

    /// Returns the limits. If a limit is given twice, the last value counts.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for limit in self.limits.iter().flatten() {
            // Cannot fail: clap has validated each limit.
            let _ = limits.set(limit);
        }
        limits
    }

    /// Returns the optional features.
    #[must_use]
    pub fn features(&self) -> Features {
        let FeatureFlags { http, web_origin, poster_origin, gzip, health, reflection, search } =
            self.features.clone();
        let web = web_origin.into_iter().flatten().collect();
        let poster_origins = poster_origin.into_iter().flatten().collect();
        Features { health, reflection, search, gzip, http, web, poster_origins }
    }

    /// Returns the files for TLS, if it is on.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        let TlsFlags { cert, key, client_ca } = self.tls.clone();
        Some(TlsFiles { cert: cert?, key: key?, client_ca })
    }

    /// Returns whether callers send their tokens unencrypted over a network, if the service listens on `address`:
    /// `self.listen`, or the address of a socket from systemd.
    #[must_use]
    pub fn sends_tokens_unencrypted(&self, address: &Address) -> bool {
        address.is_on_network() && self.tokens.is_some() && self.tls().is_none()
    }

    /// Returns whether everybody on a network may write, if the service listens on `address` and the store can be
    /// written.
    #[must_use]
    pub fn lets_network_write(&self, address: &Address) -> bool {
        let needs_certificate = self.tls().is_some_and(|tls| tls.client_ca.is_some());
        address.is_on_network() && self.tokens.is_none() && self.allow_anonymous_writes && !needs_certificate
    }
}

/// Names the flag that resembles an unknown one.
fn similar_flag(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::SuggestedArg) else { return None };
    Some(format!(", but `{flag}` is known"))
}

/// Describes a word that is neither a flag's value nor a subcommand, such as in `--quiet yes`. clap takes it for an unknown
/// subcommand.
fn superfluous_word(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    if command.find_subcommand(word).is_some() {
        return None;
    }
    let words: Vec<_> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let before = words.windows(2).find(|pair| pair[1] == *word).map(|pair| pair[0].as_str());
    let word = without_password(word);
    Some(match before {
        Some(flag) if flag.starts_with("--") => {
            format!("unexpected `{word}` after {flag}, which takes no value")
        }
        _ if word.contains(['.', '/', ':']) => {
            format!("unexpected argument `{word}`; a database is given as --database {word}")
        }
        _ => {
            let commands: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
            format!("there is no command `{word}`, expected one of {}", commands.join(", "))
        }
    })
}

/// Returns an argument with its password hidden. The argument may be an invalid URL.
fn without_password(value: &str) -> String {
    let hidden = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user_info, rest) = rest.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{rest}"))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

/// Validates a limit. Empty text, as after a trailing comma, is ignored.
fn limit(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { Limits::default().set(text).map(|()| Some(text.to_owned())) }
}

/// Parses an origin. Empty text, as after a trailing comma, is ignored.
fn origin<O: FromStr>(text: &str) -> Result<Option<O>, O::Err> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Parses an address, ignoring surrounding blanks.
fn address(text: &str) -> Result<Address, &'static str> {
    text.trim().parse()
}

/// Parses an IP address and a port, ignoring surrounding blanks.
fn tcp_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.trim().parse().map_err(|_| "expected an IP address and a port, for example 127.0.0.1:9000")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Config {
        Config::try_parse_from([&["movie-service"], args].concat()).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_the_course_with_health_and_reflection() {
        let config = parse(&[]);
        assert_eq!(config.listen.to_string(), "[::]:3001");
        assert_eq!(config.database, Database::Json("databases/movies.json".into()));
        assert_eq!(config.limits(), Limits::default());
        let Features { health, reflection, search, gzip, http, web, poster_origins } = config.features();
        assert!(health && reflection && search && http && !gzip);
        assert!(web.is_empty() && poster_origins.is_empty());
        assert!(!config.quiet && !config.allow_anonymous_writes);
        assert!(config.tls().is_none() && config.tokens.is_none());
    }

    /// Returns the help text of a flag.
    fn help(flag: &str) -> String {
        let help = Config::command().render_long_help().to_string();
        let (_, about) = help.split_once(&format!("      {flag}")).unwrap();
        about.split("\n      --").next().unwrap().to_owned()
    }

    #[test]
    fn switches_are_on_or_off_in_the_help_and_accept_other_spellings() {
        for flag in ["--health", "--reflection"] {
            let help = help(flag);
            assert!(help.starts_with(" <on|off>") && !help.contains("true"), "{help}");
            for (words, expected) in
                [(["on", "true", "yes", "1", "ON"], true), (["off", "false", "no", "0", "Off"], false)]
            {
                for word in words {
                    let Features { health, reflection, .. } = parse(&[flag, word]).features();
                    let is_on = if flag == "--health" { health } else { reflection };
                    assert_eq!(is_on, expected, "{flag} {word}");
                }
            }
            let error = Config::try_parse_from(["movie-service", flag, "maybe"]).unwrap_err().to_string();
            assert!(error.contains("'maybe'") && error.contains(&format!("{flag} <on|off>")), "{error}");
        }
    }

    #[test]
    fn an_address_for_metrics_that_is_none_is_refused_with_an_example() {
        let error = Config::try_parse_from(["movie-service", "--metrics", "foo"]).unwrap_err().to_string();
        assert!(error.contains("expected an IP address and a port, for example 127.0.0.1:9000"), "{error}");
    }

    #[test]
    fn the_help_says_that_anonymous_writes_have_no_effect_with_a_tokens_file() {
        let help = help("--allow-anonymous-writes");
        assert!(help.contains("no effect with --tokens"), "{help}");
    }

    #[test]
    fn later_limits_override_earlier_ones() {
        let limits = parse(&["--limit", "idle=1s,age=2s", "--limit", "idle=3s"]).limits();
        assert_eq!((limits.idle, limits.age), (Duration::from_secs(3), Duration::from_secs(2)));
    }

    #[test]
    fn tokens_are_sent_unencrypted_without_tls_except_on_this_machine() {
        let sends_on = |address: &str, flags: &[&str]| {
            parse(flags).sends_tokens_unencrypted(&address.parse::<Address>().unwrap())
        };
        assert!(sends_on("[::]:3001", &["--tokens", "t"]));
        assert!(sends_on("192.0.2.1:1", &["--tokens", "t", "--listen", "127.0.0.1:1"]));
        assert!(!sends_on("127.0.0.1:1", &["--tokens", "t"]));
        assert!(!sends_on("[::ffff:127.0.0.1]:1", &["--tokens", "t"]));
        assert!(!sends_on("unix:socket", &["--tokens", "t"]));
        assert!(!sends_on("[::]:3001", &["--tokens", "t", "--tls-cert", "c", "--tls-key", "k"]));
        assert!(!sends_on("[::]:3001", &[]));
    }

    #[test]
    fn everybody_on_a_network_may_write_unless_tokens_or_certificates_are_needed() {
        let lets_on = |address: &str, flags: &[&str]| {
            parse(flags).lets_network_write(&address.parse::<Address>().unwrap())
        };
        let all = "--allow-anonymous-writes";
        assert!(lets_on("0.0.0.0:1", &[all, "--listen", "127.0.0.1:1"]));
        assert!(!lets_on("127.0.0.1:1", &[all]));
        assert!(!lets_on("0.0.0.0:1", &[]));
        assert!(!lets_on("0.0.0.0:1", &[all, "--tokens", "t"]));
        let tls = ["--tls-cert", "c", "--tls-key", "k", "--tls-client-ca", "a"];
        assert!(!lets_on("0.0.0.0:1", &[&[all], &tls[..]].concat()));
    }
}
