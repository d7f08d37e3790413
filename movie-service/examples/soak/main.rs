//! Load for `cargo xtask soak`: ordinary calls, reloads and hostile peers, all at the same time.
//!
//! * `soak open ADDRESS DATABASE SECONDS` loads the service at ADDRESS for that time. The service serves DATABASE, a generated
//!   file, which this program replaces repeatedly.
//! * `soak secure ADDRESS DATABASE SECONDS` loads a service with TLS and tokens, whose store has the movies of DATABASE, in gRPC
//!   and in gRPC-Web. The variables `MOVIE_TLS_CA` and `MOVIE_TOKEN` have the authority of its certificate and the token of a reader.
//! * `soak certificate FOLDER` writes a certificate for `localhost`, its key, and the certificate of its authority: `cert.pem`,
//!   `key.pem` and `ca.pem`.
//!
//! Every minute, and at the end, a load prints a line of counts. It fails if a response was wrong, or if an ordinary call or a
//! reload failed.

mod calls;
#[expect(
    clippy::unnecessary_wraps,
    reason = "rounds have one type, also those whose responses nobody checks"
)]
mod peers;
mod reloads;
mod route;
mod tally;
mod versions;

/// The HTTP/2 peer of the tests, which can violate the protocol, and its messages.
#[path = "../../tests/integration/support/messages.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "tests use the rest")]
mod messages;
#[path = "../../tests/integration/support/peer/mod.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "its panics are caught; tests use the rest")]
mod peer;

#[path = "../shared/secure.rs"]
mod secure;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::task::JoinSet;

use self::route::{Protocol, Route};
use self::secure::Credentials;
use self::tally::Tally;
use self::versions::Versions;

/// Time between two lines of counts.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Concurrent loops of each kind of caller: without credentials, and of each protocol with credentials.
const OPEN_LOOPS: u64 = 4;
const SECURE_LOOPS: u64 = 2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (is_open, address, database, seconds) = match args.as_slice() {
        ["certificate", folder] => return certificate(Path::new(folder)),
        ["open", address, database, seconds] => (true, address, database, seconds),
        ["secure", address, database, seconds] => (false, address, database, seconds),
        _ => return Err("expected arguments; movie-service/examples/soak/main.rs lists them".into()),
    };
    let time = Duration::from_secs(seconds.parse()?);
    let tally = soak(is_open, address.parse()?, Path::new(database), time).await?;
    if tally.is_clean() { Ok(()) } else { Err("not all went well".into()) }
}

fn certificate(folder: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &authority)?;
    let files =
        [("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem()), ("ca.pem", authority.pem())];
    Ok(files.into_iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))?)
}

async fn soak(
    is_open: bool,
    address: SocketAddr,
    database: &Path,
    time: Duration,
) -> Result<Arc<Tally>, Box<dyn Error + Send + Sync>> {
    let versions = Arc::new(Versions::of(database)?);
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let end = began + time;

    let mut tasks = JoinSet::new();
    let mut peers = Vec::new();
    if is_open {
        peers = peers::start(address, end, &tally);
        let route = Route::new(address, Protocol::Grpc, None);
        calls::start(&route, OPEN_LOOPS, end, &versions, &tally, &mut tasks);
        tasks.spawn(reloads::run(route, end, versions.clone(), tally.clone()));
    } else {
        let credentials = Credentials::from_env()?;
        for protocol in [Protocol::Grpc, Protocol::Web] {
            let route = Route::new(address, protocol, credentials.clone());
            calls::start(&route, SECURE_LOOPS, end, &versions, &tally, &mut tasks);
        }
    }

    let mut next = began + REPORT_INTERVAL;
    while next < end {
        tokio::time::sleep_until(next.into()).await;
        println!("{tally}");
        next += REPORT_INTERVAL;
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    tokio::task::spawn_blocking(|| peers::join(peers)).await?;
    println!("{tally}");
    Ok(tally)
}
