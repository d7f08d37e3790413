//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use super::bench::args::Bench;
use super::output::Format;
use super::parse::{etag, listed, number, rating, time, word};
use super::variables;
use crate::Address;

/// Calls the movie service. Without a command it makes the course's two calls.
#[derive(Clone, Debug, Parser)]
#[command(name = "movie-client", version, after_help = AFTER_HELP)]
pub struct Args {
    /// The form of what is printed; by default a table on a terminal and ndjson elsewhere. Without effect on `export` and
    /// without a command.
    #[arg(short, long, env = "MOVIE_OUTPUT", value_enum, value_name = "FORM", global = true, help_heading = PRINTED)]
    pub output: Option<Format>,

    /// Say what happens on standard error, and how long each step takes.
    #[arg(short, long, env = "MOVIE_VERBOSE", value_parser = BoolishValueParser::new(), global = true, help_heading = PRINTED)]
    pub verbose: bool,

    /// How to reach the service.
    // Its heading is that of all that follows, so nothing does.
    #[command(flatten)]
    pub reach: Reach,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Args {
    /// Reads the command line and the environment. If something is wrong with them, prints that and ends the process.
    #[must_use]
    pub fn read() -> Self {
        let mut command = variables::ignore_empty(Self::command());
        let args = Self::from_arg_matches(&command.get_matches_mut());
        args.unwrap_or_else(|error| error.format(&mut command).exit())
    }
}

/// The heading of the flags that say what is printed.
const PRINTED: &str = "What is printed";

/// The exit codes, which `docs/client.md` lists, too.
const AFTER_HELP: &str = "Exit codes: 0 done, 1 no such movie, 2 wrong command line, 3 refused, 4 not serving, \
    5 unreachable or unavailable, 6 out of time, 7 not allowed, 8 any other failure, 9 most rows rejected, \
    10 a watch cannot be resumed, 130 interrupted";

/// How to reach the service.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "How to reach the service")]
pub struct Reach {
    /// Where the service is: HOST:PORT, https://HOST:PORT or unix:PATH; several share the calls.
    #[arg(
        long = "address",
        env = "MOVIE_ADDRESS",
        value_name = "ADDRESS",
        default_value = "localhost:3001",
        value_delimiter = ',',
        value_parser = listed::<Address>,
        global = true
    )]
    pub addresses: Vec<Option<Address>>,

    /// Encrypt, as `https` in the address does.
    #[arg(long, env = "MOVIE_TLS", value_parser = BoolishValueParser::new(), global = true)]
    pub tls: bool,

    /// The certificates, in PEM, of the authorities to trust instead of the system's; encrypts.
    #[arg(long, env = "MOVIE_TLS_CA", value_name = "FILE", global = true)]
    pub tls_ca: Option<PathBuf>,

    /// The client's own certificate, in PEM; encrypts.
    #[arg(long, env = "MOVIE_CLIENT_CERT", value_name = "FILE", requires = "client_key", global = true)]
    pub client_cert: Option<PathBuf>,

    /// The private key of that certificate, in PEM.
    #[arg(long, env = "MOVIE_CLIENT_KEY", value_name = "FILE", requires = "client_cert", global = true)]
    pub client_key: Option<PathBuf>,

    /// The token that says who calls. As a variable it stays out of the list of processes.
    #[arg(long, env = "MOVIE_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,

    /// How long a call may take, and in a stream the next item: `500ms`, `10s`, `2m`.
    #[arg(long, env = "MOVIE_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = time, global = true)]
    pub timeout: Duration,

    /// How often a call that is safe to repeat is tried while the service is unavailable.
    #[arg(long, env = "MOVIE_TRIES", value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100), global = true)]
    pub tries: u32,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the movie that has an id.
    Get {
        /// The id.
        id: String,
    },
    /// List movies.
    List(List),
    /// Print the movies that have these ids, all at one revision.
    Batch {
        /// The ids, up to 1,000.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Answer ids from standard input, one a line, as they come.
    Lookup,
    /// Add a movie.
    Create(Create),
    /// Change what is named of a movie.
    Update(Update),
    /// Remove a movie; prints nothing.
    Delete(Delete),
    /// Add the movies of files, and replace those that are there.
    Import(Import),
    /// Write all movies as a database that the service and `import` read.
    Export {
        /// The file; `-`, or none, is standard output.
        file: Option<PathBuf>,
    },
    /// Print changes as they happen, once and in order, also across cuts.
    Watch(Watch),
    /// Tell about the catalogue as a whole.
    Info,
    /// Ask whether the service can be called.
    Health {
        /// A gRPC service, such as `movie.catalog.v1.MovieCatalog`; all of them without one.
        #[arg(default_value = "", hide_default_value = true)]
        service: String,
    },
    /// Measure what the service can bear.
    Bench(Bench),
    /// Print what a shell needs to complete the words of this command line.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which movies to list.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct List {
    /// Of this year or later.
    #[arg(long, value_name = "YEAR", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub year_from: Option<u32>,

    /// Of this year or earlier.
    #[arg(long, value_name = "YEAR", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub year_to: Option<u32>,

    /// With at least this rating.
    #[arg(long, value_name = "RATING", value_parser = rating, allow_negative_numbers = true)]
    pub rating_min: Option<f32>,

    /// Of this genre, spelt exactly so; several, or some with commas between them, for any of them.
    #[arg(long = "genre", value_name = "GENRE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub genres: Vec<String>,

    /// Made in this country; several as with genres.
    #[arg(long = "country", value_name = "COUNTRY", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub countries: Vec<String>,

    /// With this language; several as with genres.
    #[arg(long = "language", value_name = "LANGUAGE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub languages: Vec<String>,

    /// Of this director, spelt exactly so.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub director: String,

    /// The order: of `title`, `year` and `rating` those that count, such as `rating desc,title`. Titles are
    /// ordered by their characters' numbers in Unicode: `Z` comes before `a`.
    #[arg(long = "order", value_name = "FIELDS", default_value = "", hide_default_value = true)]
    pub order_by: String,

    /// How many movies at most.
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>, allow_negative_numbers = true)]
    pub limit: Option<u64>,
}

/// What is known of a movie.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Fields {
    /// The title.
    #[arg(long, allow_hyphen_values = true)]
    pub title: Option<String>,

    /// The rating from 0 to 10.
    #[arg(long, value_parser = rating, allow_negative_numbers = true)]
    pub rating: Option<f32>,

    /// The director.
    #[arg(long, allow_hyphen_values = true)]
    pub director: Option<String>,

    /// The year of the first release.
    #[arg(long, value_parser = number::<u32>, allow_negative_numbers = true)]
    pub year: Option<u32>,

    /// A genre; may be given several times, or with commas between several.
    #[arg(long = "genre", value_name = "GENRE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub genres: Vec<String>,

    /// The running time in minutes.
    #[arg(long = "runtime", value_name = "MINUTES", value_parser = number::<u32>, allow_negative_numbers = true)]
    pub runtime_minutes: Option<u32>,

    /// A country where it was made; several as with genres.
    #[arg(long = "country", value_name = "COUNTRY", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub countries: Vec<String>,

    /// A language spoken; several as with genres.
    #[arg(long = "language", value_name = "LANGUAGE", value_delimiter = ',', value_parser = word, allow_hyphen_values = true)]
    pub languages: Vec<String>,
}

/// A movie to add.
#[derive(Clone, Debug, clap::Args)]
#[command(mut_arg("title", |title| title.required(true)))]
pub struct Create {
    /// The id; the service makes one if there is none.
    #[arg(long, allow_hyphen_values = true)]
    pub id: Option<String>,

    /// What is known of it; the title has to be.
    #[command(flatten)]
    pub fields: Fields,

    /// Print what would be added, and add nothing. The service is not asked whether it would take it.
    #[arg(long)]
    pub dry_run: bool,
}

/// A movie to change.
#[derive(Clone, Debug, clap::Args)]
pub struct Update {
    /// The id.
    pub id: String,

    /// What to change. Of genres, countries and languages all are replaced.
    #[command(flatten)]
    pub fields: Fields,

    /// Fields to empty.
    #[arg(long, value_name = "FIELD", value_enum, value_delimiter = ',')]
    pub clear: Vec<Clearable>,

    /// Change it only if this is still its etag, with or without its quotes.
    #[arg(long, value_parser = etag)]
    pub etag: Option<String>,

    /// Print what it would be changed to, and change nothing. The service is not asked whether it would take it.
    #[arg(long)]
    pub dry_run: bool,
}

/// A field that can be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[expect(missing_docs, reason = "see the fields of a movie")]
pub enum Clearable {
    Rating,
    Director,
    Year,
    Genres,
    Runtime,
    Countries,
    Languages,
}

/// A movie to remove.
#[derive(Clone, Debug, clap::Args)]
pub struct Delete {
    /// The id.
    pub id: String,

    /// Remove it only if this is still its etag, with or without its quotes.
    #[arg(long, value_parser = etag)]
    pub etag: Option<String>,

    /// Print what would be removed, and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What to import.
#[derive(Clone, Debug, clap::Args)]
pub struct Import {
    /// Movies or databases as JSON or ndjson, IMDb's `title.basics.tsv` or MovieLens's `movies.csv`, also compressed with
    /// gzip. What belongs to the last two is found beside them. `-` is standard input.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// Stop at the first row that cannot be taken, instead of counting it. If it is the service that does not take it, up
    /// to 99 movies after it may have been written.
    #[arg(long)]
    pub strict: bool,

    /// Give movies without an id one that is made from title, year and director: the same in every import.
    #[arg(long)]
    pub make_ids: bool,

    /// Read everything, and send nothing. The service's rules, such as for years and genres, are not checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// Which changes to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Watch {
    /// Begin with the first change after this revision, or after the change with this resume token.
    #[arg(long, value_name = "REVISION|TOKEN", conflicts_with = "copy", allow_negative_numbers = true)]
    pub from: Option<From>,

    /// Begin with all movies, each as if it had just been changed.
    ///
    /// If the changes cannot be gone on with, since the store was replaced or no longer keeps them, it starts over with another
    /// copy, and prints only what differs.
    #[arg(long)]
    pub copy: bool,

    /// End when everything that had happened before has been told.
    #[arg(long)]
    pub until_caught_up: bool,
}

/// Where a watch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// After this revision.
    Revision(u64),
    /// After the change that had this resume token.
    Token(String),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(revision));
        }
        // What is in a token is the service's concern; that it is one word is known, and that it is no number.
        let is_token = text.contains(|character: char| character.is_ascii_alphabetic())
            && text.chars().all(|character| character.is_ascii_graphic());
        let token = is_token.then(|| Self::Token(text.to_owned()));
        token.ok_or_else(|| "expected a revision, which is a whole number, or a resume token".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn words_may_have_blanks_around_their_commas() {
        let words = ["--genre", "Drama, War", "--country", " Japan ,Italy", "--language", "Italian"];
        for command in [&["list"][..], &["create", "--title", "Ran"], &["update", "ran"]] {
            let args = Args::try_parse_from([&["movie-client"], command, &words].concat()).unwrap();
            let (genres, countries, languages) = match args.command {
                Some(Command::List(List { genres, countries, languages, .. })) => {
                    (genres, countries, languages)
                }
                Some(Command::Create(Create { fields, .. }) | Command::Update(Update { fields, .. })) => {
                    (fields.genres, fields.countries, fields.languages)
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
