//! The movie service: load, listen, serve.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use movie_service::access::{Access, token};
use movie_service::catalogue::{Catalogue, Snapshot};
use movie_service::config::{Command, Config, Database};
use movie_service::database::{JsonDatabase, LoadError};
use movie_service::found::Found;
use movie_service::health::Health;
use movie_service::server::Server;
use movie_service::server::listen::Listener;
use movie_service::server::tls::Tls;
use movie_service::store::{Store, StoreStatus};
use movie_service::telemetry::calls::Observer;
use movie_service::telemetry::log;
use movie_service::telemetry::metrics::{Metrics, Reload};
use movie_service::telemetry::trace::Traces;
use movie_service::{admin, shutdown, transfer, watch};
use tokio::net::TcpListener;
use tracing::{info, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`: it panics when nobody reads.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let config = Config::from_env()?;
    match &config.command {
        None => serve(&config),
        Some(Command::Import { files, database }) => transfer::import(files, database),
        Some(Command::Export { database, output }) => transfer::export(database, output.as_deref()),
        Some(Command::Token { name, role }) => {
            let made = token::make(name, *role)?;
            let text = format!("{}\n{}\n", made.token, made.line);
            io::stdout().write_all(text.as_bytes()).context("print the token")
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: &Config) -> anyhow::Result<()> {
    let _written_at_end = log::start(config.log_format, config.log.as_deref());
    let traces = Traces::from_env().unwrap_or_else(|error| {
        warn!("no traces: {error}");
        None
    });
    let metrics = if config.metrics.is_some() { Metrics::on() } else { Metrics::off() };
    let observer = Observer::new(metrics.clone(), traces.as_ref().map(Traces::tracer));

    let (catalogue, store, file) = open(config, &metrics).await?;
    // A JSON file is never written, and says so itself. Whether a store takes writes changes while it is used.
    let anonymous_writes = config.allow_anonymous_writes || store.is_read_only();
    let access =
        Access::open(config.tokens.as_deref(), anonymous_writes).context("cannot use the tokens file")?;
    let offers = config.offers();
    let tls = config.tls().map(|files| Tls::load(files, !offers.web.is_empty())).transpose();
    let tls = tls.context("cannot use TLS")?;
    let listener = Listener::bind(&config.listen).with_context(|| {
        format!(
            "cannot listen on {}; stop what uses it or choose another with --listen ADDRESS",
            config.listen
        )
    })?;
    let pages = match config.metrics {
        Some(address) => Some(TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; choose another address with --metrics ADDRESS")
        })?),
        None => None,
    };
    let found = if config.quiet { Found::quiet() } else { Found::printing_to(io::stdout())? };
    let shutdown = shutdown::requested()?;
    shutdown::outlive_large_files()?;

    if config.shows_tokens() {
        warn!("tokens travel in the clear: turn TLS on with --tls-cert and --tls-key");
    }
    let told = |reload| {
        let metrics = metrics.clone();
        move |taken| metrics.reloaded(reload, taken)
    };
    let mut followed = Vec::new();
    if let Some(file) = file {
        followed.push(file.follow(&catalogue, told(Reload::Database))?);
    }
    followed.extend(access.follow(told(Reload::Tokens))?);
    if let Some(tls) = &tls {
        followed.push(tls.follow(told(Reload::Tls))?);
    }
    shutdown::on_hangup(move || followed.iter().for_each(watch::Handle::look_now))?;
    // Whoever waits for this line may send signals from then on.
    let movies = catalogue.read(Snapshot::len);
    info!("serving {movies} movies from {} on {}", config.database, listener.address()?);

    let health = Health::default();
    if let Some(pages) = pages {
        info!("metrics on http://{}/metrics", pages.local_addr()?);
        let (catalogue, metrics, serving) = (catalogue.clone(), metrics.clone(), health.subscribe());
        let (status, of_page) = (store.status(), store.status());
        let page = move || {
            catalogue.read(|movies| metrics.catalogue(movies.len(), movies.revision()));
            let status = of_page.borrow().clone();
            let is_available = !matches!(status, StoreStatus::Unavailable(_));
            metrics.store().status(is_available, status == StoreStatus::Available);
            metrics.render()
        };
        let ready = move || match &*status.borrow() {
            StoreStatus::Unavailable(why) => Err(format!("the store is unavailable, reads go on: {why}")),
            StoreStatus::Available | StoreStatus::ReadOnly if !*serving.borrow() => {
                Err("starting or stopping".to_owned())
            }
            StoreStatus::Available => Ok("ready"),
            StoreStatus::ReadOnly => Ok("ready, read-only: no host of the store takes writes"),
        };
        tokio::spawn(admin::serve(pages, page, ready, std::future::pending()));
    }
    let upkeep = observer.clone();
    tokio::spawn(async move { upkeep.upkeep().await });

    let server = Server {
        store: store.clone(),
        limits: config.limits(),
        access,
        tls,
        observer,
        metrics,
        health,
        offers,
        grace: config.grace,
        pause: config.pause,
        ..Server::new(catalogue, found.clone())
    };
    server.serve(listener, shutdown).await?;
    store.close().await;
    found.flush();
    info!("stopped");
    if let Some(traces) = traces {
        traces.flush();
    }
    Ok(())
}

/// Opens the database: returns its movies, what writes them, and the file to follow if it is one.
async fn open(
    config: &Config,
    metrics: &Metrics,
) -> anyhow::Result<(Arc<Catalogue>, Store, Option<JsonDatabase>)> {
    match &config.database {
        Database::Json(path) => {
            let (file, movies) = JsonDatabase::open(path).map_err(|error| {
                let hint = match &error {
                    LoadError::Read { .. } => "; name another file with --database FILE",
                    LoadError::Invalid { .. } => "",
                };
                anyhow::Error::new(error).context(format!("cannot load the database{hint}"))
            })?;
            let catalogue = Catalogue::keeping(config.keep_changes, movies);
            Ok((Arc::new(catalogue), Store::read_only("json"), Some(file)))
        }
        Database::Sql(source) => {
            let opened = Store::open(source, config.keep_changes, metrics.store()).await;
            let (store, catalogue) = opened.with_context(|| format!("cannot open {}", config.database))?;
            Ok((catalogue, store, None))
        }
    }
}
