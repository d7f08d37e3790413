//! Two services under load: one on SQLite with TLS and tokens, one on a JSON file.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::process::free_addresses;
use crate::build::Build;
use crate::deploy::certificate;
use crate::http;
use crate::program::{self, Program};
use crate::service::Service;

/// Time for a command that ends by itself.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Validity of the certificate: below the bound of the warning, and above that of the critical alert.
const CERTIFICATE_DAYS: u32 = 10;

/// Number of the calls of the clients that run all the time.
const CALLS_PER_SECOND: &str = "50";

/// Requests over HTTP/1.0 with their statuses: JSON, the page, health, and requests that are for no call.
const REQUESTS: [(&str, u16); 8] = [
    ("GET /v1/catalog", 200),
    ("GET /v1/movies?page_size=3", 200),
    ("GET /v1/movies/unknown", 404),
    ("GET /", 200),
    ("GET /healthz", 200),
    ("GET /nothing", 404),
    ("PUT /v1/catalog", 405),
    ("POST /Movie/GetMovieByID\r\ncontent-type: application/grpc-web+proto", 200),
];

/// The services and the clients that call them all the time. All are killed when this is dropped.
pub(super) struct Services {
    client: PathBuf,
    sqlite: Service,
    json: Service,
    /// Addresses of the metrics.
    metrics: [SocketAddr; 2],
    authority: PathBuf,
    token: String,
    /// The file of the JSON service.
    movies: PathBuf,
    clients: Vec<Program>,
}

impl Services {
    /// Starts the services, and clients that call them.
    pub(super) fn start(build: &Build, work: &Path) -> Result<Self> {
        let certificate = certificate::create(work, "IP:127.0.0.1", CERTIFICATE_DAYS)?;
        let (token, tokens) = make_tokens(build, work)?;
        let movies = work.join("movies.json");
        fs::copy(build.root.join("databases/movies.json"), &movies)?;
        let store = format!("sqlite:{}", work.join("movies.db").display());
        let mut import = Command::new(build.service());
        program::run(import.arg("import").arg(&movies).args(["--database", &store]), TIMEOUT)?;

        let metrics = free_addresses::<2>()?;
        let command = |metrics: SocketAddr| {
            let mut command = Command::new(build.service());
            command.args([
                "--listen",
                "127.0.0.1:0",
                "--quiet",
                "--metrics",
                &metrics.to_string(),
                "--database",
            ]);
            command
        };
        let mut sqlite = command(metrics[0]);
        sqlite.arg(&store).arg("--tls-cert").arg(&certificate.chain).arg("--tls-key").arg(&certificate.key);
        let sqlite = Service::start(sqlite.arg("--tokens").arg(&tokens))?;
        let json = Service::start(command(metrics[1]).arg(&movies))?;
        let client = build.client();
        let mut services = Self {
            client,
            sqlite,
            json,
            metrics,
            authority: certificate.authority,
            token,
            movies,
            clients: Vec::new(),
        };
        let watch = Program::start(services.secure().args(["watch", "--output", "ndjson"]))?;
        let mut clients = vec![watch];
        for call in ["get", "page", "course-get", "course-list"] {
            let bench = ["bench", "--call", call, "--duration", "2m", "--rate", CALLS_PER_SECOND];
            clients.push(Program::start(services.plain().args(bench))?);
        }
        let bench = ["bench", "--duration", "2m", "--rate", CALLS_PER_SECOND];
        clients.push(Program::start(services.secure().args(bench))?);
        services.clients = clients;
        Ok(services)
    }

    /// Returns the addresses of the metrics.
    pub(super) fn metrics(&self) -> [SocketAddr; 2] {
        self.metrics
    }

    /// Makes calls of other kinds: writes, searches, and requests over HTTP.
    pub(super) fn load(&self, round: u32) -> Result<()> {
        let id = format!("film-{round}");
        for arguments in [
            &["create", "--id", &id, "--title", "Monitoring"][..],
            &["update", &id, "--title", "Monitoring again"],
            &["search", "martian"],
            &["search", "no such movie"],
            &["delete", &id],
        ] {
            program::run(self.secure().args(arguments), TIMEOUT)?;
        }
        for arguments in [&["search", "creed"][..], &["info"], &["health"]] {
            program::run(self.plain().args(arguments), TIMEOUT)?;
        }
        for (head, expected) in REQUESTS {
            let body = if head.starts_with("POST") { "\0\0\0\0\0" } else { "" };
            let (status, _) = http::exchange(self.json.address, head, body)?;
            ensure!(status == expected, "{head}: the status is {status}, expected {expected}");
        }
        if round == 1 {
            // Reloaded, since it is another version of the file.
            fs::write(&self.movies, r#"{"movies": [{"id": "1", "title": "Creed"}]}"#)?;
        }
        Ok(())
    }

    /// Ends the clients, and stops the services.
    pub(super) fn stop(self) -> Result<()> {
        drop(self.clients);
        for service in [self.sqlite, self.json] {
            service.stop()?;
        }
        Ok(())
    }

    /// Returns the client of the service with TLS and tokens.
    fn secure(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.env("MOVIE_ADDRESS", format!("https://{}", self.sqlite.address));
        command.env("MOVIE_TLS_CA", &self.authority).env("MOVIE_TOKEN", &self.token);
        command
    }

    /// Returns the client of the service on a JSON file.
    fn plain(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.env("MOVIE_ADDRESS", self.json.address.to_string());
        command
    }
}

/// Makes a token of a writer; returns it, and the file of tokens.
fn make_tokens(build: &Build, work: &Path) -> Result<(String, PathBuf)> {
    let mut command = Command::new(build.service());
    let made = program::run(command.args(["token", "monitoring", "--role", "writer"]), TIMEOUT)?;
    let (token, line) = made.split_once('\n').context("expected a token and its line")?;
    let tokens = work.join("tokens");
    fs::write(&tokens, line)?;
    Ok((token.to_owned(), tokens))
}
