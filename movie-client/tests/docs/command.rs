//! Commands in documents.

use std::net::SocketAddr;
use std::process;

use clap::Parser;
use clap::error::ErrorKind;
use movie_client::cli::args::Args;
use movie_service::config::{Config, Database};
use movie_service::store::json;
use nix::sys::signal::Signal;
use xtask::command::Command as Automation;

use crate::curl::Curl;
use crate::example::{self, FirstService};
use crate::files::{Files, members};
use crate::service::Service;

/// Source file of `cargo xtask`.
const XTASK_MAIN: &str = "xtask/src/main.rs";

/// Programs for machines, containers, clusters, databases and monitoring.
const OPERATORS_PROGRAMS: [&str; 20] = [
    "apt",
    "apt-get",
    "buildah",
    "dnf",
    "docker",
    "helm",
    "journalctl",
    "kubectl",
    "patronictl",
    "pg_basebackup",
    "pg_dropcluster",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "podman",
    "promtool",
    "psql",
    "sqlite3",
    "ss",
    "systemctl",
];

/// A known command.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run the service.
    Serve(Box<Config>),
    /// Run the client with these arguments.
    Call(Vec<String>),
    /// Run the first service of the tutorial.
    ServeFirst,
    /// Run the first client of the tutorial.
    CallFirst,
    /// Make a request over HTTP.
    Curl(Curl),
    /// Compare with what the command prints, which is the same each time.
    Print(String),
    /// Only check that the command exists, because it runs for too long or prints help.
    Known,
    /// Generate code from the contract.
    Generate,
    /// Compare the generated code with the contract.
    CheckGenerated,
    /// Copy a file of the finished exercise to its place.
    Finish(String),
    /// Apply a patch.
    Apply(String),
    /// Let the suspended service go on.
    Resume,
    /// Undo the changes to a file.
    Restore(String),
}

/// Returns whether a command is one of an operator's programs with its arguments.
pub(crate) fn is_operators(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(program, _)| OPERATORS_PROGRAMS.contains(&program))
}

/// Returns whether a command is `.ci/run` or one of its steps.
fn is_check(line: &str, files: &Files) -> bool {
    let script = files.read(".ci/run").unwrap_or_default();
    line == ".ci/run" || script.lines().any(|step| step.strip_prefix("step ") == Some(line))
}

/// A service that a command started.
pub(crate) enum Running {
    /// The service of the repository.
    Service(Service),
    /// The first service of the tutorial.
    First(FirstService),
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Service(service) => service.socket_address(),
            Self::First(service) => service.address,
        }
    }

    /// Sends a signal to the process of the service.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        match self {
            Self::Service(_) => Err("the service runs in this process, which must go on".to_owned()),
            Self::First(service) => service.signal(signal),
        }
    }
}

/// Result of a command.
pub(crate) struct Outcome {
    pub(crate) success: bool,
    pub(crate) output: String,
}

impl Command {
    /// Parses a command line.
    pub(crate) fn parse(line: &str, files: &Files) -> Result<Self, String> {
        let words = shlex::split(line).ok_or_else(|| format!("a quote without its pair: `{line}`"))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["cargo", "run", "-p", package] | ["cargo", "run", "--release", "-p", package] => {
                Self::program(files, package, &[])
            }
            ["cargo", "run", "-p", package, "--", args @ ..]
            | ["cargo", "run", "--release", "-p", package, "--", args @ ..] => {
                Self::program(files, package, args)
            }
            ["cargo", "run", "-p", package, "--example", name] => {
                files.find(&format!("{package}/examples/{name}.rs"))?;
                match *name {
                    "first_service" => Ok(Self::ServeFirst),
                    "first_client" => Ok(Self::CallFirst),
                    // The test of the finished exercise builds and calls it.
                    _ => Ok(Self::Known),
                }
            }
            // A test of the client runs `openssl` so. The drill of backups runs the programs of SQLite and PostgreSQL. The checks
            // between programs install the same Python packages, and generate the same stubs. A copied file creates its folder here.
            ["openssl", "req", ..]
            | ["sqlite3" | "pg_dump" | "pg_restore" | "createdb", ..]
            | ["cd", "../books"]
            | ["mkdir", _]
            | ["sudo", "chown" | "cp", ..]
            | ["echo", _, "|", "sudo", "socat", "stdio", "/run/haproxy/admin.sock"]
            | ["cargo", "install", "cargo-deb", "cargo-generate-rpm"]
            | ["git", "stash", "--include-untracked" | "pop"]
            | ["git", "push", "--follow-tags"]
            | ["cargo", "run", "-p", "movie-client", "--example", "first_client", "--", _]
            | ["cargo", "run", "-p", "movie-service", "--example", "first_service", "--", _]
            | ["cargo", "test", "--workspace"]
            | ["cargo", "test", "--workspace", "--test", "docs"]
            | ["cargo", "doc", "--workspace", "--no-deps", "--open"]
            | ["python3", "-m", "venv", "target/course"]
            | ["target/course/bin/pip", "install", ..]
            | ["target/course/bin/python", "-m", "grpc_tools.protoc", ..] => Ok(Self::Known),
            ["cargo", "test", "-p", package] if members().contains(*package) => Ok(Self::Known),
            ["cargo", "test", "-p", package, "--test", "integration", _] if members().contains(*package) => {
                files.find(&format!("{package}/tests/integration/main.rs")).map(|_| Self::Known)
            }
            ["cargo", "test", "-p", package, "--test", name] if members().contains(*package) => {
                files.find(&format!("{package}/tests/{name}.rs")).map(|_| Self::Known)
            }
            ["cargo", "xtask", args @ ..] => Self::xtask(files, args),
            // As a package installs them.
            ["sudo", program @ ("movie-service" | "movie-client"), args @ ..]
            | [program @ ("movie-service" | "movie-client"), args @ ..] => {
                Self::program(files, program, args).map(|_| Self::Known)
            }
            ["cargo", "install", "--locked", "--path", package] if members().contains(*package) => {
                Ok(Self::Known)
            }
            ["echo", variable, "|", "sudo", "tee", "-a", "/etc/default/movie-service"] => {
                files
                    .expect("movie-service/src/config.rs", variable.split('=').next().unwrap_or_default())?;
                Ok(Self::Known)
            }
            // A file that only its owner reads.
            ["sudo", "sh", "-c", script] if script.starts_with("umask 077; ") => {
                Self::parse(script.trim_start_matches("umask 077; "), files)
            }
            // Programs of operators: `cargo xtask test-deploy` uses those that can be had.
            ["sudo", program, ..] | [program, ..] if OPERATORS_PROGRAMS.contains(program) => Ok(Self::Known),
            ["curl", args @ ..] => {
                Curl::parse(args).map(|curl| if curl.is_endless { Self::Known } else { Self::Curl(curl) })
            }
            // `.ci/run` runs these checks.
            ["cargo", "fmt" | "clippy", ..] | [".ci/run"] if is_check(line, files) => Ok(Self::Known),
            ["PYTHONPATH=target/course", "target/course/bin/python", script, ..] => {
                files.find(script).map(|_| Self::Known)
            }
            ["cp", from, to] if *from == format!("docs/exercise/{to}") => {
                files.find(from).map(|_| Self::Finish((*to).to_owned()))
            }
            ["git", "apply", patch] => files.find(patch).map(|_| Self::Apply((*patch).to_owned())),
            ["fg"] => Ok(Self::Resume),
            ["git", "restore", path] => files.find(path).map(|_| Self::Restore((*path).to_owned())),
            _ => Err(format!("unverified command `{line}`: teach it to movie-client/tests/docs/command.rs")),
        }
    }

    fn program(files: &Files, package: &str, args: &[&str]) -> Result<Self, String> {
        // `cargo xtask new-service --check` runs the programs of such a workspace.
        if ["book-service", "book-client"].contains(&package) {
            return Ok(Self::Known);
        }
        files.find(&format!("{package}/src/main.rs"))?;
        let words = [&[package], args].concat();
        let parsed = match package {
            "movie-service" => Config::try_parse_from(words).map(|config| match config.command {
                None => Self::Serve(Box::new(config)),
                // Tokens are random, and stores would be created here.
                Some(_) => Self::Known,
            }),
            "movie-client" => Args::try_parse_from(words)
                .map(|_| Self::Call(args.iter().map(|&arg| arg.to_owned()).collect())),
            _ => return Err(format!("unverified program `{package}`")),
        };
        parsed.or_else(|error| if error.use_stderr() { Err(error.to_string()) } else { Ok(Self::Known) })
    }

    fn xtask(files: &Files, args: &[&str]) -> Result<Self, String> {
        files.expect(".cargo/config.toml", "\nxtask = \"run ")?;
        let words = [&["cargo xtask"], args].concat();
        let parsed = match Automation::try_parse_from(words) {
            Ok(parsed) => parsed,
            // The command's name alone stands for it.
            Err(error) if !error.use_stderr() || error.kind() == ErrorKind::MissingRequiredArgument => {
                return Ok(Self::Known);
            }
            Err(_) if args.is_empty() => return Ok(Self::Known),
            Err(error) => return Err(format!("unverified command: {error}")),
        };
        if let Automation::Simulate(options) = &parsed {
            return Ok(xtask::simulate::report(options).map_or(Self::Known, Self::Print));
        }
        let Automation::RegenProto { check } = parsed else { return Ok(Self::Known) };
        Ok(if check { Self::CheckGenerated } else { Self::Generate })
    }

    /// Returns whether the command only changes files, and takes no time.
    pub(crate) fn changes_files(&self) -> bool {
        matches!(self, Self::Finish(_) | Self::Apply(_) | Self::Restore(_))
    }

    /// Runs the command on `files`. `service` holds the service that an earlier command started.
    pub(crate) fn run(self, files: &Files, service: &mut Option<Running>) -> Result<Outcome, String> {
        match self {
            Self::Serve(config) => {
                // The service runs on a free port, because the port of the command may be in use. A store is an empty one.
                match &config.database {
                    Database::Json(path) => {
                        let movies = json::load(&files.find(&path.to_string_lossy())?);
                        let movies = movies.map_err(|error| error.to_string())?;
                        *service = Some(Running::Service(Service::of(movies)));
                    }
                    Database::Sql(_) if config.allow_anonymous_writes => {
                        *service = Some(Running::Service(Service::writable()));
                    }
                    Database::Sql(_) => {}
                }
                Ok(Outcome::silent())
            }
            Self::Call(args) => {
                let service = service.as_ref().ok_or("no command before this one starts the service")?;
                let output = process::Command::new(env!("CARGO_BIN_EXE_movie-client"))
                    .args(args)
                    .args(["--address", &service.address().to_string()])
                    // The machine may be busy, and a search waits until the films are indexed.
                    .env("MOVIE_TIMEOUT", "60s")
                    .output()
                    .map_err(|error| error.to_string())?;
                let outcome = Outcome::of(output);
                // The name that a reader sees, whose service has the port of the documents.
                let shown =
                    outcome.output.replace(&service.address().to_string(), "localhost:3001 (127.0.0.1)");
                Ok(Outcome { output: shown, ..outcome })
            }
            Self::ServeFirst => {
                *service = Some(Running::First(FirstService::start()?));
                Ok(Outcome::silent())
            }
            Self::CallFirst => {
                let service = service.as_ref().ok_or("no command before this one starts the service")?;
                let address = format!("http://{}", service.address());
                let output = example::command("first_client")?.arg(address).output();
                Ok(Outcome::of(output.map_err(|error| error.to_string())?))
            }
            Self::Curl(curl) => {
                let service = service.as_ref().ok_or("no command before this one starts the service")?;
                let output = curl.run(service.address()).map_err(|error| error.to_string())?;
                Ok(Outcome { success: true, output })
            }
            Self::Print(output) => Ok(Outcome { success: true, output }),
            Self::Known => Ok(Outcome::silent()),
            Self::Generate => {
                let report = xtask::regen_proto::write(files.workspace()).map(|report| report + "\n");
                Outcome::of_xtask(report, files)
            }
            Self::CheckGenerated => {
                let result = xtask::regen_proto::check(files.workspace());
                Outcome::of_xtask(result.map(|()| String::new()), files)
            }
            Self::Finish(path) => {
                files.change(&path, &files.finished(&path)?);
                Ok(Outcome::silent())
            }
            Self::Apply(patch) => {
                files.apply(&patch)?;
                Ok(Outcome::silent())
            }
            Self::Resume => {
                let service = service.as_ref().ok_or("no command before this one starts the service")?;
                service.signal(Signal::SIGCONT)?;
                Ok(Outcome::silent())
            }
            Self::Restore(path) => {
                files.restore(&path)?;
                Ok(Outcome::silent())
            }
        }
    }
}

impl Outcome {
    fn silent() -> Self {
        Self { success: true, output: String::new() }
    }

    fn of(output: process::Output) -> Self {
        let text = [output.stdout, output.stderr].concat();
        Self { success: output.status.success(), output: String::from_utf8(text).unwrap() }
    }

    /// Formats a result like `cargo xtask`, whose program works on the repository only. Checks that its `main` has
    /// the same format.
    fn of_xtask(result: anyhow::Result<String>, files: &Files) -> Result<Self, String> {
        files.expect(XTASK_MAIN, "\"error: {error:#}\"")?;
        Ok(match result {
            Ok(output) => Self { success: true, output },
            Err(error) => Self { success: false, output: format!("error: {error:#}\n") },
        })
    }
}
