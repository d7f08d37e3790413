//! The movie service: load, listen, serve.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use movie_service::catalogue::Catalogue;
use movie_service::config::Config;
use movie_service::database::{JsonDatabase, LoadError};
use movie_service::found::Found;
use movie_service::server::Server;
use movie_service::server::listen::Listener;
use movie_service::shutdown;
use tracing::info;
use tracing_subscriber::EnvFilter;

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

#[tokio::main(flavor = "current_thread")]
async fn run() -> anyhow::Result<()> {
    let config = Config::from_env()?;
    let levels = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    // Through a thread, so that a reader of the logs that stalls holds up nothing else; if need be, lines are lost.
    let (stderr, _flushed_at_end) = tracing_appender::non_blocking(io::stderr());
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .with_env_filter(levels)
        .init();

    let (database, movies) = JsonDatabase::open(&config.database).map_err(|error| {
        let hint = match &error {
            LoadError::Read { .. } => "; name another file with --database FILE",
            LoadError::Invalid { .. } => "",
        };
        anyhow::Error::new(error).context(format!("cannot load the database{hint}"))
    })?;
    let listener = Listener::bind(&config.listen).with_context(|| {
        format!(
            "cannot listen on {}; stop what uses it or choose another with --listen ADDRESS",
            config.listen
        )
    })?;
    let found = if config.quiet { Found::quiet() } else { Found::printing_to(io::stdout())? };
    let shutdown = shutdown::requested()?;

    info!("serving {} movies from {} on {}", movies.len(), config.database.display(), listener.address()?);
    let catalogue = Arc::new(Catalogue::new(movies));
    database.follow(&catalogue)?;
    let server = Server {
        limits: config.limits(),
        grace: config.grace,
        pause: config.pause,
        ..Server::new(catalogue, found.clone())
    };
    server.serve(listener, shutdown).await?;
    found.flush();
    info!("stopped");
    Ok(())
}
