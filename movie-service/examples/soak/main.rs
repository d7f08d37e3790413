//! Load for `cargo xtask soak`: ordinary calls, reloads and hostile peers, all at the same time.
//!
//! `soak ADDRESS DATABASE SECONDS` makes it for so long, on a service that serves DATABASE, a file of seeded movies
//! which it replaces again and again. Every minute, and at the end, it prints a line with what was done. It fails
//! if an answer was wrong, or if an ordinary call or a reload failed.

mod calls;
#[expect(clippy::unnecessary_wraps, reason = "rounds have one type, also those whose answers nobody checks")]
mod peers;
mod reloads;
mod tally;
mod versions;

/// The peer of the tests, which can break every rule of HTTP/2, and what it leans on.
#[path = "../../tests/integration/peer/mod.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "its panics are caught; tests use the rest")]
mod peer;
#[path = "../../tests/integration/raw.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "tests use the rest")]
mod raw;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use self::tally::Tally;
use self::versions::Versions;

/// How often to say what was done.
const REPORT: Duration = Duration::from_mins(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, database, seconds] = args.as_slice() else {
        return Err("expected ADDRESS DATABASE SECONDS".into());
    };
    let tally = soak(address.parse()?, Path::new(database), Duration::from_secs(seconds.parse()?)).await?;
    if tally.is_clean() { Ok(()) } else { Err("not all went well".into()) }
}

async fn soak(address: SocketAddr, database: &Path, time: Duration) -> Result<Arc<Tally>, Box<dyn Error>> {
    let versions = Arc::new(Versions::of(database)?);
    let tally = Arc::new(Tally::default());
    let began = Instant::now();
    let end = began + time;

    let peers = peers::start(address, end, &tally);
    let mut tasks = JoinSet::new();
    calls::start(address, end, &versions, &tally, &mut tasks);
    tasks.spawn(reloads::run(address, end, versions.clone(), tally.clone()));

    let mut next = began + REPORT;
    while next < end {
        tokio::time::sleep_until(next.into()).await;
        println!("{tally}");
        next += REPORT;
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    tokio::task::spawn_blocking(|| peers::join(peers)).await?;
    println!("{tally}");
    Ok(tally)
}
