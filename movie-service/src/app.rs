//! Composition root: opens the store, binds the listeners, starts the reloads, serves, drains.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::access::Access;
use crate::access::token::{self, NewToken};
use crate::catalogue::search::index::SearchIndex;
use crate::catalogue::{Catalogue, Snapshot};
use crate::config::{Command, Config, Database};
use crate::found::FoundPrinter;
use crate::reload::WatcherHandle;
use crate::server::accept::listener::{Address, Listener};
use crate::server::accept::tls::Tls;
use crate::server::call::dispatch::Features;
use crate::server::connection::heartbeat::Heartbeat;
use crate::server::serve::Server;
use crate::servicer::health::Health;
use crate::store::json::{JsonDatabase, LoadError};
use crate::store::{Store, StoreStatus};
use crate::systemd::notify;
use crate::systemd::sockets::{self, Socket, Sockets};
use crate::telemetry::calls::Observer;
use crate::telemetry::log::{self, LogFormat};
use crate::telemetry::metrics::{Metrics, Reload};
use crate::telemetry::trace::Traces;
use crate::text::name_missing_folder;
use crate::{admin, manual, offline, signals};

/// Runs the program by its command line.
///
/// # Errors
///
/// A message for people: what failed, why, what to do.
pub fn run() -> anyhow::Result<()> {
    let config = Config::from_env()?;
    match &config.command {
        // Before the runtime starts threads.
        None => serve(&config, sockets::take()?),
        Some(Command::Import { files, database }) => {
            let _log_guard = log::start(LogFormat::Text, Some("warn"));
            offline::import(files, database)
        }
        Some(Command::Export { database, output }) => offline::export(database, output.as_deref()),
        Some(Command::Completions { shell }) => manual::completions(*shell),
        Some(Command::Man { directory }) => manual::man(directory.as_deref()),
        Some(Command::Token { name, role }) => {
            let NewToken { token, line } = token::make(name, *role)?;
            let text = format!("{token}\n{line}\n");
            io::stdout().write_all(text.as_bytes()).context("print the token")
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn serve(config: &Config, sockets: Sockets) -> anyhow::Result<()> {
    let _log_guard = log::start(config.log_format, config.log.as_deref());
    signals::ignore_hangup()?;
    let traces = start_traces();
    let has_metrics = config.metrics.is_some() || sockets.metrics.is_some();
    let metrics = if has_metrics { Metrics::on() } else { Metrics::off() };
    let mut opened = open_store(config, &metrics).await?;
    let features = config.features();
    let security = Security::load(config, &opened.store, &features)?;
    let listeners = bind(config, sockets).await?;
    let address = listeners.calls.address()?;
    warn_of_access(config, &address, &security.access, &opened.store);
    let found = if config.quiet { FoundPrinter::quiet() } else { FoundPrinter::printing_to(io::stdout())? };
    let shutdown = signals::shutdown_requested()?;
    let time_for_calls = config.pause.saturating_add(config.grace);
    let shutdown = async move {
        shutdown.await;
        notify::stopping(time_for_calls);
    };
    signals::ignore_file_size_signal()?;
    start_reloads(&mut opened, &security, &metrics)?;
    // All signals are handled from here on. Scripts wait for the log line below.
    let movies = opened.catalogue.read(Snapshot::len);
    let serving = format!("serving {movies} movies from {} on {address}", config.database);
    info!("{serving}");
    notify::ready(&serving);
    if features.http {
        log_page(&address, security.tls.is_some());
    }
    info!("`movie-service man` prints the manual");

    let health = Health::default();
    if let Some(listener) = listeners.admin {
        let measured = Measured { opened: &opened, tls: security.tls.as_ref(), has_search: features.search };
        serve_admin(listener, &measured, &metrics, &health)?;
    }
    let observer = Observer::new(metrics.clone(), traces.as_ref().map(Traces::tracer));
    let upkeep = observer.clone();
    tokio::spawn(async move { upkeep.upkeep().await });
    let server = Server {
        store: opened.store.clone(),
        observer,
        metrics,
        health,
        features,
        heartbeat: notify::alive_interval()
            .map(|interval| Heartbeat { interval, beat: Box::new(notify::alive) }),
        ..configured_server(config, opened.catalogue, security, found.clone())
    };
    server.serve(listeners.calls, shutdown).await?;
    opened.store.close().await;
    found.flush();
    info!("stopped");
    if let Some(traces) = traces {
        traces.flush();
    }
    Ok(())
}

/// Logs where a browser on this machine finds the page. Browsers open no Unix sockets.
fn log_page(address: &Address, is_secure: bool) {
    let Address::Tcp(address) = address else { return };
    let scheme = if is_secure { "https" } else { "http" };
    let address = if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    info!("the page is at {scheme}://{address}/, and gRPC and JSON use the same port");
}

/// Starts exporting spans if the environment configures it. An error does not prevent serving.
fn start_traces() -> Option<Traces> {
    Traces::from_env().unwrap_or_else(|error| {
        warn!("tracing is off: {error}");
        None
    })
}

/// Returns a server with the settings of the command line.
fn configured_server(
    config: &Config,
    catalogue: Arc<Catalogue>,
    security: Security,
    found: FoundPrinter,
) -> Server {
    Server {
        limits: config.limits(),
        access: security.access,
        tls: security.tls,
        grace: config.grace,
        pause: config.pause,
        ..Server::new(catalogue, found)
    }
}

/// An open database.
struct Opened {
    catalogue: Arc<Catalogue>,
    store: Store,
    /// The file of a JSON database; `None` for an SQL store.
    file: Option<JsonDatabase>,
}

async fn open_store(config: &Config, metrics: &Metrics) -> anyhow::Result<Opened> {
    match &config.database {
        Database::Json(path) => {
            let (file, movies) = JsonDatabase::open(path).map_err(|error| {
                let hint = match &error {
                    LoadError::Read { .. } => {
                        "; name a file with --database FILE, or begin without movies with --database sqlite:movies.db"
                    }
                    LoadError::Invalid { .. } => "",
                };
                anyhow::Error::new(error).context(format!("cannot load the database{hint}"))
            })?;
            let catalogue = Arc::new(Catalogue::with_kept_changes(config.keep_changes, movies));
            Ok(Opened { catalogue, store: Store::read_only("json"), file: Some(file) })
        }
        Database::Sql(source) => {
            let opened = Store::open(source, config.keep_changes, metrics.store()).await;
            let (store, catalogue) = opened.with_context(|| format!("cannot open {}", config.database))?;
            Ok(Opened { catalogue, store, file: None })
        }
    }
}

/// Access control and TLS.
struct Security {
    access: Access,
    tls: Option<Tls>,
}

impl Security {
    fn load(config: &Config, store: &Store, features: &Features) -> anyhow::Result<Self> {
        // With a JSON file, a write fails with CATALOG_READ_ONLY in any case, which is clearer than a denial.
        let anonymous_writes = config.allow_anonymous_writes || store.is_read_only();
        let access =
            Access::open(config.tokens.as_deref(), anonymous_writes).context("cannot use the tokens file")?;
        let has_web = features.http || !features.web.is_empty();
        let tls = config.tls().map(|files| Tls::load(files, has_web)).transpose();
        let tls = tls.context("cannot use TLS")?;
        Ok(Self { access, tls })
    }
}

/// Warns of settings of access control that are probably mistakes.
fn warn_of_access(config: &Config, address: &Address, access: &Access, store: &Store) {
    if config.sends_tokens_unencrypted(address) {
        warn!("tokens are sent unencrypted; turn TLS on with --tls-cert and --tls-key");
    }
    if config.tokens.is_some() && config.allow_anonymous_writes {
        warn!("--allow-anonymous-writes has no effect with --tokens");
    }
    if config.allow_anonymous_writes && store.is_read_only() {
        warn!(
            "--allow-anonymous-writes has no effect on a JSON database, which is only read; to write, use \
             --database sqlite:movies.db"
        );
    }
    if config.lets_network_write(address) && !store.is_read_only() {
        warn!("everybody who can connect to {address} may change the movies; use --tokens FILE");
    }
    if access.needs_certificates() && config.tls().is_none_or(|tls| tls.client_ca.is_none()) {
        warn!(
            "all callers of the tokens file need a client certificate, which the service does not ask for; turn TLS on \
             with --tls-cert, --tls-key and --tls-client-ca"
        );
    }
}

/// Context of an error of a socket that systemd has passed.
const CANNOT_USE_SOCKET: &str = "cannot use the socket that systemd passes";

/// The bound listeners.
struct Listeners {
    calls: Listener,
    admin: Option<TcpListener>,
}

/// Binds the addresses of the command line, except where systemd has passed a socket.
async fn bind(config: &Config, sockets: Sockets) -> anyhow::Result<Listeners> {
    let calls = match sockets.calls {
        Some(Socket::Tcp(socket)) => Listener::from_tcp(socket).context(CANNOT_USE_SOCKET)?,
        Some(Socket::Unix(socket)) => Listener::from_unix(socket).context(CANNOT_USE_SOCKET)?,
        None => Listener::bind(&config.listen).map_err(|error| {
            let error = match &config.listen {
                Address::Unix(path) => name_missing_folder(error, path),
                Address::Tcp(_) => error,
            };
            cannot_listen(error, &config.listen, "--listen")
        })?,
    };
    let admin = match (sockets.metrics, config.metrics) {
        (Some(socket), _) => {
            socket.set_nonblocking(true).context(CANNOT_USE_SOCKET)?;
            Some(TcpListener::from_std(socket).context(CANNOT_USE_SOCKET)?)
        }
        (None, Some(address)) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| cannot_listen(error, &Address::Tcp(address), "--metrics"))?)
        }
        (None, None) => None,
    };
    Ok(Listeners { calls, admin })
}

/// Returns the error of a flag's address that cannot be listened on, with a remedy.
fn cannot_listen(error: io::Error, address: &Address, flag: &str) -> anyhow::Error {
    let remedy = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, _) => {
            format!("stop the program that uses it, or choose another address with {flag} ADDRESS")
        }
        (io::ErrorKind::AddrNotAvailable, Address::Tcp(tcp)) => {
            let port = tcp.port();
            format!(
                "this machine has no such address; choose one that it has, such as {flag} 127.0.0.1:{port}, or \
                 0.0.0.0:{port} for all"
            )
        }
        _ => format!("choose another address with {flag} ADDRESS"),
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}; {remedy}"))
}

/// Reloads files when they change, and at once on SIGHUP.
fn start_reloads(opened: &mut Opened, security: &Security, metrics: &Metrics) -> anyhow::Result<()> {
    let report = |reload| {
        let metrics = metrics.clone();
        move |taken| metrics.reloaded(reload, taken)
    };
    let mut handles = Vec::new();
    if let Some(file) = opened.file.take() {
        handles.push(file.watch(&opened.catalogue, report(Reload::Database))?);
    }
    handles.extend(security.access.watch(report(Reload::Tokens))?);
    if let Some(tls) = &security.tls {
        handles.push(tls.watch(report(Reload::Tls))?);
    }
    signals::on_hangup(move || {
        notify::reloading();
        let reloads: Vec<_> = handles.iter().map(WatcherHandle::reload_now).collect();
        tokio::spawn(async move {
            for over in reloads {
                over.await;
            }
            notify::reloaded();
        });
    })?;
    Ok(())
}

/// What the metrics show as it is when they are read.
struct Measured<'a> {
    opened: &'a Opened,
    tls: Option<&'a Tls>,
    has_search: bool,
}

/// Serves metrics, liveness and readiness until the process ends.
fn serve_admin(
    listener: TcpListener,
    &Measured { opened, tls, has_search }: &Measured<'_>,
    metrics: &Metrics,
    health: &Health,
) -> anyhow::Result<()> {
    info!("metrics on http://{}/metrics", listener.local_addr()?);
    let (catalogue, tls, metrics) = (opened.catalogue.clone(), tls.cloned(), metrics.clone());
    let status = opened.store.status();
    let page = move || {
        catalogue.read(|movies| {
            metrics.set_catalogue(movies.len(), movies.revision().number());
            if has_search {
                metrics.search_index(movies.search_index().map(SearchIndex::len));
            }
        });
        if let Some(expiry) = tls.as_ref().and_then(Tls::expiry) {
            metrics.certificate_expiry(expiry);
        }
        let status = status.borrow().clone();
        metrics.store().set_status(status.is_available(), status == StoreStatus::Available);
        metrics.render()
    };
    let (status, serving) = (opened.store.status(), health.subscribe_reading());
    let ready = move || readiness(&status, &serving);
    tokio::spawn(admin::serve(listener, page, ready, std::future::pending()));
    Ok(())
}

/// Returns the text of `/readyz`; an error if the service is not ready.
fn readiness(
    status: &watch::Receiver<StoreStatus>,
    serving: &watch::Receiver<bool>,
) -> Result<&'static str, String> {
    // First, because proxies look for this text, and take a node out that stops; not one that only has no store.
    if !*serving.borrow() {
        return Err("starting or stopping".to_owned());
    }
    match &*status.borrow() {
        StoreStatus::Unavailable(why) => Err(format!("the store is unavailable, reads continue: {why}")),
        StoreStatus::Available => Ok("ready"),
        StoreStatus::ReadOnly => Ok("ready, read-only: no host of the store takes writes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_stops_says_so_even_if_its_store_is_down() {
        let down = StoreStatus::Unavailable("the disk is gone".into());
        let (_, status) = watch::channel(down);
        let (_, serving) = watch::channel(false);
        assert_eq!(readiness(&status, &serving).unwrap_err(), "starting or stopping");
        let (_, serving) = watch::channel(true);
        let why = readiness(&status, &serving).unwrap_err();
        assert_eq!(why, "the store is unavailable, reads continue: the disk is gone");
    }
}
