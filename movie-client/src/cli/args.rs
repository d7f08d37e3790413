//! Command-line arguments.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use super::bench::args::Bench;
use super::field_flags::{Fields, clearable};
use super::output::Format;
use super::parse::{decade, etag, facet, list_item, max_hits, number, rating, time, tries, word};
use crate::address::InvalidAddress;
use crate::{Address, Field, Filter, Query, SearchQuery};

/// Client of the movie service. Without a command, it makes the two calls of the course.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-client", version, after_help = EXIT_CODES_HELP)]
pub struct Args {
    /// Output format; by default a table on a terminal, and ndjson elsewhere. `export` and the call without a command
    /// ignore it.
    #[arg(short, long, env = "MOVIE_OUTPUT", value_enum, value_name = "FORM", global = true, help_heading = OUTPUT_HEADING)]
    pub output: Option<Format>,

    /// Log each step with its duration on standard error.
    #[arg(short, long, env = "MOVIE_VERBOSE", value_parser = BoolishValueParser::new(), global = true, help_heading = OUTPUT_HEADING)]
    pub verbose: bool,

    /// How to reach the service.
    // Flattened last, because its heading applies to all flags after it.
    #[command(flatten)]
    pub connection: ConnectionArgs,

    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Help heading of the output flags.
const OUTPUT_HEADING: &str = "Output";

/// Exit codes. `docs/client.md` lists them, too.
const EXIT_CODES_HELP: &str = "Exit codes: 0 success, 1 no such movie, 2 invalid command line, 3 request refused, 4 not serving, \
    5 unreachable or unavailable, 6 deadline exceeded, 7 not allowed, 8 other failure, 9 most rows rejected, \
    10 watch cannot resume, 130 interrupted";

/// How to reach the service.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Address of the service: HOST:PORT, https://HOST:PORT or unix:PATH. Calls are balanced over several addresses.
    #[arg(
        long = "address",
        env = "MOVIE_ADDRESS",
        value_name = "ADDRESS",
        default_value = "localhost:3001",
        value_delimiter = ',',
        value_parser = list_item::<AddressArg>,
        global = true
    )]
    pub addresses: Vec<Option<AddressArg>>,

    /// Use TLS, as with `https` in the address.
    #[arg(long, env = "MOVIE_TLS", value_parser = BoolishValueParser::new(), global = true)]
    pub tls: bool,

    /// PEM file of the certificate authorities to trust instead of the system's; implies TLS.
    #[arg(long, env = "MOVIE_TLS_CA", value_name = "FILE", global = true)]
    pub tls_ca: Option<PathBuf>,

    /// PEM file of the client's certificate; implies TLS.
    #[arg(long, env = "MOVIE_CLIENT_CERT", value_name = "FILE", requires = "client_key", global = true)]
    pub client_cert: Option<PathBuf>,

    /// PEM file of the private key of this certificate.
    #[arg(long, env = "MOVIE_CLIENT_KEY", value_name = "FILE", requires = "client_cert", global = true)]
    pub client_key: Option<PathBuf>,

    /// Bearer token of the caller. The environment variable hides it from the process list.
    #[arg(long, env = "MOVIE_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,

    /// Deadline of a call, and in a stream of each item: `500ms`, `10s`, `2m`.
    #[arg(long, env = "MOVIE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = time, global = true)]
    pub timeout: Duration,

    /// Maximum number of attempts for a call that is safe to repeat.
    #[arg(long, env = "MOVIE_TRIES", value_name = "NUMBER", default_value_t = 5, value_parser = tries, global = true)]
    pub tries: u32,
}

/// An address, and whether it begins with `http://`, which rules out TLS.
#[derive(Clone, Debug)]
pub struct AddressArg {
    /// The address.
    pub address: Address,
    /// Whether the address rules out TLS.
    pub forbids_tls: bool,
}

impl FromStr for AddressArg {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { address: text.parse()?, forbids_tls: text.starts_with("http://") })
    }
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the movie with an id.
    Get {
        /// The id.
        id: String,
    },
    /// List movies.
    List(List),
    /// Search movies by words of their titles and people; typing errors are forgiven.
    ///
    /// Without words, on a terminal, the results change with each key.
    Search(Search),
    /// Print the movies with these ids, all at one revision.
    Batch {
        /// The ids, up to 1,000.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Look up ids from standard input, one per line, as they arrive.
    Lookup,
    /// Add a movie.
    Create(Create),
    /// Update the given fields of a movie.
    Update(Update),
    /// Delete a movie; prints nothing.
    Delete(Delete),
    /// Import movies from files, and replace existing ones.
    Import(Import),
    /// Write all movies as a JSON database, which the service and `import` can read.
    Export {
        /// The file; `-`, or none, for standard output.
        file: Option<PathBuf>,
    },
    /// Print changes as they happen, each once and in order, also across reconnects.
    Watch(Watch),
    /// Print the state of the catalogue.
    Info,
    /// Print the health of the service.
    Health {
        /// A gRPC service, such as `movie.catalog.v1.MovieCatalog`; by default the whole server.
        #[arg(default_value = "", hide_default_value = true)]
        service: String,
    },
    /// Measure the throughput and the latency of the service.
    Bench(Bench),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page; `movie-client man | man -l -` shows it.
    Man {
        /// Write it, and a page for each command, into this directory.
        directory: Option<PathBuf>,
    },
}

/// Filter of a list or a search.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct FilterArgs {
    /// Year.
    #[arg(
        long,
        value_name = "YEAR",
        value_parser = number::<u32>,
        allow_negative_numbers = true,
        conflicts_with_all = ["year_from", "year_to"]
    )]
    pub year: Option<u32>,

    /// Earliest year.
    #[arg(long, value_name = "YEAR", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub year_from: Option<u32>,

    /// Latest year.
    #[arg(long, value_name = "YEAR", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub year_to: Option<u32>,

    /// Lowest rating.
    #[arg(long, value_name = "RATING", value_parser = rating, allow_negative_numbers = true)]
    pub rating_min: Option<f32>,

    /// First year of a decade, such as 1990; several, or a comma-separated list, match any of them.
    #[arg(long = "decade", value_name = "YEAR", value_delimiter = ',', value_parser = decade, allow_negative_numbers = true)]
    pub decades: Vec<u32>,

    /// Genre; several, or a comma-separated list, match any of them. Case and accents do not matter, as in all texts.
    #[arg(long = "genre", value_name = "GENRE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub genres: Vec<String>,

    /// Country of production; several as with genres.
    #[arg(long = "country", value_name = "COUNTRY", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub countries: Vec<String>,

    /// Language; several as with genres.
    #[arg(long = "language", value_name = "LANGUAGE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub languages: Vec<String>,

    /// Director, or one of several.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub director: String,

    /// Actor; several, or a comma-separated list, must all be in the cast.
    #[arg(long = "cast", value_name = "NAME", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub cast: Vec<String>,

    /// Start of the title.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub title_prefix: String,
}

/// Filter and order of a list.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct List {
    /// The filter.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Order by the fields `title`, `year`, `rating`, `rating_count`, `create_time` and `update_time`, such as `rating
    /// desc,title`. Titles are in the order of a dictionary.
    #[arg(long = "order", value_name = "FIELDS", default_value = "", hide_default_value = true)]
    pub order_by: String,

    /// Maximum number of movies.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>, allow_negative_numbers = true)]
    pub limit: Option<u64>,
}

impl From<FilterArgs> for Filter {
    fn from(args: FilterArgs) -> Self {
        let FilterArgs {
            year,
            year_from,
            year_to,
            decades,
            rating_min,
            genres,
            countries,
            languages,
            director,
            cast,
            title_prefix,
        } = args;
        Self {
            year_from: year.or(year_from),
            year_to: year.or(year_to),
            rating_min,
            genres,
            countries,
            languages,
            director,
            cast,
            title_prefix,
            decades,
        }
    }
}

impl From<List> for Query {
    fn from(List { filter, order_by, limit }: List) -> Self {
        let filter = filter.into();
        // No more movies than the limit; 0 is the largest page.
        let page_size = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or_default().min(1000);
        Self { filter, order_by, page_size }
    }
}

/// Examples of searches.
const SEARCH_EXAMPLES: &str = "Examples:
  movie-client search sevn samurai
  movie-client search kurosawa --decade 1950 --order year";

/// The query of a search.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = SEARCH_EXAMPLES)]
pub struct Search {
    /// Words of titles and people; the last one may be incomplete. Without words, on a terminal, the results change with
    /// each key: the arrows choose a movie, Enter prints it, and Esc ends the search.
    pub words: Vec<String>,

    /// The filter.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Order by fields, as in `list`; by default by how well the movies match.
    #[arg(long = "order", value_name = "FIELDS", default_value = "", hide_default_value = true)]
    pub order_by: String,

    /// Maximum number of movies, up to 1,000; by default 10. While you type, up to 100, which is also the default.
    #[arg(long, value_name = "NUMBER", value_parser = max_hits, allow_negative_numbers = true)]
    pub limit: Option<u64>,

    /// Fields whose values are counted in all movies that match, after the movies; several are separated by commas.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = facet())]
    pub facets: Vec<String>,
}

impl From<Search> for SearchQuery {
    fn from(search: Search) -> Self {
        let Search { words, filter, order_by, limit: _, facets } = search;
        let filter = filter.into();
        Self { text: words.join(" "), filter, order_by, facets, ..Self::default() }
    }
}

/// The movie to add.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("title", |title| title.required(true)))]
pub struct Create {
    /// Id; by default the service generates one.
    #[arg(long, allow_hyphen_values = true)]
    pub id: Option<String>,

    /// Fields of the movie. The title is required.
    #[command(flatten)]
    pub fields: Fields,

    /// Print the movie, and add nothing. The service does not validate it.
    #[arg(long)]
    pub dry_run: bool,
}

/// The update of a movie.
#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// The id.
    pub id: String,

    /// Fields to update. Genres, countries and languages are replaced as a whole.
    #[command(flatten)]
    pub fields: Fields,

    /// Fields to clear.
    #[arg(long, value_name = "FIELD", value_parser = clearable(), value_delimiter = ',')]
    pub clear: Vec<Field>,

    /// Update only if the movie still has this etag, with or without its quotes.
    #[arg(long, value_parser = etag)]
    pub etag: Option<String>,

    /// Print the updated movie, and change nothing. The service does not validate it.
    #[arg(long)]
    pub dry_run: bool,
}

/// The movie to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct Delete {
    /// The id.
    pub id: String,

    /// Delete only if the movie still has this etag, with or without its quotes.
    #[arg(long, value_parser = etag)]
    pub etag: Option<String>,

    /// Print the movie that would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// The import.
#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    /// Movies or databases as JSON or ndjson, IMDb's `title.basics.tsv`, or MovieLens's `movies.csv`, optionally
    /// compressed with gzip. The related files of the last two are read from the same directory. `-` is standard
    /// input.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// Stop at the first invalid row instead of counting it. If the service rejects the row, up to 99 movies after it
    /// may have been written.
    #[arg(long)]
    pub strict: bool,

    /// Generate missing ids from title, year and director: the same in every import.
    #[arg(long)]
    pub make_ids: bool,

    /// Read all files, and send nothing. The service's validation rules, such as for years and genres, are not
    /// checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// The start and the end of a watch.
#[derive(Clone, Debug, clap::Args)]
pub struct Watch {
    /// Start with the first change after this revision, or after the change with this resume token.
    #[arg(long, value_name = "REVISION|TOKEN", conflicts_with = "copy", allow_negative_numbers = true)]
    pub from: Option<WatchStart>,

    /// Start with all movies as upserts.
    ///
    /// If the watch cannot resume, because the store was replaced or the changes were compacted, it requests another
    /// copy and prints only the differences.
    #[arg(long)]
    pub copy: bool,

    /// End when all earlier changes were printed.
    #[arg(long)]
    pub until_caught_up: bool,
}

/// Start of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchStart {
    /// After this revision.
    Revision(u64),
    /// After the change with this resume token.
    Token(String),
}

impl FromStr for WatchStart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(revision));
        }
        // The format of a token is private to the service. A token is one word, and it is not a number.
        let is_token = text.contains(|character: char| character.is_ascii_alphabetic())
            && text.chars().all(|character| character.is_ascii_graphic());
        let token = is_token.then(|| Self::Token(text.to_owned()));
        token.ok_or_else(|| "expected a revision, which is a whole number, or a resume token".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn words_may_have_blanks_around_their_commas() {
        let words = ["--genre", "Drama, War", "--country", " Japan ,Italy", "--language", "Italian"];
        for command in [&["list"][..], &["search", "ran"], &["create", "--title", "Ran"], &["update", "ran"]]
        {
            let args = Args::try_parse_from([&["movie-client"], command, &words].concat()).unwrap();
            let (genres, countries, languages) = match args.command {
                Some(Command::List(List { filter, .. }) | Command::Search(Search { filter, .. })) => {
                    (filter.genres, filter.countries, filter.languages)
                }
                Some(Command::Create(Create { fields, .. }) | Command::Update(Update { fields, .. })) => {
                    (fields.values.genres, fields.values.countries, fields.values.languages)
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(
                (genres, countries),
                (vec!["Drama".into(), "War".into()], vec!["Japan".into(), "Italy".into()])
            );
            assert_eq!(languages, ["Italian"]);
        }
    }
}
