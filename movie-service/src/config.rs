//! The flags and environment variables.

mod variables;

use std::env;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::catalogue::DEFAULT_KEPT_CHANGES;
use crate::rpc::Role;
use crate::server::accept::listener::Address;
use crate::server::accept::tls::TlsFiles;
use crate::server::call::dispatch::Offers;
use crate::server::call::grpc_web::{InvalidOrigin, Origin};
use crate::server::limits::{Limits, parse_time};
use crate::store::sql::{PostgresUrl, Source};
use crate::telemetry::log::LogFormat;

/// Serves a movie database over gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-service", version, args_conflicts_with_subcommands = true)]
pub struct Config {
    /// Address and port to listen on, or unix:PATH; `[::]` takes IPv4 connections too, port 0 picks a free port.
    #[arg(long, env = "MOVIE_LISTEN", value_name = "ADDRESS", default_value = "[::]:3001", value_parser = address::<Address>)]
    pub listen: Address,

    /// Where the movies are: a JSON file, which is only read, or sqlite:PATH, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    #[arg(
        long,
        env = "MOVIE_DATABASE",
        value_name = "DATABASE",
        default_value = "databases/movies.json",
        hide_env_values = true
    )]
    pub database: Database,

    /// Changes that a store keeps for those who follow them; about half a kilobyte of memory each.
    #[arg(long, env = "MOVIE_KEEP_CHANGES", value_name = "NUMBER", default_value_t = DEFAULT_KEPT_CHANGES)]
    pub keep_changes: usize,

    /// Do not print `Movie found!` for each movie that is found.
    #[arg(long, env = "MOVIE_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// How long calls in flight may take to end once the service is asked to stop.
    #[arg(long, env = "MOVIE_GRACE", value_name = "TIME", default_value = "20s", value_parser = parse_time)]
    pub grace: Duration,

    /// How long to go on accepting calls then, so that a load balancer notices first.
    #[arg(long, env = "MOVIE_PAUSE", value_name = "TIME", default_value = "0", value_parser = parse_time)]
    pub pause: Duration,

    /// Limit on what a peer may do, for example idle=5m; `docs/operations/limits.md` lists them.
    #[arg(long = "limit", env = "MOVIE_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',', value_parser = limit)]
    limits: Vec<Option<String>>,

    #[command(flatten)]
    tls: TlsFlags,

    /// File with who may call, by token or client certificate; without it, everybody may read.
    #[arg(long, env = "MOVIE_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Let everybody write; has no effect beside --tokens.
    #[arg(long, env = "MOVIE_ALLOW_ANONYMOUS_WRITES", value_parser = BoolishValueParser::new())]
    pub allow_anonymous_writes: bool,

    /// What to log, as in `RUST_LOG`: a level, and `MODULE=LEVEL` for parts.
    #[arg(long, env = "MOVIE_LOG", value_name = "LEVELS")]
    pub log: Option<String>,

    /// Form of the log.
    #[arg(long, env = "MOVIE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Address and port for /metrics, /livez and /readyz.
    #[arg(long, env = "MOVIE_METRICS", value_name = "ADDRESS", value_parser = address::<SocketAddr>)]
    pub metrics: Option<SocketAddr>,

    #[command(flatten)]
    offers: OffersFlags,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What is offered beside the movies.
#[derive(Args, Clone, Debug)]
struct OffersFlags {
    /// Origin whose pages may call by gRPC-Web, for example <https://films.example>, or `*` for all.
    #[arg(long, env = "MOVIE_WEB_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    web_origin: Vec<Option<Origin>>,

    /// Compress response messages of 1 KiB or more for callers that accept gzip.
    #[arg(long, env = "MOVIE_GZIP", value_parser = BoolishValueParser::new())]
    gzip: bool,

    /// Answer health checks over gRPC.
    #[arg(long, env = "MOVIE_HEALTH", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    health: bool,

    /// Answer questions about the contract (server reflection).
    #[arg(long, env = "MOVIE_REFLECTION", value_name = "on|off", default_value = "on", hide_possible_values = true, action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    reflection: bool,
}

/// The files that TLS takes.
#[derive(Args, Clone, Debug)]
struct TlsFlags {
    /// Certificate to show, in PEM, with those that lead to its authority: turns TLS on.
    #[arg(long = "tls-cert", env = "MOVIE_TLS_CERT", value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long = "tls-key", env = "MOVIE_TLS_KEY", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// Authorities of client certificates, in PEM; with it, each caller has to show one.
    #[arg(long = "tls-client-ca", env = "MOVIE_TLS_CLIENT_CA", value_name = "FILE", requires = "cert")]
    client_ca: Option<PathBuf>,
}

/// What the program can do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make a token for a caller: prints the token and, below it, its line for the tokens file.
    Token {
        /// Who gets the token: one word.
        name: String,
        /// What the caller may do: reader or writer.
        #[arg(long)]
        role: Role,
    },
    /// Add the movies of JSON files to a store, or replace those that differ; run again, it goes on where it was.
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
        /// The store, which may be in use: sqlite:PATH, or `postgres://USER:PASSWORD@HOST/DATABASE`.
        #[arg(long, env = "MOVIE_DATABASE", value_name = "DATABASE", hide_env_values = true)]
        database: Database,
        /// The file to write; `-`, or none, is standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Where movies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// A JSON file.
    Json(PathBuf),
    /// A store.
    Sql(Source),
}

impl FromStr for Database {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err("expected a path after `sqlite:`".into()),
                path if path.contains(":memory:") || path.contains("mode=memory") => Err(
                    "a database in memory keeps nothing; name a file, as in sqlite:movies.db, or serve a JSON file"
                        .into(),
                ),
                path if path.contains('?') => Err("expected a path without options after `?`".into()),
                path => Ok(Self::Sql(Source::Sqlite(path.into()))),
            },
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                let url = text.parse::<PostgresUrl>().map_err(|error| error.to_string())?;
                Ok(Self::Sql(Source::Postgres(Box::new(url))))
            }
            Some((scheme, rest)) if rest.starts_with("//") => Err(format!(
                "`{scheme}` is no kind of database, expected a JSON file, sqlite:PATH or postgres://…"
            )),
            _ if text.is_empty() => Err("expected a JSON file, sqlite:PATH or postgres://…".into()),
            _ => Ok(Self::Json(text.into())),
        }
    }
}

/// As it was given, but for a password and the options.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(path) => path.display().fmt(f),
            Self::Sql(source) => source.fmt(f),
        }
    }
}

impl Config {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    ///
    /// A sentence in one line if a flag or a value is not known, or a variable is empty that may not be. `--help` and `--version` print and exit.
    pub fn from_env() -> anyhow::Result<Self> {
        let declared = Self::command();
        let mut command = variables::ignore_empty(declared.clone());
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
            anyhow::anyhow!("{line}; see `movie-service --help`")
        })?;
        if config.command.is_none() {
            variables::check(&declared, &matches)?;
        }
        Ok(config)
    }

    /// Returns the limits, of which the last of each name counts.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for limit in self.limits.iter().flatten() {
            // Each was checked when the command line was read.
            let _ = limits.set(limit);
        }
        limits
    }

    /// Returns what is offered beside the movies.
    #[must_use]
    pub fn offers(&self) -> Offers {
        let OffersFlags { web_origin, gzip, health, reflection } = self.offers.clone();
        Offers { health, reflection, gzip, web: web_origin.into_iter().flatten().collect() }
    }

    /// Returns the files for TLS, if it is on.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        let TlsFlags { cert, key, client_ca } = self.tls.clone();
        Some(TlsFiles { cert: cert?, key: key?, client_ca })
    }

    /// Returns whether tokens would travel where others can read them.
    #[must_use]
    pub fn shows_tokens(&self) -> bool {
        let is_far = match &self.listen {
            Address::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Address::Unix(_) => false,
        };
        is_far && self.tokens.is_some() && self.tls().is_none()
    }
}

/// Returns a value for people to read: what may be the password of a URL is left out, however wrong the URL is.
fn without_password(value: &str) -> String {
    let hidden = || {
        let (scheme, rest) = value.split_once("://")?;
        let (user_info, rest) = rest.rsplit_once('@')?;
        let (user, _) = user_info.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{rest}"))
    };
    hidden().unwrap_or_else(|| value.to_owned())
}

/// Checks a limit. Nothing, as after the last comma, is none.
fn limit(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { Limits::default().set(text).map(|()| Some(text.to_owned())) }
}

/// Reads an origin. Nothing, as after the last comma, is none.
fn origin(text: &str) -> Result<Option<Origin>, InvalidOrigin> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Reads an address, which may have blanks around it.
fn address<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
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
    fn a_database_is_known_by_how_it_starts_and_shown_without_its_password() {
        let shown = |text: &str| text.parse::<Database>().map(|database| database.to_string());
        assert_eq!(shown("movies.json").unwrap(), "movies.json");
        assert_eq!(shown("a:b.json").unwrap(), "a:b.json");
        assert_eq!(shown("sqlite:films.db").unwrap(), "sqlite:films.db");
        assert_eq!(shown("sqlite:///srv/films.db").unwrap(), "sqlite:/srv/films.db");
        let url = "postgres://me:p%40ss@host:1,other/films?sslmode=require";
        assert_eq!(shown(url).unwrap(), "postgres://host:1,other:5432/films");
        assert_eq!(shown("postgresql://host/films").unwrap(), "postgres://host:5432/films");
        for wrong in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:films.db?mode=ro",
            "mysql://host/films",
            "https://films.example",
        ] {
            shown(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_defaults_are_the_course_s_and_offer_what_harms_nobody() {
        let config = parse(&[]);
        assert_eq!(config.listen.to_string(), "[::]:3001");
        assert_eq!(config.database, Database::Json("databases/movies.json".into()));
        assert_eq!(config.limits(), Limits::default());
        let Offers { health, reflection, gzip, web } = config.offers();
        assert!(health && reflection && !gzip && web.is_empty());
        assert!(!config.quiet && !config.allow_anonymous_writes);
        assert!(config.tls().is_none() && config.tokens.is_none());
    }

    /// Returns what the help says about a flag, in full.
    fn help(flag: &str) -> String {
        let help = Config::command().render_long_help().to_string();
        let (_, about) = help.split_once(&format!("      {flag}")).unwrap();
        about.split("\n      --").next().unwrap().to_owned()
    }

    #[test]
    fn what_is_on_or_off_is_so_in_the_help_and_may_be_said_in_other_words() {
        for flag in ["--health", "--reflection"] {
            let help = help(flag);
            assert!(help.starts_with(" <on|off>") && !help.contains("true"), "{help}");
            for (words, expected) in
                [(["on", "true", "yes", "1", "ON"], true), (["off", "false", "no", "0", "Off"], false)]
            {
                for word in words {
                    let Offers { health, reflection, .. } = parse(&[flag, word]).offers();
                    let said = if flag == "--health" { health } else { reflection };
                    assert_eq!(said, expected, "{flag} {word}");
                }
            }
            let error = Config::try_parse_from(["movie-service", flag, "maybe"]).unwrap_err().to_string();
            assert!(error.contains("'maybe'") && error.contains(&format!("{flag} <on|off>")), "{error}");
        }
    }

    #[test]
    fn the_help_says_that_anonymous_writes_have_no_effect_beside_a_tokens_file() {
        let help = help("--allow-anonymous-writes");
        assert!(help.contains("no effect beside --tokens"), "{help}");
    }

    #[test]
    fn limits_are_set_one_by_one() {
        let limits = parse(&["--limit", "idle=1s,age=2s", "--limit", "idle=3s"]).limits();
        assert_eq!((limits.idle, limits.age), (Duration::from_secs(3), Duration::from_secs(2)));
    }

    #[test]
    fn tokens_without_tls_are_shown_to_others_but_on_this_machine() {
        assert!(parse(&["--tokens", "t"]).shows_tokens());
        assert!(!parse(&["--tokens", "t", "--listen", "127.0.0.1:1"]).shows_tokens());
        assert!(!parse(&["--tokens", "t", "--listen", "unix:socket"]).shows_tokens());
        assert!(!parse(&["--tokens", "t", "--tls-cert", "c", "--tls-key", "k"]).shows_tokens());
        assert!(!parse(&[]).shows_tokens());
    }
}
