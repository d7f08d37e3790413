//! `cargo xtask soak`: two services under ordinary calls, hostile peers and watches, all at the same time.
//!
//! The open one serves a JSON file, which is replaced repeatedly, without encryption, to ordinary callers and to hostile peers. The
//! secure one serves a SQLite store with TLS and tokens, in gRPC and in gRPC-Web, to ordinary callers, writers and watchers.
//!
//! Every response is checked. Memory and descriptors are compared before and after: the services must release what peers and
//! watchers used.

mod service;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::service::{Service, Usage};
use crate::bench::table::Table;
use crate::bench::watchers::{self, Watched};
use crate::bench::{self, data, load, sqlite};
use crate::program::{self, Program};

/// How long to soak.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Minutes of load, before a minute with 10,000 idle watchers.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    minutes: u32,
}

/// Movies of the open service, and of the secure one.
const OPEN_MOVIES: u64 = 100_000;
const SECURE_MOVIES: u64 = 20_000;

/// Limits of the open service, short enough that peers run into each of them many times in a minute.
const OPEN_LIMITS: &str = "handshake=1s,unread=5s,idle=5s,age=10s";

/// Time for a program that makes no load.
const PROGRAM_TIMEOUT: Duration = Duration::from_mins(1);

/// Time for a load to print its next line after a minute, and to end.
const LOAD_TIMEOUT: Duration = Duration::from_mins(1);

/// Runs the load, prints a line a minute, and says whether all is well.
///
/// # Errors
///
/// If something does not build or run, a response is wrong, an ordinary call fails, a bar of the watches is missed, or a service
/// keeps memory or descriptors, panics, or does not end as it should.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    bench::build(root)?;
    let target = crate::target(root);
    let dir = target.join("bench/soak");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    let soak = Soak { target, dir };
    let (open, database) = soak.open()?;
    let secure = soak.secure()?;

    let open_address = open.address();
    load::check(&soak.target, open_address, &database)?;
    secure.watched.warm_up()?;
    let services = [&open, &secure.service];
    let before = [open.usage()?, secure.service.usage()?];
    for (service, usage) in services.iter().zip(&before) {
        println!("before: {} {usage}", service.name);
    }
    let mut table = Table::default();
    soak.load(&open, &database, &secure, options.minutes, &mut table)?;
    load::check(&soak.target, open_address, &database).context("after the load")?;
    secure.watched.measure_idle(&mut table)?;
    for (service, before) in services.iter().zip(&before) {
        println!("after: {} {}", service.name, service.settled(before)?);
    }
    open.stop()?;
    secure.service.stop()?;
    fs::remove_dir_all(soak.dir)?;
    table.print(["ours", "other"]);
    ensure!(table.missed() == 0, "bars of the watches are missed");
    println!("All is well.");
    Ok(())
}

struct Soak {
    target: PathBuf,
    /// Folder of databases, certificates and tokens.
    dir: PathBuf,
}

/// The service with TLS and tokens, and what its callers need.
struct Secure {
    service: Service,
    /// Movies that the store began with.
    database: PathBuf,
    authority: PathBuf,
    reader: String,
    /// The service with the token of a writer.
    watched: Watched,
}

impl Soak {
    fn databases(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Starts the open service; returns its database, too.
    fn open(&self) -> Result<(Service, PathBuf)> {
        let database = self.dir.join("replaced.json");
        fs::copy(data::database(self.databases(), OPEN_MOVIES)?, &database)?;
        let mut command = self.service(OPEN_LIMITS);
        command.arg("--database").arg(&database);
        Ok((Service::start("open", &mut command)?, database))
    }

    /// Starts the secure service.
    fn secure(&self) -> Result<Secure> {
        let database = data::database(self.databases(), SECURE_MOVIES)?;
        let store = self.dir.join("secure.db");
        sqlite::create(&self.target, &database, &store)?;
        let mut certificate = self.generator();
        program::run(certificate.arg("certificate").arg(&self.dir), PROGRAM_TIMEOUT)?;
        let (reader, reader_line) = self.token("reader")?;
        let (writer, writer_line) = self.token("writer")?;
        let tokens = self.dir.join("tokens");
        fs::write(&tokens, format!("{reader_line}\n{writer_line}\n"))?;

        let mut command = self.service(watchers::LIMITS);
        command.arg("--database").arg(sqlite::url(&store)).arg("--tokens").arg(tokens);
        command.arg("--tls-cert").arg(self.dir.join("cert.pem"));
        command.arg("--tls-key").arg(self.dir.join("key.pem"));
        println!("The secure service runs with --limit {}.", watchers::LIMITS);
        let service = Service::start("secure", &mut command)?;
        let authority = self.dir.join("ca.pem");
        let watched = Watched {
            generator: watchers::generator(&self.target),
            is_etcd: false,
            process: service.id(),
            address: service.address(),
            credentials: Some((authority.clone(), writer)),
        };
        Ok(Secure { service, database, authority, reader, watched })
    }

    /// Loads both services, and measures watches of the secure one meanwhile.
    fn load(
        &self,
        open: &Service,
        database: &Path,
        secure: &Secure,
        minutes: u32,
        table: &mut Table,
    ) -> Result<()> {
        /// Seconds of reads before there are watchers, and of opening these.
        const ALONE: u32 = 15;
        const OPENING: u32 = 10;
        let seconds = 60 * minutes;
        let mut open_load = self.generator();
        open_load.args(["open", &open.address().to_string()]).arg(database).arg(seconds.to_string());
        let mut secure_load = self.generator();
        secure_load
            .args(["secure", &secure.service.address().to_string()])
            .arg(&secure.database)
            .arg(seconds.to_string());
        secure_load.env("MOVIE_TLS_CA", &secure.authority).env("MOVIE_TOKEN", &secure.reader);
        let (open_process, secure_process) = (open.id(), secure.service.id());
        let (open_name, secure_name) = (open.name, secure.service.name);
        let watched = &secure.watched;
        thread::scope(|scope| {
            let loads = [
                scope.spawn(|| follow(open_name, open_process, &mut open_load)),
                scope.spawn(|| follow(secure_name, secure_process, &mut secure_load)),
            ];
            let measured = watched.measure_busy(ALONE, seconds - ALONE - OPENING, table);
            for load in loads {
                load.join().map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
            }
            measured
        })
    }

    /// Returns a command of the service, as it is shipped.
    fn service(&self, limits: &str) -> Command {
        let mut command = Command::new(self.target.join("release/movie-service"));
        command.args(["--listen", "127.0.0.1:0", "--quiet", "--log-format", "text", "--limit", limits]);
        // With the default number of changes, the change log would grow by more memory than the peers may leave behind.
        command.args(["--keep-changes", "1000", "--metrics", "127.0.0.1:0"]);
        command
    }

    /// Returns a command of `movie-service/examples/soak/`.
    fn generator(&self) -> Command {
        Command::new(self.target.join("plain/examples/soak"))
    }

    /// Makes a token, and its line for the tokens file.
    fn token(&self, role: &str) -> Result<(String, String)> {
        let mut command = Command::new(self.target.join("release/movie-service"));
        let printed = program::run(command.args(["token", role, "--role", role]), PROGRAM_TIMEOUT)?;
        let (token, line) = printed.trim().split_once('\n').context("the service prints no token")?;
        Ok((token.trim().to_owned(), line.trim().to_owned()))
    }
}

/// Runs a load, and prints what it says with what the process of the service uses meanwhile.
fn follow(service: &str, process: u32, load: &mut Command) -> Result<()> {
    // The message of a peer that panics names the wrong response; its backtrace adds nothing.
    let load = Program::start(load.stdin(Stdio::null()).env("RUST_BACKTRACE", "0"))?;
    while let Some(line) = load.line(Duration::from_mins(1) + LOAD_TIMEOUT)? {
        println!("{service}: {}; {}", line.trim_end(), Usage::of(process)?);
    }
    let output = load.finish(LOAD_TIMEOUT)?;
    ensure!(output.status.success(), "the load of the {service} service found fault\n{}", output.stderr);
    Ok(())
}
