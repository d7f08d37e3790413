//! `cargo xtask interop`: the service and the client with Python, the course's language, at the other end,
//! and with tools that know the JSON interface from its OpenAPI document.
//!
//! The Python programs are in `xtask/interop/`; what they need is installed into `target/interop/`. Whole
//! outputs are compared, of every movie, with what the database says or with what the Python programs print
//! when they talk to each other.

mod http;
pub(crate) mod python;
mod relay;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;

use self::python::{Python, command};
use self::relay::Relay;
use crate::program::{self, Output, Program};

/// The course's database.
const MOVIES: &str = "movies.json";
/// Thousands of movies, with titles and directors in many scripts, some without a rating or director.
const FILMS: &str = "films.json";

/// How long a program may take to get ready, and to do its work. Far more than any needs.
const LIMIT: Duration = Duration::from_mins(2);

/// Ids that no movie has.
const UNKNOWN: [&str; 2] = ["no-such-movie", ""];

/// A movie as a database has it, read without any code of the service.
#[derive(Deserialize)]
struct Movie {
    title: String,
    #[serde(default)]
    rating: f32,
    #[serde(default)]
    director: String,
    id: String,
}

/// Options of the checks.
#[derive(Args, Clone, Copy, Debug)]
pub struct Options {
    /// Maximum number of requests that schemathesis generates for each operation, besides those that cover the schemas. 2000 take
    /// more than 28 minutes on two cores.
    #[arg(long, default_value_t = 200)]
    examples: u32,
}

/// Where the programs are that talk to each other.
struct Programs {
    root: PathBuf,
    /// Our own programs.
    built: PathBuf,
    python: Python,
}

/// A running server.
struct Server {
    program: Program,
    address: String,
}

/// Makes every pair of the service, the client and their Python counterparts talk to each other.
///
/// # Errors
///
/// If an answer differs: the error shows the first line that does. Also if a program cannot be built, installed
/// or started, fails or takes too long.
pub fn check(root: &Path, options: &Options) -> Result<()> {
    let programs = Programs::prepare(root)?;
    course(&programs)?;
    rust_service(&programs, MOVIES)?;
    rust_service(&programs, FILMS)?;
    rust_client(&programs, FILMS)?;
    compression(&programs)?;
    unix_socket(&programs)?;
    reflection(&programs)?;
    http::check(&programs, options.examples)
}

/// The course's two programs print the same if either is replaced by ours, or by one of the tutorial's examples.
///
/// The client in Python prints ratings with the digits of a double, as the course's did.
fn course(programs: &Programs) -> Result<()> {
    let python = programs.python_server(MOVIES)?;
    let rust = programs.rust_service(MOVIES)?;
    let first = Server::start(programs.example("first_service").arg("127.0.0.1:0"))?;
    let expected = run(&mut programs.python_client(&python))?;
    let pairs = [
        ("python client, rust service", programs.python_client(&rust)),
        ("rust client, python server", programs.rust_client(&python)),
        ("rust client, rust service", programs.rust_client(&rust)),
        ("python client, first service", programs.python_client(&first)),
        ("first client, python server", programs.first_client(&python)),
        ("first client, rust service", programs.first_client(&rust)),
    ];
    println!(
        "xtask/interop/client.py rewrites `rating:` lines with the digits of a double; all else is as printed"
    );
    for (pair, mut client) in pairs {
        let check = format!("{pair}, {MOVIES}");
        compare(&check, &expected, &run(&mut client)?)?;
        println!("{check}: the course's output, every line equal");
    }
    Ok(())
}

/// The Python client gets from our service what is in the database.
fn rust_service(programs: &Programs, database: &str) -> Result<()> {
    let movies = programs.movies(database)?;
    let server = programs.rust_service(database)?;
    let check = format!("python client, rust service, {database}");
    let expected: String = movies.iter().map(fields).collect();

    let listed = run(programs.python_client(&server).arg("list"))?;
    compare(&format!("{check}, GetListMovies"), &expected, &listed)?;

    let ids = programs.input(movies.iter().map(|movie| movie.id.as_str()))?;
    let found = run(programs.python_client(&server).arg("get").stdin(ids))?;
    compare(&format!("{check}, GetMovieByID"), &expected, &found)?;
    println!("{check}: {} movies, every field equal", movies.len());

    let unknown = run(programs.python_client(&server).arg("get").stdin(programs.input(UNKNOWN)?))?;
    compare(&format!("{check}, unknown ids"), &"\t0.0\t\t\n".repeat(UNKNOWN.len()), &unknown)?;
    println!("{check}: unknown ids, an empty movie each and status OK");

    // Only a service that has stopped has printed all its lines.
    let service = server.program.stop(LIMIT)?;
    ensure!(service.status.success(), "the rust service stopped with {}\n{}", service.status, service.stderr);
    compare(
        &format!("rust service, {database}, its output"),
        &"Movie found!\n".repeat(movies.len()),
        &service.stdout,
    )?;
    println!("{check}: {} movies found, `Movie found!` as often", movies.len());
    Ok(())
}

/// Our client prints what is in the database of a Python server.
fn rust_client(programs: &Programs, database: &str) -> Result<()> {
    let movies = programs.movies(database)?;
    let server = programs.python_server(database)?;
    let check = format!("rust client, python server, {database}");

    // What our client prints is compared with what Python prints, which has to be right itself.
    let expected: String = movies.iter().map(fields).collect();
    let listed = run(programs.python_client(&server).arg("list"))?;
    compare(&format!("python client, python server, {database}, GetListMovies"), &expected, &listed)?;

    let titles: String = movies.iter().flat_map(|movie| ["Movie called ", &movie.title, "\n"]).collect();
    compare(
        &format!("{check}, list"),
        &titles,
        &run(programs.rust_client(&server).args(["list", "-o", "text"]))?,
    )?;
    println!("{check}: list, {} titles equal", movies.len());

    let sample: Vec<&str> = sample(&movies).collect();
    let input = programs.input(sample.iter().copied())?;
    let expected = run(programs.python_client(&server).arg("text").stdin(input))?;
    let printed = sample.iter().map(|id| run(programs.rust_client(&server).args(["get", id, "-o", "text"])));
    compare(&format!("{check}, get"), &expected, &printed.collect::<Result<String>>()?)?;
    println!("{check}: get, {} movies printed as python prints them", sample.len());

    for id in UNKNOWN {
        let client = Program::start(programs.rust_client(&server).args(["get", id]))?;
        let Output { status, stdout, stderr } = client.finish(LIMIT)?;
        // What it says counts, too: the exit status is the same if the call fails.
        let expected = format!("exit status: 1\nerror: no movie has the id `{id}`\n");
        compare(&format!("{check}, get"), &expected, &format!("{status}\n{stdout}{stderr}"))?;
    }
    println!("{check}: get, unknown ids, exit status 1");
    Ok(())
}

/// Messages that are compressed are understood on both sides, and shorter on their way.
fn compression(programs: &Programs) -> Result<()> {
    const LONG: usize = 60_000;

    let title = "😀".repeat(1_000);
    let movie = Movie { title, rating: 0.0, director: String::new(), id: "long".to_owned() };
    let database = programs.python.folder.join("long.json");
    let entry = serde_json::json!({ "id": movie.id, "title": movie.title });
    fs::write(&database, serde_json::json!({ "movies": [entry] }).to_string())?;
    let server = programs.rust_service_over(&database, &["--gzip"])?;

    // No movie has it, and the service takes it all the same.
    let unknown = "x".repeat(LONG);
    let expected = format!("{}\t0.0\t\t\n", fields(&movie));
    let check = "python client, rust service, gzip";
    let call = |command| -> Result<(u64, u64)> {
        let relay = Relay::start(&server.address)?;
        let ids = programs.input([movie.id.as_str(), &unknown])?;
        let found = run(programs.python.client(&relay.address).arg(command).stdin(ids))?;
        compare(&format!("{check}, {command}"), &expected, &found)?;
        relay.finish()
    };
    let most = LONG as u64 / 10;
    let (requests, responses) = call("gzip")?;
    ensure!(requests < most, "{check}: the requests take {requests} bytes, expected at most {most}");
    let most = movie.title.len() as u64 / 2;
    ensure!(responses < most, "{check}: the responses take {responses} bytes, expected at most {most}");
    let (plain, _) = call("get")?;
    ensure!(plain > LONG as u64, "{check}: requests that are not compressed take {plain} bytes");
    let title = movie.title.len();
    println!("{check}: {requests} and {responses} bytes for an id of {LONG} and a title of {title} bytes");
    Ok(())
}

/// The Python client makes calls over a Unix socket with the option that the documents give for it; without it, the log
/// says what is wrong.
fn unix_socket(programs: &Programs) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder for a socket")?;
    let address = format!("unix:{}", folder.path().join("movies.sock").display());
    let server = programs.rust_service_on(&address, Path::new(&path(MOVIES)), &[])?;
    for mut client in programs.python.unix_socket_clients(&address) {
        let printed = run(&mut client)?;
        let (version, outcome) = printed.split_once('\n').unwrap_or_default();
        let check = format!("grpcio {version}, rust service, Unix socket");
        compare(&check, "by itself: INTERNAL\nwith an authority: b''\n", outcome)?;
        println!("{check}: calls with grpc.default_authority are answered");
    }
    let log = server.program.stop(LIMIT)?.stderr;
    let told = log.lines().filter(|line| line.contains("grpc.default_authority=localhost")).count();
    ensure!(told == 2, "the log names the option {told} times, expected once a client\n{log}");
    Ok(())
}

/// The Python client finds in reflection what the contract has.
fn reflection(programs: &Programs) -> Result<()> {
    let contract = fs::read_to_string(programs.root.join("proto/movie/catalog/v1/catalog.proto"))?;
    let methods = contract.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
    let mut expected: String = methods.flat_map(|method| [method, "\n"]).collect();
    expected += "[1052]\ngoogle/rpc/error_details.proto\nno.such.Symbol\n";
    let server = programs.rust_service(MOVIES)?;
    let check = "python client, rust service, reflection";
    compare(check, &expected, &run(programs.python_client(&server).arg("reflect"))?)?;
    println!("{check}: the methods, an extension, error details, an unknown symbol");
    Ok(())
}

/// Returns the ids of the movies that are most likely to be printed wrong, and of every hundredth.
fn sample(movies: &[Movie]) -> impl Iterator<Item = &str> {
    movies.iter().enumerate().filter_map(|(number, Movie { title, director, id, .. })| {
        let is_special = !title.is_ascii() || title.contains('"') || director.is_empty();
        (is_special || number.is_multiple_of(100)).then_some(id.as_str())
    })
}

/// The line that the Python client prints for a movie.
fn fields(movie: &Movie) -> String {
    let Movie { title, rating, director, id } = movie;
    // Widened, a float is printed with enough digits to tell it from every other.
    format!("{title}\t{:?}\t{director}\t{id}\n", f64::from(*rating))
}

/// Fails with the first line that differs.
fn compare(check: &str, expected: &str, actual: &str) -> Result<()> {
    let (mut expected, mut actual) = (expected.split_inclusive('\n'), actual.split_inclusive('\n'));
    for number in 1.. {
        match (expected.next(), actual.next()) {
            (None, None) => break,
            (expected, actual) if expected == actual => {}
            (expected, actual) => {
                // Quoted, so that what cannot be seen can be told apart, too.
                let show = |line: Option<&str>| line.map_or("the end".to_owned(), |line| format!("{line:?}"));
                let (expected, actual) = (show(expected), show(actual));
                bail!("{check}: line {number} differs\n  expected: {expected}\n  actual:   {actual}")
            }
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<String> {
    program::run(command, LIMIT)
}

/// Where a database is, from the root of the workspace.
fn path(database: &str) -> String {
    format!("databases/{database}")
}

impl Programs {
    /// Builds our programs, and installs what the others need.
    fn prepare(root: &Path) -> Result<Self> {
        let mut build = program::cargo(root);
        build.args(["build", "-p", "movie-service", "-p", "movie-client", "--bins"]);
        let build = build.args(["--example", "first_service", "--example", "first_client"]).status()?;
        ensure!(build.success(), "the service and the client do not build");
        // Cargo puts what it builds beside this program, whatever its settings say.
        let folder = env::current_exe()?.parent().context("this program is in no folder")?.to_owned();
        let python = Python::install(root, &folder.with_file_name("interop"))?;
        Ok(Self { root: root.to_owned(), built: folder, python })
    }

    /// Returns our service, without arguments.
    fn service(&self) -> Command {
        command(&self.root, self.built.join("movie-service"))
    }

    fn rust_service(&self, database: &str) -> Result<Server> {
        self.rust_service_over(Path::new(&path(database)), &[])
    }

    /// Starts our service over a database, with more arguments.
    fn rust_service_over(&self, database: &Path, arguments: &[&str]) -> Result<Server> {
        self.rust_service_on("127.0.0.1:0", database, arguments)
    }

    /// Starts our service on an address.
    fn rust_service_on(&self, address: &str, database: &Path, arguments: &[&str]) -> Result<Server> {
        let mut service = self.service();
        // By itself it logs JSON into a pipe; here the line that says where it listens is read.
        service.env("MOVIE_LOG_FORMAT", "text");
        service.args(["--listen", address, "--database"]).arg(database).args(arguments);
        Server::start(&mut service)
    }

    fn rust_client(&self, server: &Server) -> Command {
        let mut client = command(&self.root, self.built.join("movie-client"));
        client.args(["--address", &server.address]);
        client
    }

    fn example(&self, name: &str) -> Command {
        command(&self.root, self.built.join("examples").join(name))
    }

    fn first_client(&self, server: &Server) -> Command {
        let mut client = self.example("first_client");
        client.arg(format!("http://{}", server.address));
        client
    }

    fn python_server(&self, database: &str) -> Result<Server> {
        Server::start(&mut self.python.server(&path(database)))
    }

    fn python_client(&self, server: &Server) -> Command {
        self.python.client(&server.address)
    }

    /// Returns the movies of a database.
    fn movies(&self, database: &str) -> Result<Vec<Movie>> {
        #[derive(Deserialize)]
        struct Database {
            movies: Vec<Movie>,
        }

        let path = path(database);
        let text = fs::read(self.root.join(&path)).with_context(|| format!("read {path}"))?;
        let Database { movies } = serde_json::from_slice(&text).with_context(|| format!("read {path}"))?;
        Ok(movies)
    }

    /// Returns ids, one a line, as the input of a program.
    fn input<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> io::Result<File> {
        let path = self.python.folder.join("ids");
        let lines: String = ids.into_iter().flat_map(|id| [id, "\n"]).collect();
        fs::write(&path, lines)?;
        File::open(path)
    }
}

impl Server {
    /// Starts a server and waits until it says where it listens.
    fn start(command: &mut Command) -> Result<Self> {
        let program = Program::start(command)?;
        let line = program.wait_for("serving ", LIMIT)?;
        let (_, address) =
            line.trim_end().rsplit_once(" on ").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { address: address.to_owned(), program })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_by_its_first_line_quoted() {
        let error = compare("films", "a\nPaisà\nc\n", "a\nPaisa\u{300}\nd\n").unwrap_err().to_string();
        let expected = r#"films: line 2 differs
  expected: "Paisà\n"
  actual:   "Paisa\u{300}\n""#;
        assert_eq!(error, expected);
    }

    #[test]
    fn an_output_that_ends_early_or_late_differs() {
        let error = compare("films", "a\n", "").unwrap_err().to_string();
        assert!(error.contains("line 1 differs\n  expected: \"a\\n\"\n  actual:   the end"), "{error}");
        let error = compare("films", "a\n", "a\na").unwrap_err().to_string();
        assert!(error.contains("line 2 differs\n  expected: the end\n  actual:   \"a\""), "{error}");
        compare("films", "a\n", "a").unwrap_err();
        compare("films", "a\n", "a\n").unwrap();
    }
}
